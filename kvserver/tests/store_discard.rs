//! Slots that are emptied: what they held is gone, whatever happens after, and takes up nothing.

// Test helpers outside of #[test] functions may unwrap too; test numbers are small.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::{CHUNK_BYTES, SLOTS},
    record::Record,
    slot::{Slot, SlotSet},
    status::StorageMode,
    wire::{BucketSet, Refusal, Reply, Standing, Want},
};
use kvserver::{
    log::{
        CommitError, LogPlace,
        disk::{Disk, memory::MemoryDisk},
        is_segment,
    },
    store::{
        Opened, ReadFailure, ScanRequest, ValidFrom,
        writer::{DiscardError, NotNoted, Write},
    },
};

#[path = "store_discard/crash.rs"]
mod crash;
#[path = "store_discard/meanwhile.rs"]
mod meanwhile;
#[path = "store_discard/reading.rs"]
mod reading;
#[path = "fixture/records.rs"]
mod records;

use records::{
    NOW, chunks, compact, keys_of_one_slot, large, open, open_from, options, payload, put,
    put_large, small, store_all, value, version,
};

const MODES: [StorageMode; 2] = [StorageMode::Memory, StorageMode::Disk];
const LENGTH: usize = 2 * CHUNK_BYTES + 77;

/// A store and the slot table of its member: what `note` has made durable.
struct Member {
    disk: Arc<MemoryDisk>,
    mode: StorageMode,
    table: ValidFrom,
    opened: Opened<MemoryDisk>,
}

/// Keys of the slot that is emptied, and of one that is not.
fn emptied() -> Vec<Key> {
    keys_of_one_slot(30)
}

fn kept() -> Vec<Key> {
    let others = (0..).map(records::key);
    let slot = emptied()[0].slot();
    others.filter(|key| key.slot() != slot).take(40).collect()
}

fn only(slot: Slot) -> SlotSet {
    std::iter::once(slot).collect()
}

impl Member {
    fn new(mode: StorageMode) -> Self {
        let disk = Arc::new(MemoryDisk::new());
        let opened = open(&disk, &options(mode));
        Self {
            disk,
            mode,
            table: ValidFrom::default(),
            opened,
        }
    }

    fn write(&mut self, key: &Key, record: Record) {
        store_all(&mut self.opened.writer, vec![put(key, record)]);
    }

    /// Records of all kinds, over several segments, the two slots' side by side.
    fn fill(&mut self) {
        let both = emptied().into_iter().zip(kept());
        for (number, (gone, stays)) in (0..).zip(both) {
            for key in [&gone, &stays] {
                self.write(key, small(100, payload(number, 200)));
                if number % 5 == 0 {
                    self.write(key, Record::tombstone(version(101)));
                }
            }
        }
        for (upload, key) in [(1, &emptied()[1]), (2, &kept()[1])] {
            let bytes = payload(9, LENGTH);
            put_large(&mut self.opened.writer, key, 102, upload, &bytes);
        }
    }

    fn discard(&mut self, slots: &SlotSet) -> LogPlace {
        let table = &mut self.table;
        let note = |place| {
            for slot in slots.iter() {
                table.set(slot, place);
            }
            Ok(())
        };
        self.opened.writer.discard(slots, note).unwrap()
    }

    fn discard_one(&mut self) -> LogPlace {
        self.discard(&only(emptied()[0].slot()))
    }

    fn reopen(&mut self) {
        let new = open_from(&self.disk, &options(self.mode), &self.table);
        self.opened = new;
    }

    fn remove_hints(&self) {
        for name in self.disk.list().unwrap() {
            if name.contains(".hint") {
                self.disk.remove(&name).unwrap();
            }
        }
        self.disk.sync_directory().unwrap();
    }

