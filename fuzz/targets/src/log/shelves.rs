//! What an opened store promises: every record it knows can be read, with all its chunks, or its
//! slot does not count; and writes last.

use std::sync::Arc;

use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    record::{Body, Payload, Record},
    slot::Slot,
    status::StorageMode,
    version::{UnixMillis, Version},
    wire::{BucketSet, Reply, Standing},
};
use kvserver::{
    log::{Entry, LogOptions, disk::memory::MemoryDisk},
    store::{self, Opened, ReadFailure, Store, StoreOptions, ValidFrom, writer::Write},
};

use super::{Hints, LOG_ID, history::entry};
use crate::input::Input;

/// Steps of compaction.
const STEPS_MAX: usize = 32;

/// Opens the store on `disk`, reads everything, writes, and opens it again.
pub(super) fn check(disk: &Arc<MemoryDisk>, load: bool, hints: Hints) {
    let Ok(mut opened) = open(disk, load) else {
        return;
    };
    // Not so where a record is there without its chunks: the store would never write that, and
    // compaction forgets it.
    let honest = hints == Hints::Honest
        && (load || opened.recovery.from_hints == 0)
        && opened.store.slots_with(Standing::Damaged).is_empty();
    let records = read_all(&opened.store, honest);
    let now = UnixMillis(1 << 42);
    let Entry::Record { key, record } = entry(&mut Input::new(&[3 << 4 | 1, 9]), 1 << 41) else {
        return;
    };
    let write = Write::Put {
        key: key.clone(),
        record: record.clone(),
    };
    let known = opened.store.known_version(&key);
    let replies = opened.writer.commit(vec![write], now);
    let newer = known.is_some_and(|known| known > record.version);
    assert!(
        matches!(replies[..], [Reply::Stored { .. }]) || newer,
        "{replies:?}"
    );
    for _ in 0..STEPS_MAX {
        if !opened.writer.tidy(now) {
            break;
        }
    }
    let after = read_all(&opened.store, honest);
    if honest {
        assert_eq!(after.len(), records.len() + usize::from(known.is_none()));
    }
    drop(opened);
    disk.crash(3);
    let opened = open(disk, load).expect("only a crash was in between");
    if honest && !newer {
        let (_, found) = opened.store.get(&key).expect("it was stored");
        assert_eq!(found, Some(record));
    }
    let again = read_all(&opened.store, honest);
    if honest {
        assert_eq!(again, after);
    }
}

fn open(
    disk: &Arc<MemoryDisk>,
    load: bool,
) -> Result<Opened<MemoryDisk>, kvserver::log::OpenError> {
    let mode = if load {
        StorageMode::Memory
    } else {
        StorageMode::Disk
    };
    let options = StoreOptions {
        mode,
        segment_bytes: LogOptions::SEGMENT_BYTES_MIN,
        ..StoreOptions::default()
    };
    store::open(Arc::clone(disk), options, LOG_ID, &ValidFrom::default())
}

/// The versions of all records; each was read whole.
fn read_all(store: &Store<MemoryDisk>, honest: bool) -> Vec<(Key, Version)> {
    let mut records = Vec::new();
    let buckets = BucketSet([0xFF; 32]);
    for slot in Slot::all() {
        for entry in store.versions(slot, &buckets, None).entries {
            match store.get(&entry.key) {
                Ok((_, Some(record))) => {
                    assert_eq!(record.version, entry.version);
                    let whole = chunks(store, &entry.key, &record);
                    assert!(whole || !honest, "chunks of {} are missing", entry.key);
                    records.push((entry.key, entry.version));
                }
                Ok((standing, None)) => panic!("{} is gone: {standing:?}", entry.key),
                Err(ReadFailure::Damaged(slot)) if !honest => {
                    assert_eq!(store.standing(slot), Standing::Damaged);
                }
                Err(error) => panic!("{}: {error}", entry.key),
            }
        }
    }
    records
}

/// Whether all chunks of a value are there.
fn chunks(store: &Store<MemoryDisk>, key: &Key, record: &Record) -> bool {
    let Body::Value {
        meta,
        payload: Payload::Chunked(_),
    } = &record.body
    else {
        return true;
    };
    let mut length = 0;
    for index in 0..meta
        .length
        .div_ceil(u32::try_from(CHUNK_BYTES).expect("small"))
    {
        match store.chunk(key, record.version, index) {
            Ok(bytes) => length += bytes.len(),
            Err(_) => return false,
        }
    }
    length == meta.length as usize
}
