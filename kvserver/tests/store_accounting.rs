//! Digests, memory and version pages follow from what is stored, not from how it came there.

// Test helpers outside of #[test] functions may unwrap too; test numbers are small.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    record::{Body, Payload, Record},
    slot::Slot,
    status::StorageMode,
    wire::{BUCKETS, BucketSet},
};
use kvserver::{
    limits::COMPACTION_PAUSE_MS,
    log::disk::memory::MemoryDisk,
    store::{Opened, Store},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

#[path = "fixture/records.rs"]
mod records;

use records::{NOW, open, options, payload, put, small, version};

/// All that is there, in an order.
fn fill(order: &[(u32, u64)], mode: StorageMode) -> Opened<MemoryDisk> {
    let disk = Arc::new(MemoryDisk::new());
    let mut opened = open(&disk, &options(mode));
    for &(number, at) in order {
        let bytes = payload(at, (at * 31 % 400) as usize);
        let write = put(&records::key(number), small(at, bytes));
        opened.writer.commit(vec![write], NOW);
    }
    opened
}

fn digests(store: &Store<MemoryDisk>) -> Vec<(u64, Box<[u64; BUCKETS]>)> {
    Slot::all()
        .map(|slot| (store.digest(slot).digest, store.buckets(slot)))
        .collect()
}

#[test]
fn the_order_of_writes_leaves_no_trace() {
    for mode in [StorageMode::Memory, StorageMode::Disk] {
        let mut random = StdRng::seed_from_u64(3);
        let mut order: Vec<(u32, u64)> = (0..2_000)
            .map(|_| (random.random_range(0..500), random.random_range(1..50)))
            .collect();
        let one = fill(&order, mode);
        for _ in 0..order.len() {
            let (a, b) = (
                random.random_range(0..order.len()),
                random.random_range(0..order.len()),
            );
            order.swap(a, b);
        }
        let two = fill(&order, mode);
        assert_eq!(digests(&one.store), digests(&two.store));
        assert_eq!(one.store.memory_bytes(), two.store.memory_bytes());
        assert_eq!(one.store.keys(), two.store.keys());
    }
}

/// Overwriting every value by a tombstone leaves what tombstones alone would take: to the byte,
/// and after a restart too.
#[test]
fn memory_is_accounted_for_to_the_byte() {
    for mode in [StorageMode::Memory, StorageMode::Disk] {
        let (disk, bare) = (Arc::new(MemoryDisk::new()), Arc::new(MemoryDisk::new()));
        let mut opened = open(&disk, &options(mode));
        let mut tombstones = open(&bare, &options(mode));
        let empty = opened.store.memory_bytes();
        assert_eq!(empty, tombstones.store.memory_bytes());
        for number in 0..300 {
            let key = records::key(number);
            let bytes = payload(number.into(), 1_000 + number as usize);
            records::store_all(&mut opened.writer, vec![put(&key, small(1, bytes))]);
            if number % 50 == 0 {
                let bytes = payload(number.into(), CHUNK_BYTES + 9);
                let upload = u128::from(number) + 1;
                records::put_large(&mut opened.writer, &key, 2, upload, &bytes);
            }
            let tombstone = || vec![put(&key, Record::tombstone(version(3)))];
            records::store_all(&mut tombstones.writer, tombstone());
        }
        let full = opened.store.memory_bytes();
        let values = full - tombstones.store.memory_bytes();
        assert_eq!(values > 300_000, mode == StorageMode::Memory, "{values}");
        drop(opened);
        let mut opened = open(&disk, &options(mode));
        assert_eq!(
            opened.store.memory_bytes(),
            full,
            "{mode:?} after a restart"
        );
        for number in 0..300 {
            let tombstone = Record::tombstone(version(3));
            let write = put(&records::key(number), tombstone);
            records::store_all(&mut opened.writer, vec![write]);
        }
        assert_eq!(opened.store.memory_bytes(), tombstones.store.memory_bytes());
        assert_eq!((opened.store.keys(), opened.store.tombstones()), (0, 300));
        records::compact(&mut opened.writer);
        assert!(opened.writer.log_stats().bytes < 60_000);
    }
}

/// A version page ends where it is full and goes on behind its last key.
#[test]
fn version_pages_hold_every_key_once() {
    let disk = Arc::new(MemoryDisk::new());
    let mut opened = open(&disk, &options(StorageMode::Disk));
    let slot = Slot::of(b"0");
    let long = "x".repeat(600);
    let keys: BTreeSet<Key> = (0..)
        .map(|number| Key::copy_from(format!("{number} {long}").as_bytes()).unwrap())
        .filter(|key| key.slot() == slot)
        .take(300)
        .collect();
    let writes = keys.iter().map(|key| {
        let body = Body::Value {
            meta: records::meta(0),
            payload: Payload::Whole(Bytes::new()),
        };
        let version = version(4);
        put(key, Record { version, body })
    });
    records::store_all(&mut opened.writer, writes.collect());
    let (mut seen, mut after, mut pages) = (Vec::new(), None::<Key>, 0);
    loop {
        let after_bytes = after.as_ref().map(Key::as_bytes);
        let page = opened.store.versions(slot, &BucketSet::FULL, after_bytes);
        pages += 1;
        after = page.entries.last().map(|entry| entry.key.clone());
        seen.extend(page.entries.into_iter().map(|entry| entry.key));
        if !page.more {
            break;
        }
    }
    assert!(pages > 1);
    assert_eq!(seen, keys.into_iter().collect::<Vec<_>>());
}

/// Segments of garbage among segments of values.
fn litter(opened: &mut Opened<MemoryDisk>) {
    for number in 0..30 {
        for (key, at) in [(number, 1), (100, u64::from(number) + 1)] {
            let bytes = payload(at, if key == 100 { 3_000 } else { 300 });
            let write = put(&records::key(key), small(at, bytes));
            records::store_all(&mut opened.writer, vec![write]);
        }
    }
}

/// What could not be compacted for want of room is compacted once there is some, whether records
/// were to be moved or a segment to be removed.
#[test]
fn compaction_goes_on_after_the_disk_was_full() {
    let compacted = |room: Option<u64>| {
        let disk = Arc::new(MemoryDisk::new());
        let mut opened = open(&disk, &options(StorageMode::Memory));
        litter(&mut opened);
        disk.set_room(room);
        // After a try that found no room it pauses.
        let at = |round: u64| NOW.plus(round * (COMPACTION_PAUSE_MS + 1));
        for round in 0..50 {
            opened.writer.tidy(at(round));
        }
        disk.set_room(None);
        while opened.writer.tidy(at(50)) {}
        opened.writer.log_stats()
    };
    let usual = compacted(None);
    for room in (0..2_000).step_by(25) {
        let now = compacted(Some(room));
        assert!(
            now.segments <= usual.segments,
            "{room} bytes of room: {now:?}"
        );
        assert_eq!(now.live_bytes, usual.live_bytes);
    }
}

/// Damage among records that nobody needs any more costs nothing: the segment goes as any other.
#[test]
fn damage_met_by_compaction_among_garbage_is_counted_and_goes_with_it() {
    let disk = Arc::new(MemoryDisk::new());
    let mut opened = open(&disk, &options(StorageMode::Memory));
    // All of the first segment is garbage, so that it is the first to be compacted.
    for at in 1..4 {
        let write = put(&records::key(200), small(at, payload(at, 3_500)));
        records::store_all(&mut opened.writer, vec![write]);
    }
    litter(&mut opened);
    let full = opened.writer.log_stats().bytes;
    let first = "segment-0000000001.log";
    let middle = disk.contents(first).unwrap().len() / 2;
    disk.flip(first, middle, 3);
    records::compact(&mut opened.writer);
    let now = opened.writer.log_stats().bytes;
    assert!(now < full / 2, "{now} of {full}");
    assert!(disk.contents(first).is_none(), "nothing lived in it");
    assert_eq!((opened.store.keys(), opened.store.damage_met()), (32, 1));
    drop(opened);
    let opened = open(&disk, &options(StorageMode::Memory));
    assert!(opened.recovery.intact, "{:?}", opened.recovery);
    assert_eq!(opened.store.keys(), 32);
}
