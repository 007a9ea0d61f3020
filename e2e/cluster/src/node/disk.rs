//! File systems in files: the volumes of a node that have a size.

use std::{fs, path::Path};

use crate::{
    error::Result,
    limits::KILL_MAX,
    wait::{Look, wait_for},
};

/// Waits until the kernel has let go of every file below this directory that was mounted. Mounted a
/// second time too early, such a file system would be damaged.
pub(super) fn wait_let_go(directory: &Path) -> Result<()> {
    let what = format!("volumes below {} to be unmounted", directory.display());
    wait_for(&what, KILL_MAX, || {
        let used = mounted_files()
            .into_iter()
            .find(|file| Path::new(file).starts_with(directory));
        Ok(used.map_or(Look::Seen(()), Look::NotYet))
    })
}

/// Files behind loop devices.
fn mounted_files() -> Vec<String> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let files = devices
        .filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
    files.map(|file| file.trim().to_owned()).collect()
}