    /// Nothing can be seen of the slot, whichever way one looks.
    fn assert_empty(&self) {
        let store = &self.opened.store;
        let slot = emptied()[0].slot();
        for key in emptied() {
            assert_eq!(store.get(&key).unwrap(), (Standing::Voter, None));
            assert_eq!(store.version(&key).unwrap().1, None);
        }
        assert_eq!(store.digest(slot).digest, 0);
        assert!(store.buckets(slot).iter().all(|&bucket| bucket == 0));
        let versions = store.versions(slot, &BucketSet::FULL, None);
        assert!(versions.entries.is_empty() && !versions.more);
        let page = store.scan(&ScanRequest {
            slots: &only(slot),
            prefix: b"",
            after: None,
            limit: 10,
            want: Want::Values,
        });
        assert!(page.entries.is_empty() && page.unanswered.is_empty());
    }

    /// The other slots have what `fill` wrote.
    fn assert_kept(&self) {
        let store = &self.opened.store;
        for (number, key) in (0..30).zip(kept()) {
            let expected = match number {
                1 => Some((version(102), payload(9, LENGTH))),
                _ if number % 5 == 0 => None,
                _ => Some((version(100), payload(number, 200))),
            };
            assert_eq!(value(store, &key), expected, "{key}");
        }
        assert_eq!(store.losses(), 0);
    }
}

/// In which ways a member comes to its next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Closed,
    Killed,
    PowerLost,
    /// Every segment is read, none has a hint.
    WithoutHints,
    Compacted,
}

const STARTS: [Start; 5] = [
    Start::Closed,
    Start::Killed,
    Start::PowerLost,
    Start::WithoutHints,
    Start::Compacted,
];

/// Restarts a member in that way. What it was in the middle of is given up.
fn restarted(mut member: Member, start: Start) -> Member {
    if start == Start::Compacted {
        compact(&mut member.opened.writer);
    }
    let Member {
        disk,
        mode,
        table,
        opened,
    } = member;
    match start {
        Start::Closed => opened.writer.close().unwrap(),
        _ => drop(opened),
    }
    if start == Start::PowerLost {
        disk.crash(5);
    }
    let mut blank = Member::new(mode);
    blank.disk = disk;
    blank.table = table;
    if start == Start::WithoutHints {
        blank.remove_hints();
    }
    blank.reopen();
    blank
}

#[test]
fn nothing_comes_back_whatever_the_next_start_reads() {
    for (mode, start) in MODES
        .into_iter()
        .flat_map(|mode| STARTS.map(|start| (mode, start)))
    {
        let mut member = Member::new(mode);
        member.fill();
        member.discard_one();
        member.assert_empty();
        member.assert_kept();
        for _ in 0..2 {
            member = restarted(member, start);
            assert!(member.opened.recovery.intact, "{start:?}");
            let is_read = mode == StorageMode::Memory || start == Start::WithoutHints;
            assert_eq!(member.opened.recovery.from_hints == 0, is_read, "{start:?}");
            member.assert_empty();
            member.assert_kept();
        }
        // As many as another member has that never held the slot.
        assert_eq!(
            (member.opened.store.keys(), member.opened.store.tombstones()),
            (24, 6)
        );
    }
}

#[test]
fn lower_versions_than_before_are_taken_and_last() {
    for (mode, start) in MODES
        .into_iter()
        .flat_map(|mode| STARTS.map(|start| (mode, start)))
    {
        let mut member = Member::new(mode);
        member.fill();
        member.discard_one();
        let again = |number: u64| small(number + 1, payload(number + 50, 150));
        for (number, key) in (0..).zip(emptied()) {
            member.write(&key, again(number));
        }
        // The same upload, with fewer and other bytes: nothing is left of the one before.
        let bytes = payload(77, LENGTH - CHUNK_BYTES);
        put_large(&mut member.opened.writer, &emptied()[1], 3, 1, &bytes);
        for _ in 0..2 {
            for (number, key) in (0..).zip(emptied()) {
                let expected = match number {
                    1 => (version(3), bytes.clone()),
                    _ => (version(number + 1), payload(number + 50, 150)),
                };
                let found = value(&member.opened.store, &key);
                assert_eq!(found, Some(expected), "{mode:?} {start:?} {key}");
            }
            member.assert_kept();
            member = restarted(member, start);
        }
    }
}

