//! A root filesystem becomes an archive in the OCI format, packed by umoci.
//!
//! Owners, times and the order of files are fixed, so that the same files make the same layer.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::contents::{Image, Start, USER};
use crate::command::Command;

/// Programs that it takes, with their Debian packages.
pub(super) const PROGRAMS: [(&str, &str); 3] = [("umoci", "umoci"), ("tar", "tar"), ("git", "git")];

/// By this annotation containerd knows the whole name of what it imports.
const NAME_ANNOTATION: &str = "io.containerd.image.name";

/// A label's name and value.
pub(super) type Label = (&'static str, String);

/// What an image is to say of itself.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) image: Image,
    pub(super) tag: String,
    pub(super) labels: Vec<Label>,
    /// In RFC 3339.
    pub(super) created: String,
    /// The same in seconds since 1970.
    pub(super) epoch: u64,
}

/// An image that was packed.
#[derive(Debug)]
pub(super) struct Packed {
    /// Its name in a cluster, with the tag.
    pub(super) name: String,
    pub(super) archive: PathBuf,
    /// Bytes of its layers.
    pub(super) uncompressed: u64,
    /// Bytes of its layers as they travel.
    pub(super) compressed: u64,
}

/// Packs `rootfs` into `archive`; `scratch` is for what comes between.
pub(super) fn pack(
    root: &Path,
    wanted: &Wanted,
    rootfs: &Path,
    scratch: &Path,
    archive: PathBuf,
) -> Result<Packed> {
    let layer = scratch.join(format!("{}-layer.tar", wanted.image.name()));
    let layout = scratch.join(format!("{}-oci", wanted.image.name()));
    if layout.exists() {
        fs::remove_dir_all(&layout)
            .with_context(|| format!("cannot empty {}", layout.display()))?;
    }
    tar(root, wanted.epoch, rootfs, &layer, &["."])?;
    assemble(root, wanted, &layer, &layout)?;
    let name = format!("{}:{}", wanted.image.repository(), wanted.tag);
    let compressed = finish_index(&layout, &name)?;
    let parts = ["blobs", "index.json", "oci-layout"];
    tar(root, wanted.epoch, &layout, &archive, &parts)?;
    Ok(Packed {
        name,
        archive,
        uncompressed: fs::metadata(&layer)?.len(),
        compressed,
    })
}

fn tar(root: &Path, epoch: u64, directory: &Path, archive: &Path, parts: &[&str]) -> Result<()> {
    let time = format!("--mtime=@{epoch}");
    let (directory, archive) = (text(directory)?, text(archive)?);
    let fixed = ["--owner=0", "--group=0", "--numeric-owner"];
    let mut arguments = vec!["--create", "--sort=name", "--format=gnu", &time];
    arguments.extend(fixed);
    arguments.extend(["--file", archive, "--directory", directory]);
    arguments.extend(parts);
    Command::new(root, "tar", &arguments).run()
}

fn assemble(root: &Path, wanted: &Wanted, layer: &Path, layout: &Path) -> Result<()> {
    let umoci = |arguments: &[&str]| Command::new(root, "umoci", arguments).run();
    let (layout, layer) = (text(layout)?, text(layer)?);
    let image = format!("{layout}:{}", wanted.tag);
    let created = format!("--history.created={}", wanted.created);
    umoci(&["init", "--layout", layout])?;
    umoci(&["new", "--image", &image])?;
    let by = "--history.created_by=cargo xtask image";
    umoci(&["raw", "add-layer", "--image", &image, &created, by, layer])?;
    let options = config(wanted);
    let mut arguments = vec!["config", "--image", &image, &created, by];
    arguments.extend(options.iter().map(String::as_str));
    umoci(&arguments)?;
    // Every step left its own description of the image behind.
    umoci(&["gc", "--layout", layout])
}

