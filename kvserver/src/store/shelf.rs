//! One slot: its trie, its digests, and whether its answers count.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
};

use kvcore::{limits::SLOTS, record::UploadId, slot::Slot, version::Version, wire::Standing};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{
    digest::DigestTree,
    held::{Held, Large, relocate},
    loss::Losses,
};
use crate::{log::Location, trie::Trie};

/// One slot.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Packed records; they change by [`Shelf::point`], [`Shelves::replace`], [`Shelves::take`].
    pub(super) trie: Trie,
    /// The chunks of every value in chunks.
    large: BTreeMap<UploadId, Large>,
    /// Heap bytes of `large`.
    large_bytes: usize,
    pub(super) digests: DigestTree,
    pub(super) standing: Standing,
    /// Times damage was met in the slot since the store was opened.
    pub(super) damages: u32,
}

/// What is left of a record that was replaced or taken out.
#[derive(Debug)]
pub(super) struct Former {
    pub(super) version: Version,
    pub(super) location: Location,
    /// The upload of its chunks, if it was a value in chunks.
    pub(super) upload: Option<UploadId>,
    /// Its chunks, unless the record in its place has them now.
    pub(super) chunks: Option<Large>,
    is_tombstone: bool,
}

impl Former {
    fn of(packed: &[u8]) -> Self {
        let held = Held::unpack(packed);
        Self {
            version: held.version,
            location: held.location,
            upload: held.upload(),
            chunks: None,
            is_tombstone: held.is_tombstone(),
        }
    }

    /// Everything in the log that is dead with it.
    pub(super) fn locations(&self) -> impl Iterator<Item = Location> + '_ {
        let chunks = self.chunks.iter().flat_map(|large| &large.locations);
        std::iter::once(self.location).chain(chunks.copied())
    }
}

impl Shelf {
    /// The record of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<Held<'_>> {
        self.trie.get(key).map(Held::unpack)
    }

    /// The chunks of a value in chunks, once they were brought in.
    pub(super) fn large(&self, upload: UploadId) -> Option<&Large> {
        self.large.get(&upload)
    }

    /// Everything in the log that a record of this shelf needs.
    pub(super) fn locations(&self, held: &Held<'_>) -> impl Iterator<Item = Location> + '_ {
        let large = held.upload().and_then(|upload| self.large(upload));
        let chunks = large.into_iter().flat_map(|large| &large.locations);
        std::iter::once(held.location).chain(chunks.copied())
    }

    /// Notes that the log has a key's record elsewhere; false if it was not at `from`.
    pub(super) fn point(&mut self, key: &[u8], from: Location, to: Location) -> bool {
        debug_assert_eq!(from.length, to.length, "a record moves as it is");
        match self.trie.get_mut(key) {
            Some(packed) if Held::unpack(packed).location == from => {
                relocate(packed, to.segment, to.offset);
                true
            }
            _ => false,
        }
    }

    /// Notes that the log has a chunk elsewhere; false if it was not at `from`.
    pub(super) fn point_chunk(
        &mut self,
        upload: UploadId,
        index: u32,
        from: Location,
        to: Location,
    ) -> bool {
        let large = self.large.get_mut(&upload);
        let chunk = large.and_then(|large| large.locations.get_mut(index as usize));
        let is_it = chunk.filter(|location| **location == from);
        is_it.map(|location| *location = to).is_some()
    }

    fn keep_large(&mut self, upload: UploadId, chunks: Large) -> Option<Large> {
        self.large_bytes += chunks.heap_bytes();
        let former = self.large.insert(upload, chunks);
        self.large_bytes -= former.as_ref().map_or(0, Large::heap_bytes);
        former
    }

    fn drop_large(&mut self, upload: UploadId) -> Option<Large> {
        let former = self.large.remove(&upload)?;
        self.large_bytes -= former.heap_bytes();
        Some(former)
    }

    fn bytes(&self) -> usize {
        self.trie.bytes() + self.digests.bytes() + self.large_bytes
    }
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
            large: BTreeMap::new(),
            large_bytes: 0,
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

    /// Puts a record in the place of what was there, and gives back what is left of that.
    ///
    /// `chunks` are those of a value in chunks, unless the shelf has them: the record before had
    /// the same ones, or they are brought in later.
    pub(super) fn replace(
        &self,
        shelf: &mut Shelf,
        key: &[u8],
        held: &Held<'_>,
        chunks: Option<Large>,
    ) -> Option<Former> {
        let before = shelf.bytes();
        shelf.digests.add(key, held.version);
        let head = held.head();
        let packed = [head.as_bytes(), held.payload()];
        let mut former = shelf.trie.replace(key, packed, Former::of);
        let upload = held.upload();
        let brought = upload.zip(chunks);
        let displaced = brought.and_then(|(upload, chunks)| shelf.keep_large(upload, chunks));
        if let Some(former) = &mut former {
            shelf.digests.remove(key, former.version);
            self.count(former.is_tombstone)
                .fetch_sub(1, Ordering::Relaxed);
            let gone = former.upload.filter(|&of| upload != Some(of));
            let dropped = gone.and_then(|upload| shelf.drop_large(upload));
            former.chunks = dropped.or(displaced);
        }
        self.count(held.is_tombstone())
            .fetch_add(1, Ordering::Relaxed);
        self.grow(shelf.bytes(), before);
        former
    }

    /// Brings in the chunks of a value in chunks that is there.
    pub(super) fn complete(&self, shelf: &mut Shelf, upload: UploadId, chunks: Large) {
        let before = shelf.bytes();
        shelf.keep_large(upload, chunks);
        self.grow(shelf.bytes(), before);
    }

    /// Takes a record out, and gives back what is left of it.
    pub(super) fn take(&self, shelf: &mut Shelf, key: &[u8]) -> Option<Former> {
        let before = shelf.bytes();
        let mut former = shelf.trie.take(key, Former::of)?;
        former.chunks = former.upload.and_then(|upload| shelf.drop_large(upload));
        shelf.digests.remove(key, former.version);
        self.count(former.is_tombstone)
            .fetch_sub(1, Ordering::Relaxed);
        self.grow(shelf.bytes(), before);
        Some(former)
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