/// A store that is as if the slot had never been held.
fn without_the_slot(mode: StorageMode) -> Opened<MemoryDisk> {
    let mut member = Member::new(mode);
    member.fill();
    let disk = Arc::new(MemoryDisk::new());
    let mut opened = open(&disk, &options(mode));
    for (number, key) in (0..30).zip(kept()) {
        let write = put(&key, small(100, payload(number, 200)));
        store_all(&mut opened.writer, vec![write]);
        if number % 5 == 0 {
            let write = put(&key, Record::tombstone(version(101)));
            store_all(&mut opened.writer, vec![write]);
        }
    }
    let bytes = payload(9, LENGTH);
    put_large(&mut opened.writer, &kept()[1], 102, 2, &bytes);
    opened
}

#[test]
fn memory_and_disk_come_back() {
    for mode in MODES {
        let bare = without_the_slot(mode);
        let (memory, live) = (
            bare.store.memory_bytes(),
            bare.writer.log_stats().live_bytes,
        );
        let mut member = Member::new(mode);
        member.fill();
        // Of an upload under way, too.
        let staged = chunks(&emptied()[2], 3, &payload(8, LENGTH));
        store_all(&mut member.opened.writer, staged);
        let full = member.opened.writer.log_stats();
        assert!(full.live_bytes > live + LENGTH as u64);
        member.discard_one();
        compact(&mut member.opened.writer);
        let check = |member: &Member, when: &str| {
            let Opened { store, writer, .. } = &member.opened;
            let stats = writer.log_stats();
            assert_eq!(store.memory_bytes(), memory, "{mode:?} {when}");
            assert_eq!(stats.live_bytes, live, "{mode:?} {when}");
            assert_eq!((store.keys(), store.tombstones()), (24, 6), "{when}");
            assert!(stats.bytes < full.bytes - LENGTH as u64, "{stats:?} {when}");
            let files = member.disk.list().unwrap();
            let segments = files.iter().filter(|name| is_segment(name));
            let bytes: usize = segments
                .map(|name| member.disk.contents(name).unwrap().len())
                .sum();
            // With room ahead in the last one.
            assert!(bytes < stats.bytes as usize + 300_000, "{bytes} {stats:?}");
        };
        check(&member, "at once");
        member = restarted(member, Start::Killed);
        check(&member, "after a restart");
        // And where the restart comes before any of it was released.
        let mut member = Member::new(mode);
        member.fill();
        member.discard_one();
        let mut member = restarted(member, Start::Killed);
        compact(&mut member.opened.writer);
        check(&member, "after a restart at once");
    }
}

#[test]
fn uploads_under_way_are_dropped() {
    for mode in MODES {
        let mut member = Member::new(mode);
        let (key, bytes) = (&emptied()[0], payload(1, LENGTH));
        let record = || vec![put(key, large(5, 1, LENGTH))];
        let parts = chunks(key, 1, &bytes);
        store_all(&mut member.opened.writer, parts[..2].to_vec_of_writes());
        member.discard_one();
        store_all(&mut member.opened.writer, parts[2..].to_vec_of_writes());
        let replies = member.opened.writer.commit(record(), NOW);
        assert_eq!(replies, [Reply::Refused(Refusal::ChunksMissing)]);
        store_all(&mut member.opened.writer, parts);
        store_all(&mut member.opened.writer, record());
        let mut member = restarted(member, Start::WithoutHints);
        let found = value(&member.opened.store, key);
        assert_eq!(found, Some((version(5), bytes)));
        compact(&mut member.opened.writer);
        assert_eq!(member.opened.store.standing(key.slot()), Standing::Voter);
    }
}

/// Writes cannot be cloned; these can be made again.
trait Again {
    fn to_vec_of_writes(&self) -> Vec<Write>;
}

impl Again for [Write] {
    fn to_vec_of_writes(&self) -> Vec<Write> {
        let again = |write: &Write| match write {
            Write::Put { key, record } => put(key, record.clone()),
            Write::Chunk {
                upload,
                slot,
                index,
                bytes,
            } => Write::Chunk {
                upload: *upload,
                slot: *slot,
                index: *index,
                bytes: Bytes::clone(bytes),
            },
        };
        self.iter().map(again).collect()
    }
}

