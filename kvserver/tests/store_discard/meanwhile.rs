//! A disk on which something else happens in the middle of a read, and the read then fails.

use std::{io, sync::Arc};

use kvserver::log::disk::{
    Disk, DiskFile,
    memory::{MemoryDisk, MemoryFile},
};
use parking_lot::Mutex;

type Event = Box<dyn FnOnce() + Send>;

#[derive(Clone, Default)]
pub(super) struct BusyDisk {
    disk: MemoryDisk,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    event: Option<Event>,
    reads_to_fail: u32,
}

impl std::fmt::Debug for BusyDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BusyDisk")
    }
}

impl BusyDisk {
    /// Lets this happen during the next read, which fails, as the one that tries it again.
    pub(super) fn during_next_read(&self, event: impl FnOnce() + Send + 'static) {
        self.state.lock().event = Some(Box::new(event));
    }

    fn file(&self, file: io::Result<MemoryFile>) -> io::Result<BusyFile> {
        Ok(BusyFile {
            file: file?,
            disk: self.clone(),
        })
    }
}

#[derive(Debug)]
pub(super) struct BusyFile {
    file: MemoryFile,
    disk: BusyDisk,
}

impl Disk for BusyDisk {
    type File = BusyFile;

    fn open_read(&self, name: &str) -> io::Result<BusyFile> {
        self.file(self.disk.open_read(name))
    }

    fn open_write(&self, name: &str) -> io::Result<BusyFile> {
        self.file(self.disk.open_write(name))
    }

    fn create(&self, name: &str) -> io::Result<BusyFile> {
        self.file(self.disk.create(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }
}

impl DiskFile for BusyFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let event = self.disk.state.lock().event.take();
        if let Some(event) = event {
            event();
            self.disk.state.lock().reads_to_fail = 2;
        }
        let mut state = self.disk.state.lock();
        if state.reads_to_fail > 0 {
            state.reads_to_fail -= 1;
            return Err(rustix::io::Errno::IO.into());
        }
        drop(state);
        self.file.read_exact_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}
