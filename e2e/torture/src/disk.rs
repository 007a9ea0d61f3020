//! Small disks of their own for some servers, and what happens to disks: full, damaged, wiped.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use rand::{RngExt, rngs::ChaCha8Rng};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Size of a small disk: four segments, so that compaction has room to work.
const SIZE: &str = "size=256m";

/// Fills the disk.
const FILLER: &str = "filler";

/// Share of the last segment in which bytes are altered, in percent. The very end is not meant:
/// there, bad bytes look like a write that a crash cut off.
const DAMAGED_PERCENT: u64 = 80;

/// Room that a log may have behind its last record.
const ROOM_BYTES: u64 = 1024 * 1024;

/// A mounted tmpfs; unmounted when dropped.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one on this directory, which is made.
    pub(crate) fn mount(path: &Path) -> Result<Self> {
        fs::create_dir_all(path)?;
        let options = std::ffi::CString::new(SIZE).context("no zero byte in it")?;
        mount(
            "tmpfs",
            path,
            "tmpfs",
            MountFlags::NODEV,
            options.as_c_str(),
        )
        .with_context(|| format!("cannot mount a tmpfs on {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Takes all the room there is.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut file = File::create(self.path.join(FILLER))?;
        let block = vec![0; 64 * 1024];
        loop {
            match file.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("cannot fill the disk"),
            }
        }
    }

    /// Gives the room back.
    pub(crate) fn free(&self) -> Result<()> {
        match fs::remove_file(self.path.join(FILLER)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Copies what is on it to where it outlives the mount.
    pub(crate) fn save(&self, to: &Path) -> Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() && entry.file_name() != FILLER {
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached, so that a file still open somewhere does not keep it here.
        if let Err(error) = unmount(&self.path, UnmountFlags::DETACH) {
            eprintln!("cannot unmount {}: {error}", self.path.display());
        }
    }
}

/// Removes everything in a data directory.
pub(crate) fn wipe(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// Alters a few bytes of a log that nobody has open; says which.
pub(crate) fn damage(directory: &Path, random: &mut ChaCha8Rng) -> Result<String> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            segments.push(path);
        }
    }
    segments.sort();
    if segments.is_empty() {
        bail!("{} has no segment", directory.display());
    }
    let at = random.random_range(0..segments.len());
    let (path, is_last) = (&segments[at], at + 1 == segments.len());
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut length = file.metadata()?.len();
    if is_last {
        // Behind what was written there is room, and altering that does nothing.
        length = length.saturating_sub(ROOM_BYTES).max(length.min(4096));
        length = length * DAMAGED_PERCENT / 100;
    }
    let mut said = format!("{}:", path.display());
    for _ in 0..random.random_range(1..=3) {
        let count = random.random_range(1..=16);
        let offset = random.random_range(0..length.saturating_sub(count).max(1));
        let mut bytes = vec![0; usize::try_from(count)?];
        file.read_exact_at(&mut bytes, offset)?;
        for byte in &mut bytes {
            *byte ^= random.random_range(1..=255u8);
        }
        file.write_all_at(&bytes, offset)?;
        write!(said, " {count} bytes at {offset}")?;
    }
    file.sync_all()?;
    Ok(said)
}