#[test]
fn empty_slots_and_all_slots_can_be_emptied_again_and_again() {
    for mode in MODES {
        let mut member = Member::new(mode);
        let blank = member.opened.store.memory_bytes();
        let first = member.discard_one();
        assert_eq!(member.discard_one(), first, "nothing was appended between");
        member.fill();
        let second = member.discard_one();
        assert!(second > first);
        // Once more, while what it held is not released yet.
        member.write(&emptied()[0], small(1, payload(1, 10)));
        let third = member.discard_one();
        assert!(third > second);
        member.assert_empty();
        let syncs = member.disk.syncs();
        let all = member.discard(&Slot::all().collect());
        assert!(all >= third);
        assert_eq!(member.disk.syncs(), syncs, "all was durable already");
        compact(&mut member.opened.writer);
        let stats = member.opened.writer.log_stats();
        assert_eq!((stats.live_bytes, stats.segments), (0, 1), "{stats:?}");
        assert_eq!(member.opened.store.memory_bytes(), blank);
        assert_eq!(member.opened.store.slots_with(Standing::Voter).len(), SLOTS);
        let member = restarted(member, Start::PowerLost);
        assert_eq!(member.opened.store.keys(), 0);
        assert_eq!(member.opened.store.memory_bytes(), blank);
        assert_eq!(member.opened.writer.log_stats().live_bytes, 0);
    }
}

/// Nothing is released before the place is durable: else compaction could remove the newer of two
/// records, and a restart bring the older one back.
#[test]
fn a_place_that_is_not_noted_empties_nothing() {
    for mode in MODES {
        let mut member = Member::new(mode);
        member.fill();
        let slots = only(emptied()[0].slot());
        let no = NotNoted::NotDone("the disk is full".to_owned());
        let refused = member.opened.writer.discard(&slots, |_| Err(no.clone()));
        assert_eq!(refused, Err(DiscardError::NotNoted(no)));
        let still = value(&member.opened.store, &emptied()[2]);
        assert_eq!(still, Some((version(100), payload(2, 200))));
        member.write(&emptied()[2], small(200, payload(3, 10)));
        compact(&mut member.opened.writer);
        let mut member = restarted(member, Start::Killed);
        let still = value(&member.opened.store, &emptied()[1]);
        assert_eq!(still, Some((version(102), payload(9, LENGTH))));

        // What may count from there on after a restart must not be moved there meanwhile.
        let unknown = NotNoted::Unknown("the directory could not be synced".to_owned());
        let refused = member
            .opened
            .writer
            .discard(&slots, |_| Err(unknown.clone()));
        assert_eq!(refused, Err(DiscardError::NotNoted(unknown)));
        assert!(member.opened.writer.poisoned().is_some());
        let write = put(&emptied()[2], small(201, payload(3, 10)));
        let replies = member.opened.writer.commit(vec![write], NOW);
        assert!(matches!(
            replies[0],
            Reply::Refused(Refusal::LogFailed(_)) | Reply::Uncertain(_)
        ));
        let refused = member.opened.writer.discard(&slots, |_| panic!("noted"));
        assert!(matches!(
            refused,
            Err(DiscardError::Log(CommitError::Poisoned { .. }))
        ));
        let still = value(&member.opened.store, &emptied()[2]);
        assert_eq!(still, Some((version(200), payload(3, 10))));
    }
}

#[test]
fn a_damaged_slot_votes_again_and_what_was_synced_before_is_worth_nothing() {
    let mut member = Member::new(StorageMode::Disk);
    member.fill();
    let key = &emptied()[2];
    for name in member.disk.list().unwrap() {
        let length = member.disk.contents(&name).unwrap().len();
        if is_segment(&name) {
            (200..length).for_each(|byte| member.disk.flip(&name, byte, 3));
        }
    }
    let store = member.opened.store.clone();
    let damaged = store.get(key).unwrap_err();
    assert!(matches!(damaged, ReadFailure::Damaged(_)), "{damaged}");
    let (slot, damages) = (key.slot(), store.damages(key.slot()));
    assert_eq!(store.standing(slot), Standing::Damaged);
    member.discard_one();
    member.assert_empty();
    assert!(!store.let_vote(slot, damages), "it was emptied since");
    assert!(store.damages(slot) > damages);
    assert!(store.let_vote(slot, store.damages(slot)));
}
