//! Packing an image by hand, or from automation that does not depend on this crate.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use kvasir_cluster::{ImageConfig, copy_program, pack_image};

/// What goes into the image, and what it says of itself.
#[derive(Debug, Args)]
pub(super) struct Pack {
    /// The image's full name with a tag, such as registry.local/kvserver:1.
    name: String,
    /// The archive to write.
    archive: PathBuf,
    /// A directory with files of the image; may be given once.
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// A program and its place in the image, as FILE=PLACE; the libraries that it loads go along.
    #[arg(long = "program", value_name = "FILE=PLACE", value_parser = program)]
    programs: Vec<(PathBuf, String)>,
    /// A word of what is run; again for each further word.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    entrypoint: Vec<String>,
    /// A word of what a pod's arguments replace.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    command: Vec<String>,
    /// Who runs it, such as 65532:65532.
    #[arg(long)]
    user: Option<String>,
    /// A variable, as NAME=VALUE.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// A label, as NAME=VALUE.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// A port it listens on, such as 7400/tcp.
    #[arg(long = "port", value_name = "PORT")]
    ports: Vec<String>,
}

fn program(text: &str) -> Result<(PathBuf, String), String> {
    match text.split_once('=') {
        Some((file, place)) if place.starts_with('/') => Ok((file.into(), place.to_owned())),
        _ => Err("write it as FILE=PLACE, such as target/release/kvserver=/kvserver".to_owned()),
    }
}

/// Packs it, and says how large it is.
pub(super) fn run(pack: Pack) -> Result<String> {
    let Pack {
        name,
        archive,
        rootfs,
        programs,
        entrypoint,
        command,
        user,
        environment,
        labels,
        ports,
    } = pack;
    ensure!(
        rootfs.is_some() || !programs.is_empty(),
        "nothing to pack: name a directory with --rootfs, or programs with --program"
    );
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let packed = match (&rootfs, programs.is_empty()) {
        // As it is: programs would be added to somebody's own directory.
        (Some(rootfs), true) => rootfs.clone(),
        (rootfs, _) => {
            let all = scratch.path().join("rootfs");
            fs::create_dir(&all)?;
            if let Some(rootfs) = rootfs {
                copy_all(rootfs, &all)?;
            }
            for (file, place) in &programs {
                copy_program(file, &all, place)?;
            }
            all
        }
    };
    let config = ImageConfig {
        entrypoint,
        command,
        user,
        environment,
        directory: None,
        labels,
        ports,
    };
    pack_image(&packed, &name, &config, &archive)?;
    let mebibytes = fs::metadata(&archive)?.len() as f64 / 1024.0 / 1024.0;
    Ok(format!(
        "{name}: {mebibytes:.1} MiB in {}",
        archive.display()
    ))
}

/// With owners, modes and links as they are.
fn copy_all(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    let mut copy = std::process::Command::new("cp");
    let status = copy.arg("--archive").arg(from.join(".")).arg(to).status()?;
    ensure!(status.success(), "cannot copy {}: {status}", from.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_a_place() {
        let parsed = program("a/b=/c").unwrap();
        assert_eq!(parsed, ("a/b".into(), "/c".to_owned()));
        for wrong in ["a/b", "a/b=c", ""] {
            assert!(program(wrong).unwrap_err().contains("FILE=PLACE"));
        }
    }
}
