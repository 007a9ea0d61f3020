//! `cargo xtask image`: container images without a container engine.
//!
//! What a root filesystem holds is decided in one place, `rootfs`, which the `Dockerfile` runs too.

mod contents;
mod date;
mod libraries;
mod pack;
mod rootfs;
mod sbom;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{Metadata, MetadataCommand};

pub(crate) use self::contents::Image;
use self::{
    pack::{Label, Packed, Wanted},
    rootfs::RootFs,
};
use crate::command::{Command, is_on_path};

/// Largest image, in bytes of its layers as they lie on a node's disk: what a node pulls before its
/// first pod starts.
const IMAGE_BYTES_MAX: u64 = 60 * 1024 * 1024;

/// What was asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Make this image alone.
    #[arg(long, value_enum)]
    only: Option<Image>,
    /// Where the archives and their lists of contents go [default: images, in the target directory].
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The images' tag [default: the version with -dev behind it].
    #[arg(long, value_parser = parse_tag)]
    tag: Option<String>,
    /// Make only the root filesystems, each in a directory below this one, and pack nothing: what
    /// the Dockerfile does.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "tag"])]
    rootfs: Option<PathBuf>,
}

/// A tag as registries take it.
fn parse_tag(text: &str) -> Result<String, String> {
    let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if begins && text.len() <= 128 && text.chars().all(belongs) {
        return Ok(text.to_owned());
    }
    Err("a tag has 1 to 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two".to_owned())
}

/// Makes what was asked for, and prints what came of it.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let metadata = metadata(root)?;
    let images = chosen(&metadata, arguments.only)?;
    if let Some(directory) = &arguments.rootfs {
        check_programs(&rootfs::PROGRAMS)?;
        for image in images {
            rootfs::make(root, &metadata, image, &directory.join(image.name()))?;
        }
        return Ok(());
    }
    check_programs(&[&rootfs::PROGRAMS[..], &pack::PROGRAMS[..]].concat())?;
    let target = metadata.target_directory.as_std_path();
    let output = arguments.output.clone();
    let output = output.unwrap_or_else(|| target.join("images"));
    fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
    let scratch = target.join("image-scratch");
    let origin = Origin::read(root, &metadata)?;
    let mut rows = Vec::new();
    for image in images {
        let rootfs = rootfs::make(root, &metadata, image, &scratch.join(image.name()))?;
        let tag = arguments.tag.clone();
        let tag = tag.unwrap_or_else(|| format!("{}-dev", origin.version));
        let packed = pack_one(root, &origin, &rootfs, tag, &output, &scratch)?;
        let list = output.join(format!("{}.spdx.json", image.name()));
        let content = sbom::list(&metadata, image, &rootfs, &packed.name, &origin)?;
        fs::write(&list, content).with_context(|| format!("cannot write {}", list.display()))?;
        rows.push((packed, list));
    }
    print_table(&rows);
    check_sizes(&rows)
}

/// Makes all images under their usual names; answers where they are.
pub(crate) fn make(root: &Path) -> Result<PathBuf> {
    let output = metadata(root)?
        .target_directory
        .as_std_path()
        .join("images");
    let arguments = Arguments {
        only: None,
        output: Some(output.clone()),
        tag: None,
        rootfs: None,
    };
    run(root, &arguments)?;
    Ok(output)
}

/// Where the sources are from and how old they are.
#[derive(Debug)]
pub(crate) struct Origin {
    version: String,
    revision: String,
    source: String,
    licences: String,
    /// Seconds since 1970: nothing in an image is younger.
    epoch: u64,
}

impl Origin {
    fn read(root: &Path, metadata: &Metadata) -> Result<Self> {
        let git = |arguments: &[&str]| -> Result<String> {
            let said = Command::new(root, "git", arguments).output()?;
            Ok(said.trim().to_owned())
        };
        let commit = git(&["rev-parse", "HEAD"]).context(
            "images name their sources' revision: build them in a clone of the repository",
        )?;
        let is_changed = !git(&["status", "--porcelain"])?.is_empty();
        let epoch = match env::var("SOURCE_DATE_EPOCH") {
            Ok(seconds) => seconds,
            Err(_) => git(&["log", "-1", "--format=%ct"])?,
        };
        let server = contents::package(metadata, "kvserver").context("there is no kvserver")?;
        let field = |value: &Option<String>, name| {
            let value = value.clone();
            value.with_context(|| format!("kvserver's manifest names no {name}"))
        };
        Ok(Self {
            version: server.version.to_string(),
            revision: commit + if is_changed { "-changed" } else { "" },
            source: field(&server.repository, "repository")?,
            licences: field(&server.license, "license")?,
            epoch: epoch
                .parse()
                .with_context(|| format!("SOURCE_DATE_EPOCH is no number of seconds: `{epoch}`"))?,
        })
    }

