//! File systems in files: the volumes of a node that have a size.

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt, path::Path};

use crate::{
    command::Command,
    error::Result,
    limits::KILL_MAX,
    wait::{Look, wait_for},
};

/// Waits until the kernel has let go of every such file in a node's directory. Mounted a second time
/// too early, a file system would be damaged.
pub(super) fn wait_let_go(directory: &Path) -> Result<()> {
    let files = inodes(&directory.join("volumes/bounded"));
    if files.is_empty() {
        return Ok(());
    }
    let what = format!("volumes below {} to be unmounted", directory.display());
    wait_for(&what, KILL_MAX, || {
        // A path means something else in every node; the number of a file does not.
        let used = Command::line("losetup --list --noheadings --output BACK-INO").output()?;
        let left = used_of(&files, &used);
        Ok(if left == 0 {
            Look::Seen(())
        } else {
            Look::NotYet(format!("{left} are mounted"))
        })
    })
}

fn used_of(files: &BTreeSet<u64>, used: &str) -> usize {
    let used = used.lines().filter_map(|line| line.trim().parse().ok());
    used.filter(|inode| files.contains(inode)).count()
}

fn inodes(directory: &Path) -> BTreeSet<u64> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| entry.metadata().ok());
    let files = files.filter(fs::Metadata::is_file);
    files.map(|file| file.ino()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_node_s_own_files_count() {
        let files = BTreeSet::from([7, 9]);
        assert_eq!(used_of(&files, "     7\n8\n\n"), 1);
        assert_eq!(used_of(&files, "77\n"), 0);
    }
}
