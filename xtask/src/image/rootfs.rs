//! An image's root filesystem: programs, the libraries that they load, and the few files that
//! libraries read. No shell, no package manager, nothing that can be written but `/tmp`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use cargo_metadata::Metadata;

use super::{
    contents::Image,
    libraries::{self, DebianPackage},
};
use crate::command::Command;

/// Programs that it takes, with their Debian packages.
pub(super) const PROGRAMS: [(&str, &str); 3] = [
    ("strip", "binutils"),
    ("ldd", "libc-bin"),
    ("dpkg-query", "dpkg"),
];

/// Small files, with their contents.
const FILES: [(&str, &str); 3] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/:/usr/sbin/nologin\n\
         nonroot:x:65532:65532:nonroot:/:/usr/sbin/nologin\n",
    ),
    ("etc/group", "root:x:0:\nnonroot:x:65532:\n"),
    // Names of other pods come from the cluster's DNS.
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    ),
];

/// A root filesystem that was made.
#[derive(Debug)]
pub(super) struct RootFs {
    pub(super) image: Image,
    pub(super) directory: PathBuf,
    pub(super) libraries: Vec<DebianPackage>,
}

/// Builds the image's programs and lays everything out in `directory`, which is emptied before.
pub(super) fn make(
    root: &Path,
    metadata: &Metadata,
    image: Image,
    directory: &Path,
) -> Result<RootFs> {
    build(root, image)?;
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot empty {}", directory.display()))?;
    }
    let laid = lay_out(root, metadata, image, directory);
    laid.with_context(|| format!("the root filesystem in {}", directory.display()))
}

fn build(root: &Path, image: Image) -> Result<()> {
    let mut arguments = vec!["build", "--release", "--locked"];
    for package in image.packages() {
        arguments.extend(["--package", package]);
    }
    for program in image.programs() {
        arguments.extend(["--bin", program]);
    }
    Command::new(root, "cargo", &arguments).run()
}

fn lay_out(root: &Path, metadata: &Metadata, image: Image, directory: &Path) -> Result<RootFs> {
    let built = metadata.target_directory.as_std_path().join("release");
    let mut libraries = Vec::new();
    for program in image.programs() {
        let place = directory.join("usr/bin").join(program);
        copy(&built.join(program), &place, 0o755)?;
        let name = place.to_str().context("the path is not UTF-8")?;
        Command::new(root, "strip", &["--strip-all", name]).run()?;
        libraries.extend(libraries::of(root, &place)?);
    }
    libraries.sort();
    libraries.dedup();
    for library in &libraries {
        let relative = library.strip_prefix("/").unwrap_or(library);
        copy(library, &directory.join(relative), 0o755)?;
    }
    let packages = libraries::packages(root, &libraries)?;
    for DebianPackage { name, .. } in &packages {
        let notice = format!("usr/share/doc/{name}/copyright");
        copy(
            &Path::new("/").join(&notice),
            &directory.join(&notice),
            0o644,
        )?;
    }
    let licence = directory.join("usr/share/doc/kvasir/LICENSE");
    copy(&root.join("LICENSE"), &licence, 0o644)?;
    for (name, content) in FILES {
        write(&directory.join(name), content)?;
    }
    fs::create_dir(directory.join("tmp"))?;
    set_modes(directory)?;
    Ok(RootFs {
        image,
        directory: directory.to_owned(),
        libraries: packages,
    })
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    make_parent(to)?;
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(mode))?)
}

fn write(to: &Path, content: &str) -> Result<()> {
    make_parent(to)?;
    fs::write(to, content).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(0o644))?)
}

fn make_parent(of: &Path) -> Result<()> {
    let parent = of.parent().context("a file lies in a directory")?;
    Ok(fs::create_dir_all(parent)?)
}

/// Directories as others have to find them, whatever this user's mask.
fn set_modes(directory: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(directory) {
        let entry = entry?;
        if entry.file_type().is_dir() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755))?;
        }
    }
    // Anybody's, with the bit that keeps them from deleting each other's files.
    let tmp = directory.join("tmp");
    Ok(fs::set_permissions(
        tmp,
        fs::Permissions::from_mode(0o1777),
    )?)
}
