//! The simulated disk of one member: a disk in memory whose power can go in the middle of things.

use std::{io, sync::Arc};

use kvserver::log::disk::{
    Disk, DiskFile,
    memory::{MemoryDisk, MemoryFile},
};
use parking_lot::Mutex;

/// A disk in memory behind a switch.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    /// What is below.
    pub memory: MemoryDisk,
    switch: Arc<Mutex<Switch>>,
}

/// Counts what changes the disk, and turns it off.
#[derive(Debug, Default)]
struct Switch {
    /// Changes until the power goes.
    left: Option<u32>,
    is_off: bool,
}

impl Switch {
    fn change(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(0) => {
                self.left = None;
                self.is_off = true;
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.check()
    }

    fn check(&self) -> io::Result<()> {
        if self.is_off {
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
    }
}

impl SimDisk {
    /// Turns the power off at the change after this many more.
    pub fn turn_off_after(&self, changes: u32) {
        self.switch.lock().left = Some(changes);
    }

    /// Forgets that the power was to go.
    pub fn stay_on(&self) {
        self.switch.lock().left = None;
    }

    /// Whether the power is off: what the process believes since then nobody has seen.
    pub fn is_off(&self) -> bool {
        self.switch.lock().is_off
    }

    /// The power goes, if it has not; a seed decides what of the unsynced survives.
    pub fn lose_power(&self, seed: u64) {
        *self.switch.lock() = Switch::default();
        self.memory.crash(seed);
    }
}

/// An open file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile {
    file: MemoryFile,
    switch: Arc<Mutex<Switch>>,
}

impl SimDisk {
    fn file(&self, file: MemoryFile) -> SimFile {
        SimFile {
            file,
            switch: Arc::clone(&self.switch),
        }
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open_read(&self, name: &str) -> io::Result<SimFile> {
        self.switch.lock().check()?;
        Ok(self.file(self.memory.open_read(name)?))
    }

    fn open_write(&self, name: &str) -> io::Result<SimFile> {
        self.switch.lock().check()?;
        Ok(self.file(self.memory.open_write(name)?))
    }

    fn create(&self, name: &str) -> io::Result<SimFile> {
        self.switch.lock().change()?;
        Ok(self.file(self.memory.create(name)?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.switch.lock().check()?;
        self.memory.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.switch.lock().change()?;
        self.memory.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.switch.lock().change()?;
        self.memory.rename(from, to)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.switch.lock().change()?;
        self.memory.sync_directory()
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.switch.lock().change()?;
        self.file.write_at(offset, bytes)
    }

    fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.switch.lock().check()?;
        self.file.read_exact_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.switch.lock().change()?;
        self.file.sync()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.switch.lock().change()?;
        self.file.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.switch.lock().check()?;
        self.file.length()
    }
}
