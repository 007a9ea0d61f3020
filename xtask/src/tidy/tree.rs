//! The text files of the repository, read once for all rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result};
use walkdir::{DirEntry, WalkDir};

use super::source::Source;

/// Directories that are not the repository's content, wherever they lie.
const SKIPPED: [&str; 4] = [".git", "target", "kvasir-data", "artifacts"];

/// Directories of bytes that a fuzzer made up: text only by chance.
const BYTES: [&str; 2] = ["fuzz/corpus/", "fuzz/regressions/"];

/// All files by their path from the root, with `/` between names.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Every file, also those that are not text.
    paths: BTreeSet<String>,
    texts: BTreeMap<String, String>,
    sources: BTreeMap<String, Source>,
}

impl Tree {
    /// Reads the repository; files that are not UTF-8 are known by their path alone.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        for entry in WalkDir::new(root).into_iter().filter_entry(is_content) {
            let entry = entry.context("cannot walk the repository")?;
            if !entry.file_type().is_file() {
                continue;
            }
            let path = entry
                .path()
                .strip_prefix(root)
                .expect("it was found below the root");
            let path = path.to_str().context("a file's name is not UTF-8")?;
            tree.paths.insert(path.to_owned());
            if BYTES.iter().any(|directory| path.starts_with(directory)) {
                continue;
            }
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                tree.add(path, text);
            }
        }
        Ok(tree)
    }

    /// A tree of the given files, for tests of rules.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.paths.insert((*path).to_owned());
            tree.add(path, (*text).to_owned());
        }
        tree
    }

    fn add(&mut self, path: &str, text: String) {
        if has_extension(path, "rs") {
            self.sources
                .insert(path.to_owned(), Source::new(path, &text));
        }
        self.texts.insert(path.to_owned(), text);
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.paths.len()
    }

    /// Every text file.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every Rust file.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.values()
    }

    /// The text of one file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether there is such a file, or a directory with files in it.
    pub(super) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let directory = format!("{path}/");
        path.is_empty()
            || self.paths.contains(path)
            || self.paths.iter().any(|file| file.starts_with(&directory))
    }
}

/// Whether the file's name ends in `.` and the extension.
pub(super) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found == extension)
}

fn is_content(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    !SKIPPED.contains(&name.as_ref())
}
