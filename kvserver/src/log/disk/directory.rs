//! A directory of the file system, locked against a second process.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{Disk, DiskFile};

/// Name of the lock file.
const LOCK: &str = "lock";

/// A directory that this process has to itself.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Held for its lock: the kernel drops an flock with the last handle, so a crash leaves none.
    _lock: File,
}

/// Why a directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process works on it.
    #[error("another process uses the data directory {directory}")]
    Locked {
        /// The directory.
        directory: String,
    },
    /// It cannot be opened or made.
    #[error("cannot open the data directory {directory}: {source}")]
    Io {
        /// The directory.
        directory: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Directory {
    /// Opens the directory, made if it does not exist, and locks it for the life of the value.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let directory = path.display().to_string();
        let lock = match lock_file(path) {
            Ok(lock) => lock,
            Err(source) => return Err(DirectoryError::Io { directory, source }),
        };
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DirectoryError::Locked { directory }),
            Err(error) => Err(DirectoryError::Io {
                directory,
                source: error.into(),
            }),
        }
    }
}

/// Makes the directory if need be, durably, and opens its lock file.
fn lock_file(path: &Path) -> io::Result<File> {
    let is_missing = |level: &&Path| !level.as_os_str().is_empty() && !level.is_dir();
    let missing: Vec<_> = path.ancestors().take_while(is_missing).collect();
    std::fs::create_dir_all(path)?;
    // The entry of a new directory is its parent's, and lost with power unless that is synced.
    for parent in missing.iter().filter_map(|level| level.parent()) {
        let here = Path::new(".");
        let parent = if parent.as_os_str().is_empty() {
            here
        } else {
            parent
        };
        File::open(parent)?.sync_all()?;
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path.join(LOCK))
}

impl Disk for Directory {
    type File = File;

    fn open_read(&self, name: &str) -> io::Result<File> {
        File::open(self.path.join(name))
    }

    fn open_write(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path.join(name))
    }

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        std::fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl DiskFile for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
