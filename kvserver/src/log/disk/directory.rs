//! A directory of the file system.

use std::{fs::File, io, path::Path};

use super::{Disk, DiskFile};

/// A directory that this process has to itself.
#[derive(Debug)]
pub struct Directory;

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
    pub fn open(_path: &Path) -> Result<Self, DirectoryError> {
        todo!()
    }
}

impl Disk for Directory {
    type File = File;
    fn open_read(&self, _name: &str) -> io::Result<File> {
        todo!()
    }
    fn open_write(&self, _name: &str) -> io::Result<File> {
        todo!()
    }
    fn create(&self, _name: &str) -> io::Result<File> {
        todo!()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        todo!()
    }
    fn remove(&self, _name: &str) -> io::Result<()> {
        todo!()
    }
    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        todo!()
    }
    fn sync_directory(&self) -> io::Result<()> {
        todo!()
    }
}

impl DiskFile for File {
    fn write_at(&self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        todo!()
    }
    fn read_exact_at(&self, _offset: u64, _bytes: &mut [u8]) -> io::Result<()> {
        todo!()
    }
    fn sync(&self) -> io::Result<()> {
        todo!()
    }
    fn truncate(&self, _length: u64) -> io::Result<()> {
        todo!()
    }
    fn length(&self) -> io::Result<u64> {
        todo!()
    }
}
