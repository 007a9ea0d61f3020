//! What a store does about sectors that the disk cannot read any more: in reads, in compaction,
//! and after a restart.

// Test helpers outside of #[test] functions may unwrap too; test numbers are small.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;

use bytes::Bytes;
use kvcore::{
    limits::CHUNK_BYTES,
    record::Record,
    slot::Slot,
    status::StorageMode,
    wire::{Reply, Standing},
};
use kvserver::{
    log::disk::{Disk, memory::MemoryDisk},
    store::{Opened, ReadFailure, StoreOptions},
};

#[path = "fixture/records.rs"]
mod records;

use records::{NOW, chunks, compact, key, open, payload, put, small, store_all, version};

const KEYS: u32 = 120;

fn options(mode: StorageMode) -> StoreOptions {
    StoreOptions {
        segment_bytes: 16 * 1024,
        ..records::options(mode)
    }
}

fn value_of(number: u32) -> Bytes {
    payload(number.into(), 300)
}

/// A store of a few segments, each mostly live.
fn filled(mode: StorageMode) -> (Arc<MemoryDisk>, Opened<MemoryDisk>) {
    let disk = Arc::new(MemoryDisk::new());
    let mut opened = open(&disk, &options(mode));
    for number in 0..KEYS {
        let write = put(&key(number), small(1, value_of(number)));
        store_all(&mut opened.writer, vec![write]);
    }
    (disk, opened)
}

/// Loses the middle of the first segment; gives the segment's name.
fn lose(disk: &MemoryDisk) -> String {
    let name = "segment-0000000001.log".to_owned();
    disk.lose(&name, 9_000);
    name
}

/// Overwrites most of what the first segment has, so that it is compacted.
fn make_garbage(opened: &mut Opened<MemoryDisk>) {
    for number in (0..KEYS).filter(|number| number % 3 > 0) {
        let write = put(&key(number), small(2, value_of(number)));
        store_all(&mut opened.writer, vec![write]);
    }
}

/// The largest segment's name.
fn largest(disk: &MemoryDisk) -> String {
    let names = disk.list().unwrap().into_iter();
    let length = |name: &String| disk.contents(name).unwrap().len();
    names.max_by_key(length).unwrap()
}

fn has(disk: &MemoryDisk, name: &str) -> bool {
    disk.list().unwrap().iter().any(|other| other == name)
}

/// Reads every key; gives those that are lost. Nothing reads as absent in a slot that votes.
fn read_all(opened: &Opened<MemoryDisk>) -> Vec<u32> {
    let mut lost = Vec::new();
    for number in 0..KEYS {
        match opened.store.get(&key(number)) {
            Ok((_, Some(record))) => {
                let version = if record.version == version(1) { 1 } else { 2 };
                assert_eq!(record, small(version, value_of(number)), "key {number}");
            }
            Ok((standing, None)) => panic!("key {number} is absent: {standing:?}"),
            Err(ReadFailure::Damaged(slot)) => {
                assert_eq!(slot, key(number).slot());
                lost.push(number);
            }
            Err(other) => panic!("key {number}: {other}"),
        }
    }
    lost
}

/// As catching up would: brings the keys back and lets the slots vote.
fn repair(opened: &mut Opened<MemoryDisk>, lost: &[u32]) {
    for &number in lost {
        let write = put(&key(number), small(2, value_of(number)));
        let replies = opened.writer.commit(vec![write], NOW);
        assert!(matches!(replies[0], Reply::Stored { .. }), "{replies:?}");
    }
    let losses = opened.store.losses();
    for slot in Slot::all() {
        assert!(opened.store.let_vote(slot, opened.store.damages(slot)));
    }
    opened.writer.repaired(losses).unwrap();
}

#[test]
fn a_read_that_fails_for_good_is_damage_and_once_is_nothing() {
    let (disk, opened) = filled(StorageMode::Disk);
    for number in 0..KEYS {
        disk.fail_reads_after(Some(0));
        assert!(opened.store.get(&key(number)).unwrap().1.is_some());
    }
    assert_eq!(opened.store.damage_met(), 0);
    lose(&disk);
    let lost = read_all(&opened);
    assert!(!lost.is_empty());
    assert_eq!(opened.store.damage_met(), lost.len() as u64);
    assert_eq!(opened.store.losses(), lost.len() as u64);
    for &number in &lost {
        let standing = opened.store.standing(key(number).slot());
        assert_eq!(standing, Standing::Damaged);
    }
}

