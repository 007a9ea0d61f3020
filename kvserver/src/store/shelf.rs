//! One slot: its trie, its digests, and whether its answers count.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, Ordering},
};

use kvcore::{limits::SLOTS, record::UploadId, slot::Slot, version::Version, wire::Standing};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{
    digest::DigestTree,
    held::{Held, Large, relocate},
    loss::Losses,
};
use crate::{
    log::Location,
    trie::{Pieces, Trie, Verdict},
};

/// One slot.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Packed records; they change by [`Shelf::point`], [`Shelf::put`], [`Shelves::take`],
    /// [`Shelves::empty`].
    pub(super) trie: Trie,
    /// The chunks of every value in chunks.
    large: BTreeMap<UploadId, Large>,
    /// Heap bytes of `large`.
    large_bytes: usize,
    pub(super) digests: DigestTree,
    pub(super) standing: Standing,
    /// Times damage was met in the slot, or it was emptied, since the store was opened.
    pub(super) damages: u32,
}

/// What was in a slot that was emptied.
#[derive(Debug)]
pub(super) struct Emptied {
    /// Still counted, with its bytes.
    pub(super) trie: Trie,
    /// The chunks of its values in chunks.
    pub(super) large: BTreeMap<UploadId, Large>,
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

/// What became of a record that recovery met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovered {
    /// It is in the trie, and what is named here is not any more.
    In(Option<Location>),
    /// What the trie has lasts, and what is named here is not needed.
    Dead(Location),
}

impl Former {
    pub(super) fn of(packed: &[u8]) -> Self {
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

    /// Puts a record in the place of what was there, and gives back what is left of that. `packed`
    /// is `held` as the trie keeps it; `change` is brought up to date but for the bytes.
    ///
    /// `chunks` are those of a value in chunks, unless the shelf has them: the record before had
    /// the same ones, or they are brought in later.
    pub(super) fn put(
        &mut self,
        key: &[u8],
        (held, packed): (&Held<'_>, Pieces<'_>),
        chunks: Option<Large>,
        change: &mut Change,
    ) -> Option<Former> {
        let mut former = self.trie.replace(key, packed, Former::of);
        change.count_in(&mut self.digests, key, held, former.as_ref());
        let upload = held.upload();
        let brought = upload.zip(chunks);
        let displaced = brought.and_then(|(upload, chunks)| self.keep_large(upload, chunks));
        if let Some(former) = &mut former {
            let gone = former.upload.filter(|&of| upload != Some(of));
            let dropped = gone.and_then(|upload| self.drop_large(upload));
            former.chunks = dropped.or(displaced);
        }
        former
    }

    /// Puts a record in that recovery met, unless what is there is newer. The same comes of it in
    /// whichever order the records of a key come. No chunks are here yet; `digests` have to be
    /// taken over afterwards.
    pub(super) fn recover(
        &mut self,
        key: &[u8],
        (new, packed): (&Held<'_>, Pieces<'_>),
        (digests, change): (&mut DigestTree, &mut Change),
    ) -> Recovered {
        // Of two with the same version, which compaction makes, the later one is the one that lasts.
        let met = self.trie.replace_if(key, packed, |bytes| {
            let held = Held::unpack(bytes);
            if (held.version, held.location) >= (new.version, new.location) {
                return Verdict::Keep(None);
            }
            Verdict::Replace(Some(Former::of(bytes)))
        });
        let former = match met {
            Some(None) => return Recovered::Dead(new.location),
            Some(former) => former,
            None => None,
        };
        change.count_in(digests, key, new, former.as_ref());
        Recovered::In(former.map(|former| former.location))
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

    pub(super) fn bytes(&self) -> usize {
        self.trie.bytes() + self.digests.bytes() + self.large_bytes
    }
}

/// All slots, and sums over them.
#[derive(Debug)]
pub(super) struct Shelves {
    slots: Box<[RwLock<Shelf>]>,
    pub(super) losses: Losses,
    // Signed, since they are sums of differences.
    keys: AtomicI64,
    tombstones: AtomicI64,
    bytes: AtomicI64,
}

/// What changes to one shelf do to the sums over all.
#[derive(Debug, Default)]
pub(super) struct Change {
    keys: i64,
    tombstones: i64,
}

impl Change {
    /// Counts a record in that took the place of another, or of none.
    fn count_in(
        &mut self,
        digests: &mut DigestTree,
        key: &[u8],
        held: &Held<'_>,
        former: Option<&Former>,
    ) {
        digests.add(key, held.version);
        *self.count(held.is_tombstone()) += 1;
        if let Some(former) = former {
            digests.remove(key, former.version);
            self.count_out(former);
        }
    }

    /// Counts a record out.
    pub(super) fn count_out(&mut self, former: &Former) {
        *self.count(former.is_tombstone) -= 1;
    }

    fn count(&mut self, tombstone: bool) -> &mut i64 {
        if tombstone {
            &mut self.tombstones
        } else {
            &mut self.keys
        }
    }
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
            keys: AtomicI64::new(0),
            tombstones: AtomicI64::new(0),
            bytes: AtomicI64::new(bytes),
        }
    }

