//! A disk in memory that loses power on demand.
//!
//! It keeps for every file what is durable and what was only written since, and the same for the
//! names. A crash keeps an arbitrary part of the second, sector by sector, chosen by a seed. A
//! sync that fails leaves the written bytes readable and forgets that they were never written
//! back, as Linux file systems do (Rebello et al., "Can Applications Recover from fsync
//! Failures?", ATC 2020). Sectors can be lost: until they are written anew as a whole, what touches
//! them fails, writing a part of them too, since that reads the rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    sync::Arc,
};

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{Disk, DiskFile};

/// What a disk writes in one piece.
const SECTOR_BYTES: usize = 512;

/// A disk in memory; clones are handles of the same disk.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

/// An open file of a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryFile {
    disk: MemoryDisk,
    file: usize,
    /// Crashes before it was opened: a handle does not outlive its process.
    boot: u64,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Contents>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameChange>,
    boot: u64,
    room: Option<u64>,
    syncs_until_failure: Option<u32>,
    reads_until_failure: Option<u32>,
    syncs: u64,
}

#[derive(Debug, Default)]
struct Contents {
    current: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Numbers of the sectors that cannot be read.
    lost: BTreeSet<usize>,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

#[derive(Debug)]
enum NameChange {
    Set { name: String, file: usize },
    Unset { name: String },
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Power fails: of what was not synced, the seed decides what survives. Open handles are dead.
    pub fn crash(&self, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut state = self.0.lock();
        state.boot += 1;
        state.room = None;
        state.syncs_until_failure = None;
        state.reads_until_failure = None;
        for file in &mut state.files {
            file.crash(&mut random);
        }
        // A journal commits changes of names in order.
        let changes = std::mem::take(&mut state.unsynced_names);
        let kept = random.random_range(0..=changes.len());
        let mut names = state.durable_names.clone();
        for change in changes.into_iter().take(kept) {
            change.apply(&mut names);
        }
        state.durable_names.clone_from(&names);
        state.names = names;
    }

    /// Lets writes fail for want of room after this many more bytes; `None` is all the room.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.0.lock().room = bytes;
    }

    /// Lets the sync after this many more fail, of a file or of the directory; `None` lets none.
    pub fn fail_sync_after(&self, syncs: Option<u32>) {
        self.0.lock().syncs_until_failure = syncs;
    }

    /// Lets the read after this many more fail, once; `None` lets none.
    pub fn fail_reads_after(&self, reads: Option<u32>) {
        self.0.lock().reads_until_failure = reads;
    }

    /// Loses the sector of a file that holds this byte.
    pub fn lose(&self, name: &str, byte: usize) {
        let mut state = self.0.lock();
        let Some(&file) = state.names.get(name) else {
            return;
        };
        let file = &mut state.files[file];
        if byte < file.current.len() {
            file.lost.insert(byte / SECTOR_BYTES);
        }
    }

    /// Flips one bit of a file, on the medium too.
    pub fn flip(&self, name: &str, byte: usize, bit: u8) {
        let mut state = self.0.lock();
        let Some(&file) = state.names.get(name) else {
            return;
        };
        let file = &mut state.files[file];
        for bytes in [&mut file.current, &mut file.durable] {
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// The bytes of a file, if it exists.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.0.lock();
        let file = *state.names.get(name)?;
        Some(state.files[file].current.clone())
    }

    /// Puts a file there, durably.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.0.lock();
        let file = state.files.len();
        state.files.push(Contents {
            current: bytes.clone(),
            durable: bytes,
            unsynced: Vec::new(),
            lost: BTreeSet::new(),
        });
        state.names.insert(name.to_owned(), file);
        state.durable_names.insert(name.to_owned(), file);
    }

    /// Syncs so far, of files and of the directory.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    fn handle(&self, file: usize, boot: u64) -> MemoryFile {
        MemoryFile {
            disk: self.clone(),
            file,
            boot,
        }
    }
}