/// The space of what a read found lost is given back, and the segment goes once all is repaired;
/// not before, since a restart would know nothing of the loss.
#[test]
fn what_reads_found_lost_is_released_and_its_segment_goes_after_the_repair() {
    let (disk, mut opened) = filled(StorageMode::Disk);
    let name = lose(&disk);
    make_garbage(&mut opened);
    let before = opened.writer.log_stats().live_bytes;
    let lost = read_all(&opened);
    assert!(!lost.is_empty());
    compact(&mut opened.writer);
    let released = before - opened.writer.log_stats().live_bytes;
    assert!(released >= 300 * lost.len() as u64, "{released}");
    assert!(has(&disk, &name), "the trace of the loss is gone");
    drop(opened);
    let mut opened = open(&disk, &options(StorageMode::Disk));
    assert_eq!(read_all(&opened), lost, "after a restart");
    repair(&mut opened, &lost);
    compact(&mut opened.writer);
    assert!(!has(&disk, &name), "the segment stays for ever");
    drop(opened);
    let opened = open(&disk, &options(StorageMode::Disk));
    assert!(opened.recovery.intact && opened.recovery.damaged.is_empty());
    assert!(read_all(&opened).is_empty());
}

/// A loss behind the repair is not covered by it.
#[test]
fn a_loss_that_was_not_seen_is_not_called_repaired() {
    let (disk, mut opened) = filled(StorageMode::Disk);
    let name = lose(&disk);
    let seen = opened.store.losses();
    let lost = read_all(&opened);
    opened.writer.repaired(seen).unwrap();
    compact(&mut opened.writer);
    assert!(has(&disk, &name));
    repair(&mut opened, &lost);
    compact(&mut opened.writer);
    assert!(!has(&disk, &name));
}

#[test]
fn in_memory_mode_compaction_writes_again_what_it_cannot_read() {
    let (disk, mut opened) = filled(StorageMode::Memory);
    // A dead value and a live one in one segment, the live one's chunk unreadable.
    let (dead, live) = (payload(7, CHUNK_BYTES + 40), payload(8, CHUNK_BYTES / 2));
    let both = [chunks(&key(500), 7, &dead), chunks(&key(501), 8, &live)];
    store_all(&mut opened.writer, both.into_iter().flatten().collect());
    for (number, upload, bytes) in [(500, 7, &dead), (501, 8, &live)] {
        let record = records::large(1, upload, bytes.len());
        store_all(&mut opened.writer, vec![put(&key(number), record)]);
    }
    let large = largest(&disk);
    disk.lose(&large, CHUNK_BYTES + 90_000);
    let name = lose(&disk);
    let dead = put(&key(500), Record::tombstone(version(2)));
    store_all(&mut opened.writer, vec![dead]);
    make_garbage(&mut opened);
    compact(&mut opened.writer);
    assert!(!has(&disk, &name), "compaction stops at the damage");
    assert!(opened.store.damage_met() > 0, "the damage is not counted");
    assert_eq!(opened.store.losses(), 0);
    assert!(opened.store.slots_with(Standing::Damaged).is_empty());
    // Everything is in the log, not only in memory.
    assert!(!has(&disk, &large), "the chunk is not moved");
    drop(opened);
    let opened = open(&disk, &options(StorageMode::Disk));
    assert!(read_all(&opened).is_empty());
    let found = records::value(&opened.store, &key(501));
    assert_eq!(found, Some((version(1), live)));
}

#[test]
fn in_disk_mode_compaction_keeps_what_can_be_read_and_names_the_rest() {
    let (disk, mut opened) = filled(StorageMode::Disk);
    let name = lose(&disk);
    for number in 0..3 {
        let write = put(&key(number), Record::tombstone(version(2)));
        store_all(&mut opened.writer, vec![write]);
    }
    make_garbage(&mut opened);
    for number in 0..3 {
        let write = put(&key(number), small(3, value_of(number)));
        opened.writer.commit(vec![write], NOW);
        let write = put(&key(number), small(2, value_of(number)));
        opened.writer.commit(vec![write], NOW);
    }
    compact(&mut opened.writer);
    let damaged = opened.store.slots_with(Standing::Damaged);
    assert!(!damaged.is_empty() && opened.store.damage_met() > 0);
    assert!(has(&disk, &name), "the trace of the loss is gone");
    let lost: Vec<u32> = (0..KEYS)
        .filter(|&number| opened.store.known_version(&key(number)).is_none())
        .collect();
    assert_eq!(opened.store.losses(), lost.len() as u64);
    assert!(
        lost.iter()
            .all(|&number| damaged.contains(key(number).slot()))
    );
    repair(&mut opened, &lost);
    compact(&mut opened.writer);
    assert!(!has(&disk, &name), "the segment stays for ever");
    for number in 0..KEYS {
        assert!(opened.store.get(&key(number)).unwrap().1.is_some());
    }
}

/// Files that cannot be opened say nothing about what is in them.
#[test]
fn a_segment_that_is_gone_is_no_damage_of_its_records() {
    let (disk, mut opened) = filled(StorageMode::Disk);
    drop(opened);
    opened = open(&disk, &options(StorageMode::Disk));
    disk.remove("segment-0000000001.log").unwrap();
    assert!(matches!(
        opened.store.get(&key(0)),
        Err(ReadFailure::Disk(_))
    ));
    make_garbage(&mut opened);
    compact(&mut opened.writer);
    assert_eq!(opened.store.losses(), 0);
}
