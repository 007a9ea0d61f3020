//! What the log wants of a disk: plain files in one directory, and to know when they are durable.
//!
//! The log decides over this trait alone, so the same code runs on a file system
//! ([`directory::Directory`]) and on a disk in memory that loses power on demand
//! ([`memory::MemoryDisk`]).

pub mod directory;
pub mod memory;

use std::{fmt, io};

/// One directory of files. Names are plain file names, never paths.
///
/// What an implementation promises, and no more: a name that was created, renamed or removed is
/// so for good only after [`Disk::sync_directory`]; bytes are there for good only after
/// [`DiskFile::sync`]. Before that a crash may keep all, some or none of it.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;

    /// Opens a file for reading.
    fn open_read(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file that exists for reading and writing.
    ///
    /// Not in append mode: on Linux that mode ignores the offset of positioned writes.
    fn open_write(&self, name: &str) -> io::Result<Self::File>;

    /// Makes a new, empty file for reading and writing; an error if the name exists.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a name; handles that are open stay usable.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes every earlier `create`, `remove` and `rename` durable.
    fn sync_directory(&self) -> io::Result<()>;
}

/// An open file, read and written at given offsets.
pub trait DiskFile: fmt::Debug + Send + Sync + 'static {
    /// Writes all of `bytes` at `offset`; after an error any part of them may be there.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Fills `bytes` from `offset`; an error of kind `UnexpectedEof` beyond the end.
    fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Makes the bytes and the length durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;

    /// Cuts or extends the file to `length` bytes; durable after [`DiskFile::sync`].
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// The length in bytes.
    fn length(&self) -> io::Result<u64>;
}