/// How the image describes itself and what it runs.
fn config(wanted: &Wanted) -> Vec<String> {
    let mut options = vec![
        format!("--config.user={USER}"),
        "--config.env=PATH=/usr/bin".to_owned(),
        format!("--created={}", wanted.created),
    ];
    match wanted.image.start() {
        Start::Entrypoint(program) => options.push(format!("--config.entrypoint={program}")),
        Start::Command(words) => {
            options.extend(words.iter().map(|word| format!("--config.cmd={word}")));
        }
    }
    let labels = wanted.labels.iter();
    options.extend(labels.map(|(name, value)| format!("--config.label={name}={value}")));
    options
}

/// Writes the image's whole name into the layout's index; gives the bytes of its layers.
fn finish_index(layout: &Path, name: &str) -> Result<u64> {
    let path = layout.join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path)?)?;
    let digest = name_in(&mut index, name)?;
    fs::write(&path, serde_json::to_vec(&index)?)?;
    let blob = digest.split_once(':').map(|(kind, hash)| {
        let blobs = layout.join("blobs");
        blobs.join(kind).join(hash)
    });
    let blob = blob.with_context(|| format!("`{digest}` is no digest"))?;
    let manifest: Value = serde_json::from_slice(&fs::read(blob)?)?;
    layer_bytes(&manifest)
}

/// Names the index's only manifest; gives its digest.
fn name_in(index: &mut Value, name: &str) -> Result<String> {
    let manifests = index["manifests"].as_array_mut();
    let manifests = manifests.context("umoci's index has no manifests")?;
    let [manifest] = manifests.as_mut_slice() else {
        anyhow::bail!("umoci's index has {} manifests, not one", manifests.len());
    };
    manifest["annotations"][NAME_ANNOTATION] = name.into();
    let digest = manifest["digest"].as_str();
    Ok(digest.context("the manifest has no digest")?.to_owned())
}

fn layer_bytes(manifest: &Value) -> Result<u64> {
    let layers = manifest["layers"].as_array();
    let layers = layers.context("the manifest has no layers")?;
    let sizes = layers.iter().map(|layer| layer["size"].as_u64());
    sizes.sum::<Option<u64>>().context("a layer has no size")
}

fn text(path: &Path) -> Result<&str> {
    let shown = || format!("{} is not UTF-8", path.display());
    path.to_str().with_context(shown)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_whole_name_stands_beside_the_tag() {
        let manifest = json!({
            "digest": "sha256:ab",
            "annotations": { "org.opencontainers.image.ref.name": "1" }
        });
        let mut index = json!({ "manifests": [manifest] });
        let digest = name_in(&mut index, "registry.local/kvasir:1").expect("one manifest");
        assert_eq!(digest, "sha256:ab");
        let annotations = &index["manifests"][0]["annotations"];
        assert_eq!(annotations[NAME_ANNOTATION], "registry.local/kvasir:1");
        assert_eq!(annotations["org.opencontainers.image.ref.name"], "1");
        let mut two = json!({ "manifests": [manifest, manifest] });
        assert!(name_in(&mut two, "a").is_err());
    }

    #[test]
    fn an_image_does_not_run_as_root() {
        let wanted = Wanted {
            image: Image::Operator,
            tag: "1".to_owned(),
            labels: vec![("org.opencontainers.image.version", "0.1.0".to_owned())],
            created: "2026-01-01T00:00:00Z".to_owned(),
            epoch: 1,
        };
        let options = config(&wanted);
        for option in [
            "--config.user=65532:65532",
            "--config.entrypoint=/usr/bin/kvasir-operator",
            "--config.label=org.opencontainers.image.version=0.1.0",
            "--created=2026-01-01T00:00:00Z",
        ] {
            assert!(options.iter().any(|o| o == option), "{option}: {options:?}");
        }
    }

    #[test]
    fn layers_are_summed() {
        let manifest = json!({ "layers": [{ "size": 3 }, { "size": 4 }] });
        assert_eq!(layer_bytes(&manifest).expect("valid"), 7);
        assert!(layer_bytes(&json!({ "layers": [{}] })).is_err());
    }
}
