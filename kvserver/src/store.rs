//! The store of one member: a trie a slot over one log.
//!
//! Laws:
//! - A key's record is only ever replaced by one with a higher version; an equal one changes
//!   nothing and is answered as stored.
//! - What a read returns is in the log, and durable if the member syncs always: a record becomes
//!   visible after its commit.
//! - A value in chunks is visible once all of them are there, or not at all.
//! - A slot whose data may be damaged never answers "absent".
//! - Tombstones stay. They are collected by nobody yet.
//! - A slot that was emptied has nothing from before, after any restart.
//!
//! [`Store`] serves reads from any thread; [`writer::Writer`] is owned by the one thread that
//! writes. Reads hold a slot's lock to look a record up, or to walk over a bounded number of them, never
//! over I/O.

mod compaction;
pub mod digest;
mod held;
mod loss;
mod open;
mod read;
mod shelf;
mod staging;
mod valid_from;
pub mod writer;

use std::sync::Arc;

use kvcore::{
    slot::{Slot, SlotSet},
    status::{StorageMode, SyncMode},
    wire::{SlotDigest, Standing},
};

use self::shelf::Shelves;
pub use self::{
    open::{Opened, Opening, open},
    read::{ReadFailure, ScanRequest},
    valid_from::ValidFrom,
};
use crate::log::{LogReader, disk::Disk};

/// How a store keeps its data.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Where values live.
    pub mode: StorageMode,
    /// When a write is acknowledged.
    pub sync: SyncMode,
    /// Bytes of memory beyond which values are refused; `None` is no limit.
    pub memory_limit: Option<u64>,
    /// Size of a log segment, in bytes.
    pub segment_bytes: u32,
    /// Who builds the tries while the store is opened.
    pub opening: Opening,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            mode: StorageMode::Memory,
            sync: SyncMode::Always,
            memory_limit: None,
            segment_bytes: 64 * 1024 * 1024,
            opening: Opening::on_all_cores(),
        }
    }
}

/// The reading side; cheap to clone.
#[derive(Debug)]
pub struct Store<D: Disk> {
    shelves: Arc<Shelves>,
    reader: LogReader<D>,
    mode: StorageMode,
}

impl<D: Disk> Clone for Store<D> {
    fn clone(&self) -> Self {
        Self {
            shelves: Arc::clone(&self.shelves),
            reader: self.reader.clone(),
            mode: self.mode,
        }
    }
}

impl<D: Disk> Store<D> {
    /// Keys with a value.
    pub fn keys(&self) -> u64 {
        self.shelves.keys()
    }

    /// Deleted keys still remembered.
    pub fn tombstones(&self) -> u64 {
        self.shelves.tombstones()
    }

    /// Bytes of tries, digests and payloads in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.shelves.bytes()
    }

    /// Where values live.
    pub fn mode(&self) -> StorageMode {
        self.mode
    }

    /// Whether the slot's answers count.
    pub fn standing(&self, slot: Slot) -> Standing {
        self.shelves.read(slot).standing
    }

    /// Times damage was met in the slot, or it was emptied, since the store was opened: what was
    /// brought up to date, or read, before the last time is worth nothing.
    pub fn damages(&self, slot: Slot) -> u32 {
        self.shelves.read(slot).damages
    }

    /// Records that were lost to damage since the store was opened.
    pub fn losses(&self) -> u64 {
        self.shelves.losses.records()
    }

    /// Times damage was met in the log: by recovery, by reads, by compaction.
    pub fn damage_met(&self) -> u64 {
        self.shelves.losses.met()
    }

    /// Lets the slot's answers count again, unless damage was met in it, or it was emptied, after
    /// `damages` times.
    pub fn let_vote(&self, slot: Slot, damages: u32) -> bool {
        let mut shelf = self.shelves.write(slot);
        let may = shelf.damages == damages;
        if may {
            shelf.standing = Standing::Voter;
        }
        may
    }

    /// The slots with this standing.
    pub fn slots_with(&self, standing: Standing) -> SlotSet {
        Slot::all()
            .filter(|&slot| self.standing(slot) == standing)
            .collect()
    }

    /// Whether the slot has any record, tombstones among them.
    pub fn has_records(&self, slot: Slot) -> bool {
        !self.shelves.read(slot).trie.is_empty()
    }

    /// The digest of a slot.
    pub fn digest(&self, slot: Slot) -> SlotDigest {
        let shelf = self.shelves.read(slot);
        SlotDigest {
            slot,
            standing: shelf.standing,
            digest: shelf.digests.root(),
        }
    }

    /// The digests of a slot's buckets.
    pub fn buckets(&self, slot: Slot) -> Box<[u64; kvcore::wire::BUCKETS]> {
        self.shelves.read(slot).digests.buckets()
    }
}