    pub(super) fn read(&self, slot: Slot) -> RwLockReadGuard<'_, Shelf> {
        self.slots[slot.index()].read()
    }

    /// For the standing and for locations. What changes records keeps the sums: beside
    /// [`Shelves::replace`], [`Shelves::take`] and [`Shelves::empty`] that is [`Shelves::note`].
    pub(super) fn write(&self, slot: Slot) -> RwLockWriteGuard<'_, Shelf> {
        self.slots[slot.index()].write()
    }

    /// Puts a record in the place of what was there, as [`Shelf::put`] does.
    pub(super) fn replace(
        &self,
        shelf: &mut Shelf,
        key: &[u8],
        held: &Held<'_>,
        chunks: Option<Large>,
    ) -> Option<Former> {
        let before = shelf.bytes();
        let mut change = Change::default();
        let head = held.head();
        let packed = [head.as_bytes(), held.payload()];
        let former = shelf.put(key, (held, packed), chunks, &mut change);
        self.note(&change);
        self.grow(shelf.bytes(), before);
        former
    }

    /// Notes what changed in a shelf, but for its bytes.
    pub(super) fn note(&self, change: &Change) {
        self.keys.fetch_add(change.keys, Ordering::Relaxed);
        self.tombstones
            .fetch_add(change.tombstones, Ordering::Relaxed);
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
        let mut change = Change::default();
        change.count_out(&former);
        self.note(&change);
        self.grow(shelf.bytes(), before);
        Some(former)
    }

    /// Empties a slot in one moment, whatever it holds. It votes, and what was said of it before
    /// counts no more: for that, emptying counts as damage does.
    pub(super) fn empty(&self, slot: Slot) -> Emptied {
        let mut shelf = self.write(slot);
        let before = shelf.bytes();
        let trie = std::mem::take(&mut shelf.trie);
        let large = std::mem::take(&mut shelf.large);
        shelf.large_bytes = 0;
        shelf.digests = DigestTree::default();
        shelf.standing = Standing::Voter;
        shelf.damages += 1;
        let after = shelf.bytes();
        drop(shelf);
        self.grow(after + trie.bytes(), before);
        Emptied { trie, large }
    }

    /// Notes that something that took `before` bytes now takes `after`.
    pub(super) fn grow(&self, after: usize, before: usize) {
        let signed = |bytes: usize| i64::try_from(bytes).expect("memory is less than 2^63 bytes");
        self.bytes
            .fetch_add(signed(after) - signed(before), Ordering::Relaxed);
    }

    /// Keys with a value.
    pub(super) fn keys(&self) -> u64 {
        sum(&self.keys)
    }

    /// Keys with a tombstone.
    pub(super) fn tombstones(&self) -> u64 {
        sum(&self.tombstones)
    }

    /// Bytes of tries, digests and payloads.
    pub(super) fn bytes(&self) -> u64 {
        sum(&self.bytes)
    }
}

fn sum(of: &AtomicI64) -> u64 {
    u64::try_from(of.load(Ordering::Relaxed)).unwrap_or(0)
}
