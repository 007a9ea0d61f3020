//! A directory becomes an image: an archive in the form of the Open Container Initiative, by umoci.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    command::Command,
    error::{Doing, Error, Result},
    home::{read_file, write_file},
    limits::IMPORT_MAX,
};

/// What an image says beside its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, which a pod may replace.
    pub command: Vec<String>,
    /// Who runs it, such as `65532:65532`; root if absent.
    pub user: Option<String>,
    /// Variables, each as `NAME=VALUE`.
    pub environment: Vec<String>,
    /// Where it runs; the root directory if absent.
    pub directory: Option<String>,
    /// Labels, each as `NAME=VALUE`.
    pub labels: Vec<String>,
    /// Ports it listens on, such as `7400/tcp`.
    pub ports: Vec<String>,
}

/// Packs everything below `rootfs` as one layer into `archive`, which `ctr images import` and
/// `docker load` read. `reference` is the image's full name with a tag, such as
/// `registry.local/kvserver:1`.
///
/// Files belong to who owns them now. Needs umoci and tar.
pub fn pack_image(
    rootfs: &Path,
    reference: &str,
    config: &ImageConfig,
    archive: &Path,
) -> Result<()> {
    let tag = tag_of(reference)?;
    let directory = archive.parent().unwrap_or(Path::new("."));
    let scratch = tempfile::Builder::new()
        .prefix(".packing-")
        .tempdir_in(directory);
    let scratch = scratch.doing(|| format!("make a directory in {}", directory.display()))?;
    let layout = scratch.path().join("layout");
    let image = format!("{}:{tag}", layout.display());
    let umoci = |words: &[&str]| Command::new("umoci").args(words).limit(IMPORT_MAX);
    umoci(&["init", "--layout"]).arg(&layout).run()?;
    umoci(&["new", "--image", &image]).run()?;
    let mut insert = umoci(&["insert", "--image", &image]);
    if !rustix::process::geteuid().is_root() {
        insert = insert.arg("--rootless");
    }
    insert.arg(rootfs).arg("/").run()?;
    umoci(&["config", "--image", &image])
        .args(options(config))
        .run()?;
    // What the steps before the last one left.
    umoci(&["gc", "--layout"]).arg(&layout).run()?;
    let index = layout.join("index.json");
    write_file(&index, named(&read_file(&index)?, reference)?)?;
    let packed = scratch.path().join("archive");
    let tar = Command::new("tar")
        .arg("--create")
        .arg("--file")
        .arg(&packed)
        .arg("--directory");
    let tar = tar.arg(&layout).args(["oci-layout", "index.json", "blobs"]);
    tar.limit(IMPORT_MAX).run()?;
    fs::rename(&packed, archive).doing(|| format!("write {}", archive.display()))
}

fn options(config: &ImageConfig) -> Vec<String> {
    let ImageConfig {
        entrypoint,
        command,
        user,
        environment,
        directory,
        labels,
        ports,
    } = config;
    let lists = [
        ("entrypoint", entrypoint),
        ("cmd", command),
        ("env", environment),
        ("label", labels),
        ("exposedports", ports),
    ];
    let lists = lists.into_iter().flat_map(|(name, values)| {
        values
            .iter()
            .map(move |value| format!("--config.{name}={value}"))
    });
    let user = user.iter().map(|user| format!("--config.user={user}"));
    let directory = directory
        .iter()
        .map(|directory| format!("--config.workingdir={directory}"));
    lists.chain(user).chain(directory).collect()
}

/// The tag of a full name.
fn tag_of(reference: &str) -> Result<&str> {
    let (name, tag) = reference.rsplit_once(':').unwrap_or((reference, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let good = name.contains('/') && !tag.is_empty() && tag.chars().all(plain);
    good.then_some(tag).ok_or_else(|| {
        Error::Refused(format!(
            "`{reference}` is no name for an image: write it with a registry and a tag, such as \
             registry.local/kvserver:1"
        ))
    })
}

/// The index with the image's full name in it: umoci writes the tag only, and importers would
/// make up the rest.
fn named(index: &str, reference: &str) -> Result<String> {
    let unreadable = |reason: String| Error::Unreadable {
        what: "the index that umoci wrote".to_owned(),
        reason,
    };
    let mut index: Value = serde_json::from_str(index).map_err(|e| unreadable(e.to_string()))?;
    let manifests = index["manifests"].as_array_mut();
    let Some([manifest]) = manifests.map(Vec::as_mut_slice) else {
        return Err(unreadable("it has not exactly one manifest".to_owned()));
    };
    manifest["annotations"]["io.containerd.image.name"] = reference.into();
    Ok(index.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_needs_a_registry_and_a_tag() {
        assert_eq!(tag_of("registry.local:5000/a/b:1.2-x").unwrap(), "1.2-x");
        for wrong in [
            "a:1",
            "registry.local/a",
            "registry.local:5000/a",
            "r/a:",
            "r/a:b c",
        ] {
            assert!(tag_of(wrong).unwrap_err().to_string().contains(wrong));
        }
    }

    #[test]
    fn the_index_keeps_what_it_had() {
        let index =
            r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:7","annotations":{"a":"b"}}]}"#;
        let named_index: Value = serde_json::from_str(&named(index, "r/a:1").unwrap()).unwrap();
        let manifest = &named_index["manifests"][0];
        assert_eq!(manifest["digest"], "sha256:7");
        assert_eq!(manifest["annotations"]["a"], "b");
        assert_eq!(manifest["annotations"]["io.containerd.image.name"], "r/a:1");
        assert!(named(r#"{"manifests":[]}"#, "r/a:1").is_err());
    }

    #[test]
    fn everything_that_is_configured_is_said() {
        let config = ImageConfig {
            entrypoint: vec!["/a".to_owned(), "-b".to_owned()],
            command: vec!["c".to_owned()],
            user: Some("1:1".to_owned()),
            environment: vec!["D=e".to_owned()],
            directory: Some("/f".to_owned()),
            labels: vec!["g=h".to_owned()],
            ports: vec!["7400/tcp".to_owned()],
        };
        let said = options(&config).join(" ");
        assert_eq!(
            said,
            "--config.entrypoint=/a --config.entrypoint=-b --config.cmd=c --config.env=D=e \
             --config.label=g=h --config.exposedports=7400/tcp --config.user=1:1 --config.workingdir=/f"
        );
        assert!(options(&ImageConfig::default()).is_empty());
    }
}
