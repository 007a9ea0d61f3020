//! Container images without a container engine: packed here, imported into nodes.

mod base;
mod pack;
mod rootfs;

use std::{
    fs,
    path::{Path, PathBuf},
};

pub use pack::{ImageConfig, pack_image};
pub use rootfs::copy_program;

use crate::{
    command::Command,
    error::{Doing, Error, Result},
    home::{Home, read_file, remove, write_file},
    limits::IMPORT_MAX,
    node,
    topology::NodeNumber,
};

/// What holds the namespaces of a pod.
pub(crate) const PAUSE: &str = "registry.local/pause:3.10";

/// Answers for names.
pub(crate) const COREDNS: &str = "registry.local/coredns:1.15.0";

/// A shell, what goes with it, and curl: for volumes, and for tests.
pub const TOOLS: &str = "registry.local/tools:1";

pub(crate) use base::pack_all;

/// An archive that every node is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Archive {
    path: PathBuf,
    /// The file's name without its end: what it is, and which content it has.
    key: String,
}

fn archives(home: &Home) -> Result<Vec<Archive>> {
    let directory = home.images();
    let doing = || format!("list {}", directory.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(&directory).doing(doing)? {
        let path = entry.doing(doing)?.path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            let key = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            found.push(Archive { path, key });
        }
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// Keeps an archive for every node, in the place of an earlier one of the same name.
pub(crate) fn keep(home: &Home, archive: &Path) -> Result<()> {
    let sum = Command::new("sha256sum")
        .arg(archive)
        .limit(IMPORT_MAX)
        .output()
        .map_err(|error| {
            Error::Refused(format!("{} cannot be loaded: {error}", archive.display()))
        })?;
    let sum = sum
        .trim_start_matches('\\')
        .get(..12)
        .unwrap_or_default()
        .to_owned();
    let name = format!("loaded_{}", stem(archive));
    let kept = home.images().join(format!("{name}-{sum}.tar"));
    forget_others(home, &name, &kept)?;
    if kept.exists() {
        return Ok(());
    }
    let incoming = kept.with_extension("incoming");
    let doing = || format!("copy {} to {}", archive.display(), kept.display());
    fs::copy(archive, &incoming).doing(doing)?;
    fs::rename(&incoming, &kept).doing(doing)
}

/// The archive's name, of letters that any file's name may have.
fn stem(archive: &Path) -> String {
    let stem = archive.file_stem().unwrap_or_default().to_string_lossy();
    let plain = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    plain.collect()
}

/// Removes archives of the same name and another content.
fn forget_others(home: &Home, name: &str, kept: &Path) -> Result<()> {
    for archive in archives(home)? {
        let same = archive
            .key
            .rsplit_once('-')
            .is_some_and(|(other, _)| other == name);
        if same && archive.path != kept {
            remove(&archive.path)?;
        }
    }
    Ok(())
}

/// Imports what the node does not have yet, or has no more.
pub(crate) fn import_missing(home: &Home, node: NodeNumber) -> Result<()> {
    // It lies on the node's disk, and is wiped with the images.
    let marks = home.node(node).join("containerd/imported");
    let before = read_file(&marks).unwrap_or_default();
    let there = node::command(
        home,
        node,
        &["ctr", "--namespace=k8s.io", "images", "list", "-q"],
    )?;
    let there = there.output()?;
    let mut after = String::new();
    for archive in &archives(home)? {
        let mark = match mark_of(&archive.key, &before, &there) {
            Some(mark) => mark.to_owned(),
            None => format!("{} {}", archive.key, import(home, node, archive)?.join(" ")),
        };
        after.extend([mark.as_str(), "\n"]);
        write_file(&marks, &after)?;
    }
    Ok(())
}

/// The line of an archive that was imported, if all of its images are still there.
fn mark_of<'a>(key: &str, marks: &'a str, there: &str) -> Option<&'a str> {
    marks.lines().find(|mark| {
        let mut words = mark.split(' ');
        let has = |image| there.lines().any(|line| line == image);
        words.next() == Some(key) && words.all(has)
    })
}

/// Imports an archive; says which images were in it.
fn import(home: &Home, node: NodeNumber, archive: &Archive) -> Result<Vec<String>> {
    let words = ["ctr", "--namespace=k8s.io", "images", "import", "-"];
    let command = node::command(home, node, &words)?.input_file(&archive.path);
    Ok(names_of(&command.limit(IMPORT_MAX).output()?))
}

/// What ctr(8) says of each image: `unpacking NAME (DIGEST)...done`.
fn names_of(said: &str) -> Vec<String> {
    let lines = said
        .lines()
        .filter_map(|line| line.strip_prefix("unpacking "));
    let names = lines.filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_is_gone_is_imported_again() {
        let said =
            "unpacking registry.local/a:1 (sha256:7)...done\nunpacking r/b:2 (sha256:8)...\n";
        assert_eq!(names_of(said), ["registry.local/a:1", "r/b:2"]);
        let marks = "a-1 registry.local/a:1 r/b:2\nc-1 r/c:1\n";
        let all = "r/b:2\nr/c:1\nregistry.local/a:1\n";
        assert!(mark_of("a-1", marks, all).is_some() && mark_of("c-1", marks, all).is_some());
        assert_eq!(mark_of("a-1", marks, "r/b:2\nr/c:1\n"), None);
        assert_eq!(mark_of("a-2", marks, all), None, "another content");
    }

    #[test]
    fn an_archive_takes_the_place_of_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::from_environment()
            .unwrap()
            .with_root(directory.path().join("home"));
        home.make().unwrap();
        let archive = directory.path().join("one.two.tar");
        let other = directory.path().join("one.tar");
        fs::write(&other, "other").unwrap();
        keep(&home, &other).unwrap();
        for content in ["first", "second", "second"] {
            fs::write(&archive, content).unwrap();
            keep(&home, &archive).unwrap();
            let kept = archives(&home).unwrap();
            assert_eq!(kept.len(), 2, "{kept:?}");
            assert!(
                kept.iter()
                    .any(|kept| fs::read(&kept.path).unwrap() == content.as_bytes())
            );
        }
        let said = keep(&home, Path::new("/no/such.tar"))
            .unwrap_err()
            .to_string();
        assert!(said.contains("/no/such.tar"), "{said}");
    }
}