impl State {
    fn find(&self, name: &str) -> io::Result<usize> {
        let found = self.names.get(name).copied();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, name.to_owned()))
    }

    /// Counts a sync; an error when it is the one to fail.
    fn count_sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        match &mut self.syncs_until_failure {
            Some(0) => {
                self.syncs_until_failure = None;
                Err(io::Error::other("injected sync failure"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Counts a read; an error when it is the one to fail.
    fn count_read(&mut self) -> io::Result<()> {
        match &mut self.reads_until_failure {
            Some(0) => {
                self.reads_until_failure = None;
                Err(rustix::io::Errno::IO.into())
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Set { name, file } => {
                names.insert(name.clone(), *file);
            }
            Self::Unset { name } => {
                names.remove(name);
            }
        }
    }
}

impl Contents {
    /// An error if any of these bytes cannot be read.
    fn check_readable(&self, bytes: Range<usize>) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let sectors = bytes.start / SECTOR_BYTES..bytes.end.div_ceil(SECTOR_BYTES);
        match self.lost.range(sectors).next() {
            Some(_) => Err(rustix::io::Errno::IO.into()),
            None => Ok(()),
        }
    }

    /// Notes that these bytes are written, or do not matter any more. An error if that takes
    /// reading what cannot be read: a sector is written as a whole.
    fn mend(&mut self, bytes: Range<usize>) -> io::Result<()> {
        let (first, last) = (bytes.start / SECTOR_BYTES, bytes.end / SECTOR_BYTES);
        for (sector, is_cut) in [
            (first, !bytes.start.is_multiple_of(SECTOR_BYTES)),
            (last, !bytes.end.is_multiple_of(SECTOR_BYTES)),
        ] {
            if is_cut && self.lost.contains(&sector) {
                return Err(rustix::io::Errno::IO.into());
            }
        }
        self.lost
            .retain(|sector| !(first..bytes.end.div_ceil(SECTOR_BYTES)).contains(sector));
        Ok(())
    }

    fn write_back(&mut self, change: Change) {
        match change {
            Change::Write { offset, bytes } => overwrite(&mut self.durable, offset, &bytes),
            Change::Truncate { length } => self.durable.resize(length, 0),
        }
    }

    fn crash(&mut self, random: &mut StdRng) {
        let keep_percent = random.random_range(0..=100);
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { offset, bytes } => {
                    let mut start = 0;
                    while start < bytes.len() {
                        // Pieces end where a sector of the file ends.
                        let sector_end = SECTOR_BYTES - (offset + start) % SECTOR_BYTES;
                        let end = bytes.len().min(start + sector_end);
                        if random.random_range(0..100) < keep_percent {
                            overwrite(&mut self.durable, offset + start, &bytes[start..end]);
                        }
                        start = end;
                    }
                }
                Change::Truncate { length } => {
                    if random.random_range(0..100) < keep_percent {
                        self.durable.resize(length, 0);
                    }
                }
            }
        }
        self.current.clone_from(&self.durable);
        // What is behind the end belongs to nobody: if the file grows again, it has other sectors.
        let sectors = self.current.len().div_ceil(SECTOR_BYTES);
        self.lost.retain(|&sector| sector < sectors);
    }
}

/// Writes into a file's bytes, which grow with zeros where need be.
fn overwrite(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn open_read(&self, name: &str) -> io::Result<MemoryFile> {
        let state = self.0.lock();
        Ok(self.handle(state.find(name)?, state.boot))
    }

    fn open_write(&self, name: &str) -> io::Result<MemoryFile> {
        self.open_read(name)
    }

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        let mut state = self.0.lock();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(Contents::default());
        state.change_name(NameChange::Set {
            name: name.to_owned(),
            file,
        });
        Ok(self.handle(file, state.boot))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        let freed = state.find(name)?;
        let freed = state.files[freed].current.len() as u64;
        state.room = state.room.map(|room| room + freed);
        state.change_name(NameChange::Unset {
            name: name.to_owned(),
        });
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        let file = state.find(from)?;
        state.change_name(NameChange::Set {
            name: to.to_owned(),
            file,
        });
        state.change_name(NameChange::Unset {
            name: from.to_owned(),
        });
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        let outcome = state.count_sync();
        state.unsynced_names.clear();
        if outcome.is_ok() {
            state.durable_names = state.names.clone();
        }
        outcome
    }
}

impl MemoryFile {
    /// The disk's state, an error for a handle from before a crash.
    fn state(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let state = self.disk.0.lock();
        if state.boot == self.boot {
            Ok(state)
        } else {
            Err(io::Error::other("the handle is from before a crash"))
        }
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state()?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let grown = (offset + bytes.len()).saturating_sub(state.files[self.file].current.len());
        let missing = match &mut state.room {
            Some(room) => {
                let taken = (*room).min(grown as u64);
                *room -= taken;
                grown - usize::try_from(taken).expect("at most what was asked for")
            }
            None => 0,
        };
        let written = &bytes[..bytes.len() - missing.min(bytes.len())];
        let file = &mut state.files[self.file];
        file.mend(offset..offset + written.len())?;
        overwrite(&mut file.current, offset, written);
        file.unsynced.push(Change::Write {
            offset,
            bytes: written.to_vec(),
        });
        if missing > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut state = self.state()?;
        state.count_read()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let file = &state.files[self.file];
        let from = start
            .checked_add(bytes.len())
            .and_then(|end| file.current.get(start..end))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        file.check_readable(start..start + bytes.len())?;
        bytes.copy_from_slice(from);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state()?;
        let outcome = state.count_sync();
        let file = &mut state.files[self.file];
        let changes = std::mem::take(&mut file.unsynced);
        if outcome.is_ok() {
            // Only these: what an earlier failed sync has forgotten stays off the medium.
            for change in changes {
                file.write_back(change);
            }
        }
        outcome
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let file = &mut state.files[self.file];
        let before = file.current.len().next_multiple_of(SECTOR_BYTES);
        if length < before {
            file.mend(length..before)?;
        }
        let freed = file.current.len().saturating_sub(length);
        file.current.resize(length, 0);
        file.unsynced.push(Change::Truncate { length });
        if let Some(room) = &mut state.room {
            *room += freed as u64;
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.state()?.files[self.file].current.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_sector_is_gone_with_the_end_of_its_file() {
        let mut shorter = 0;
        for seed in 0..50 {
            let disk = MemoryDisk::new();
            let file = disk.create("file").expect("it is new");
            disk.sync_directory().expect("no sync fails");
            file.write_at(0, &[1; 4 * SECTOR_BYTES]).expect("room");
            disk.lose("file", 2 * SECTOR_BYTES);
            disk.crash(seed);
            let file = disk.open_write("file").expect("its name is durable");
            if file.length().expect("a length") <= 2 * SECTOR_BYTES as u64 {
                shorter += 1;
                let part = 2 * SECTOR_BYTES as u64 + 10;
                file.write_at(part, &[2; 10]).expect("another sector");
            }
        }
        assert!(shorter > 0);
    }
}