    fn labels(&self, image: Image) -> Vec<Label> {
        vec![
            ("org.opencontainers.image.title", image.title().to_owned()),
            ("org.opencontainers.image.version", self.version.clone()),
            ("org.opencontainers.image.revision", self.revision.clone()),
            ("org.opencontainers.image.licenses", self.licences.clone()),
            ("org.opencontainers.image.source", self.source.clone()),
        ]
    }
}

/// The crates that are built on a machine like this one, for a machine like this one.
fn metadata(root: &Path) -> Result<Metadata> {
    let platform = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let options = ["--locked", "--filter-platform", &platform];
    MetadataCommand::new()
        .current_dir(root)
        .other_options(options.map(str::to_owned))
        .exec()
        .context("cannot ask cargo for the crates")
}

/// The images to make: those whose crates are there.
fn chosen(metadata: &Metadata, only: Option<Image>) -> Result<Vec<Image>> {
    let is_there = |image: &Image| {
        let mut packages = image.packages().iter();
        packages.all(|name| contents::package(metadata, name).is_some())
    };
    if let Some(image) = only {
        ensure!(
            is_there(&image),
            "the image `{}` needs the packages {}, which this workspace does not have",
            image.name(),
            image.packages().join(", ")
        );
        return Ok(vec![image]);
    }
    let (there, missing): (Vec<_>, Vec<_>) = Image::ALL.into_iter().partition(is_there);
    for image in missing {
        println!(
            "{}: left out, its crate is not in this workspace",
            image.name()
        );
    }
    Ok(there)
}

/// An error that names all that is missing.
fn check_programs(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<_> = programs
        .iter()
        .filter(|(program, _)| !is_on_path(program))
        .map(|(program, package)| format!("`{program}`: as root, `apt-get install {package}`"))
        .collect();
    if !missing.is_empty() {
        bail!("images need\n  {}", missing.join("\n  "));
    }
    Ok(())
}

fn pack_one(
    root: &Path,
    origin: &Origin,
    rootfs: &RootFs,
    tag: String,
    output: &Path,
    scratch: &Path,
) -> Result<Packed> {
    let image = rootfs.image;
    let wanted = Wanted {
        image,
        tag,
        labels: origin.labels(image),
        created: date::rfc3339(origin.epoch),
        epoch: origin.epoch,
    };
    let archive = output.join(format!("{}.tar", image.name()));
    pack::pack(root, &wanted, &rootfs.directory, scratch, archive)
}

fn print_table(rows: &[(Packed, PathBuf)]) {
    let name_width = rows.iter().map(|(packed, _)| packed.name.len()).max();
    let width = name_width.unwrap_or(0).max("IMAGE".len());
    let limit = mebibytes(IMAGE_BYTES_MAX);
    println!("\n{:width$}  UNCOMPRESSED  COMPRESSED      LIMIT", "IMAGE");
    for (packed, _) in rows {
        println!(
            "{:width$}  {:>12}  {:>10}  {limit:>9}",
            packed.name,
            mebibytes(packed.uncompressed),
            mebibytes(packed.compressed),
        );
    }
    println!();
    for (packed, list) in rows {
        println!("{}  contents: {}", packed.archive.display(), list.display());
    }
    if let Some((packed, _)) = rows.first() {
        let archive = packed.archive.display();
        println!("\nInto a node's containerd: ctr -n k8s.io images import {archive}");
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn check_sizes(rows: &[(Packed, PathBuf)]) -> Result<()> {
    for (packed, _) in rows {
        ensure!(
            packed.uncompressed <= IMAGE_BYTES_MAX,
            "{} is larger than {}: see which of its programs grew, or raise IMAGE_BYTES_MAX with a \
             reason",
            packed.name,
            mebibytes(IMAGE_BYTES_MAX)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_registries() {
        for tag in ["1", "0.1.0-dev", "_a", "v1.2_3"] {
            assert_eq!(parse_tag(tag).as_deref(), Ok(tag));
        }
        for tag in ["", "-a", ".a", "a b", "a:b", "a/b", &"a".repeat(129)] {
            assert!(parse_tag(tag).is_err(), "{tag}");
        }
    }

    fn packed(uncompressed: u64) -> (Packed, PathBuf) {
        let packed = Packed {
            name: "registry.local/kvasir:1".to_owned(),
            archive: "kvasir.tar".into(),
            uncompressed,
            compressed: 1,
        };
        (packed, "kvasir.spdx.json".into())
    }

    #[test]
    fn an_image_that_is_too_large_is_an_error() {
        assert!(check_sizes(&[packed(IMAGE_BYTES_MAX)]).is_ok());
        let error = check_sizes(&[packed(1), packed(IMAGE_BYTES_MAX + 1)]).unwrap_err();
        assert!(
            error.to_string().contains("larger than 60.0 MiB"),
            "{error}"
        );
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let error = check_programs(&[("sh", "dash"), ("no-such-program", "that-package")]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("apt-get install that-package"), "{error}");
        assert!(!error.contains("dash"), "{error}");
    }
}
