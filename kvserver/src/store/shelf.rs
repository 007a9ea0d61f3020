//! One slot: its trie, its digests, and whether its answers count.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use kvcore::{limits::SLOTS, slot::Slot, wire::Standing};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{digest::DigestTree, held::Held, loss::Losses};
use crate::trie::Trie;

/// One slot.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) trie: Trie<Held>,
    pub(super) digests: DigestTree,
    pub(super) standing: Standing,
    /// Times damage was met in the slot since the store was opened.
    pub(super) damages: u32,
}

/// All slots, and sums over them.
#[derive(Debug)]
pub(super) struct Shelves {
    slots: Box<[RwLock<Shelf>]>,
    pub(super) losses: Losses,
    keys: AtomicU64,
    tombstones: AtomicU64,
    /// Signed, since it is the sum of differences.
    bytes: AtomicI64,
}

impl Shelves {
    pub(super) fn new() -> Self {
        let empty = || Shelf {
            trie: Trie::new(),
            digests: DigestTree::default(),
            standing: Standing::Voter,
            damages: 0,
        };
        let slots: Box<[_]> = (0..SLOTS).map(|_| RwLock::new(empty())).collect();
        let bytes = i64::try_from(size_of_val(&*slots)).expect("a few kibibytes");
        Self {
            slots,
            losses: Losses::default(),
            keys: AtomicU64::new(0),
            tombstones: AtomicU64::new(0),
            bytes: AtomicI64::new(bytes),
        }
    }

    pub(super) fn read(&self, slot: Slot) -> RwLockReadGuard<'_, Shelf> {
        self.slots[slot.index()].read()
    }

    /// For the standing and for locations; records change by [`Shelves::replace`] and
    /// [`Shelves::take`] alone, which keep the sums.
    pub(super) fn write(&self, slot: Slot) -> RwLockWriteGuard<'_, Shelf> {
        self.slots[slot.index()].write()
    }

    /// Puts a record in the place of what was there, and gives that back.
    pub(super) fn replace(&self, shelf: &mut Shelf, key: &[u8], held: Held) -> Option<Held> {
        let before = shelf.trie.bytes() + shelf.digests.bytes();
        let (added, tombstone) = (held.heap_bytes(), held.is_tombstone());
        shelf.digests.add(key, held.version);
        let old = shelf.trie.insert(key, held);
        if let Some(old) = &old {
            shelf.digests.remove(key, old.version);
            self.count(old.is_tombstone())
                .fetch_sub(1, Ordering::Relaxed);
        }
        self.count(tombstone).fetch_add(1, Ordering::Relaxed);
        let after = shelf.trie.bytes() + shelf.digests.bytes() + added;
        self.grow(after, before + old.as_ref().map_or(0, Held::heap_bytes));
        old
    }

    /// Takes a record out, and gives it back.
    pub(super) fn take(&self, shelf: &mut Shelf, key: &[u8]) -> Option<Held> {
        let before = shelf.trie.bytes();
        let old = shelf.trie.remove(key)?;
        shelf.digests.remove(key, old.version);
        self.count(old.is_tombstone())
            .fetch_sub(1, Ordering::Relaxed);
        self.grow(shelf.trie.bytes(), before + old.heap_bytes());
        Some(old)
    }

    fn count(&self, tombstone: bool) -> &AtomicU64 {
        if tombstone {
            &self.tombstones
        } else {
            &self.keys
        }
    }

    /// Notes that something that took `before` bytes now takes `after`.
    pub(super) fn grow(&self, after: usize, before: usize) {
        let signed = |bytes: usize| i64::try_from(bytes).expect("memory is less than 2^63 bytes");
        self.bytes
            .fetch_add(signed(after) - signed(before), Ordering::Relaxed);
    }

    /// Keys with a value.
    pub(super) fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// Keys with a tombstone.
    pub(super) fn tombstones(&self) -> u64 {
        self.tombstones.load(Ordering::Relaxed)
    }

    /// Bytes of tries, digests and payloads.
    pub(super) fn bytes(&self) -> u64 {
        u64::try_from(self.bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }
}
