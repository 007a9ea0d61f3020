//! Opening a store gives the same whoever builds its tries, whatever is wrong with its files.

// Test helpers outside of #[test] functions may unwrap too; test numbers are small.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{num::NonZeroUsize, sync::Arc};

use kvcore::{
    limits::CHUNK_BYTES,
    record::Record,
    slot::Slot,
    status::{StorageMode, SyncMode},
    wire::BucketSet,
};
use kvserver::{
    log::{
        LogStats, OpenError, Recovery,
        disk::{Disk, memory::MemoryDisk},
    },
    store::{self, Opened, Opening, StoreOptions, ValidFrom, writer::Writer},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

#[path = "fixture/records.rs"]
mod records;
#[path = "fixture/steps.rs"]
mod steps;

use records::{NOW, chunks, key, large, payload, put, small, store_all, version};

/// Enough for their records to be handed to other threads, in the batches of a history.
const KEYS: u32 = 400;

/// The record of a key at a version: a small value, or none.
fn record(number: u32, at: u64) -> Record {
    let seed = u64::from(number) * 100 + at;
    if seed.is_multiple_of(9) {
        return Record::tombstone(version(at));
    }
    small(at, payload(seed, (seed * 31 % 400) as usize))
}

fn write(random: &mut StdRng, writer: &mut Writer<MemoryDisk>) {
    let mut last = [0_u64; KEYS as usize];
    for batch in 0..400 {
        let mut writes = Vec::new();
        for _ in 0..20 {
            let number = random.random_range(0..KEYS);
            let at = &mut last[number as usize];
            *at += random.random_range(1..4);
            writes.push(put(&key(number), record(number, *at)));
        }
        if random.random_bool(0.02) {
            let number = KEYS + random.random_range(0..4);
            let bytes = payload(batch, CHUNK_BYTES + 500);
            let upload = u128::from(batch) + 1;
            writes.extend(chunks(&key(number), upload, &bytes));
            writes.push(put(&key(number), large(batch + 1, upload, bytes.len())));
        }
        store_all(writer, vec![writes.remove(0)]);
        // Of a batch that has a key twice, the earlier one may be told that it is superseded.
        writer.commit(writes, NOW);
        if random.random_bool(0.1) {
            // Copies of records, made by compaction that is not done yet.
            for _ in 0..random.random_range(1..6) {
                writer.tidy(NOW);
            }
        }
    }
}

/// The files of a disk after a history and some damage.
fn files(seed: u64, options: &StoreOptions) -> Vec<(String, Vec<u8>)> {
    let mut random = StdRng::seed_from_u64(seed);
    let disk = Arc::new(MemoryDisk::new());
    let mut opened =
        store::open(Arc::clone(&disk), options.clone(), 7, &ValidFrom::default()).unwrap();
    write(&mut random, &mut opened.writer);
    match seed % 3 {
        0 => opened.writer.close().unwrap(),
        1 => drop(opened),
        _ => {
            drop(opened);
            disk.crash(seed);
        }
    }
    let names = disk.list().unwrap();
    for name in &names {
        let length = disk.contents(name).unwrap().len();
        if length == 0 || random.random_bool(0.7) {
            continue;
        }
        for _ in 0..random.random_range(1..4) {
            disk.flip(name, random.random_range(0..length), random.random());
        }
    }
    let mut files: Vec<_> = names
        .into_iter()
        .map(|name| {
            let bytes = disk.contents(&name).unwrap();
            (name, bytes)
        })
        .collect();
    if random.random_bool(0.3) {
        let file = random.random_range(0..files.len());
        let bytes = &mut files[file].1;
        bytes.truncate(random.random_range(0..=bytes.len()));
    }
    if random.random_bool(0.2) {
        files.remove(random.random_range(0..files.len()));
    }
    files
}

/// All that can be known of a store.
#[derive(Debug, PartialEq)]
struct Known {
    recovery: Recovery,
    sums: (u64, u64, u64),
    /// What lives in the log says which records are held to be dead.
    log: LogStats,
    slots: Vec<String>,
}

fn known(opened: &Opened<MemoryDisk>) -> Known {
    let Opened {
        store,
        writer,
        recovery,
    } = opened;
    let mut slots = Vec::new();
    for slot in Slot::all() {
        let mut lines = vec![format!(
            "{:?} {:?}",
            store.digest(slot),
            store.buckets(slot)
        )];
        for entry in store.versions(slot, &BucketSet::FULL, None).entries {
            lines.push(format!("{} {:?}", entry.key, store.get(&entry.key)));
            for index in 0..2 {
                let chunk = store.chunk(&entry.key, entry.version, index);
                lines.push(format!("{chunk:?}"));
            }
        }
        slots.push(lines.concat());
    }
    Known {
        recovery: recovery.clone(),
        sums: (store.keys(), store.tombstones(), store.memory_bytes()),
        log: writer.log_stats(),
        slots,
    }
}

fn open(
    files: &[(String, Vec<u8>)],
    options: &StoreOptions,
    opening: Opening,
) -> Result<Known, OpenError> {
    let disk = Arc::new(MemoryDisk::new());
    for (name, bytes) in files {
        disk.put(name, bytes.clone());
    }
    let options = StoreOptions {
        opening,
        ..options.clone()
    };
    store::open(disk, options, 7, &ValidFrom::default()).map(|opened| known(&opened))
}

#[test]
fn the_same_store_is_opened_by_one_thread_and_by_many() {
    let with = |threads| Opening::With(NonZeroUsize::new(threads).unwrap());
    let mut opened = 0;
    for seed in 0..steps::scaled(24) {
        let options = StoreOptions {
            mode: [StorageMode::Memory, StorageMode::Disk][(seed % 2) as usize],
            sync: [SyncMode::Always, SyncMode::Interval][(seed / 2 % 2) as usize],
            segment_bytes: [4 * 1024, 64 * 1024, 4 * 1024 * 1024][(seed / 4 % 3) as usize],
            ..StoreOptions::default()
        };
        let files = files(seed, &options);
        let alone = open(&files, &options, Opening::Alone);
        opened += u32::from(alone.is_ok());
        for threads in [1, 3] {
            let many = open(&files, &options, with(threads));
            match (&alone, &many) {
                (Ok(alone), Ok(many)) => assert_eq!(alone, many, "seed {seed}"),
                (Err(alone), Err(many)) => {
                    assert_eq!(alone.to_string(), many.to_string(), "seed {seed}");
                }
                _ => panic!("seed {seed}: {alone:?}, {many:?}"),
            }
        }
    }
    assert!(opened > 0, "every store was beyond opening");
}
