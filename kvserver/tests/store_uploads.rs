//! Values in chunks: visible when whole, replaced by version, kept over compaction and restarts.

// Test helpers outside of #[test] functions may unwrap too.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;

use bytes::Bytes;
use kvcore::{
    limits::CHUNK_BYTES,
    status::StorageMode,
    wire::{Refusal, Reply, Standing},
};
use kvserver::{
    limits::{UPLOAD_IDLE_MS_MAX, UPLOAD_YIELD_MS, UPLOADS_MAX},
    log::disk::memory::MemoryDisk,
    store::{self, StoreOptions, writer::Write},
};

#[path = "fixture/records.rs"]
mod records;

use records::{
    NOW, chunks, compact, key, keys_of_one_slot, large, meta, open, options, payload, put,
    put_large, small, store_all, value, version,
};

const MODES: [StorageMode; 2] = [StorageMode::Memory, StorageMode::Disk];
const LENGTH: usize = 2 * CHUNK_BYTES + 77;

#[test]
fn a_value_is_invisible_until_it_is_whole() {
    for mode in MODES {
        let disk = Arc::new(MemoryDisk::new());
        let mut opened = open(&disk, &options(mode));
        let (key, bytes) = (key(1), payload(1, LENGTH));
        let parts = chunks(&key, 5, &bytes);
        let record = || vec![put(&key, large(1, 5, LENGTH))];
        for part in parts {
            let replies = opened.writer.commit(record(), NOW);
            assert_eq!(replies, [Reply::Refused(Refusal::ChunksMissing)]);
            assert_eq!(value(&opened.store, &key), None);
            store_all(&mut opened.writer, vec![part]);
        }
        assert_eq!(value(&opened.store, &key), None);
        store_all(&mut opened.writer, record());
        assert_eq!(value(&opened.store, &key), Some((version(1), bytes)));
    }
}

#[test]
fn chunks_of_another_length_make_no_value() {
    let disk = Arc::new(MemoryDisk::new());
    let mut opened = open(&disk, &options(StorageMode::Memory));
    let (key, bytes) = (key(1), payload(1, LENGTH));
    store_all(&mut opened.writer, chunks(&key, 5, &bytes));
    for length in [LENGTH - 1, LENGTH + 1, LENGTH - 77, LENGTH + CHUNK_BYTES] {
        let replies = opened
            .writer
            .commit(vec![put(&key, large(1, 5, length))], NOW);
        assert_eq!(replies, [Reply::Refused(Refusal::ChunksMissing)]);
    }
    // Nor do the right ones when one of them is replaced in the same batch.
    let shorter = bytes.slice(..100);
    let mut batch = chunks(&key, 5, &shorter);
    batch.push(put(&key, large(1, 5, LENGTH)));
    let replies = opened.writer.commit(batch, NOW);
    assert_eq!(replies[1], Reply::Refused(Refusal::ChunksMissing));
    assert_eq!(value(&opened.store, &key), None);
}

#[test]
fn the_same_upload_lives_on_under_a_higher_version() {
    for (mode, sends_again) in MODES
        .into_iter()
        .flat_map(|mode| [(mode, false), (mode, true)])
    {
        let disk = Arc::new(MemoryDisk::new());
        let mut opened = open(&disk, &options(mode));
        let (key, bytes) = (key(1), payload(1, LENGTH));
        // An upload that will be an orphan, in the same segment, so that it is compacted.
        let mut batch = chunks(&key, 5, &bytes);
        batch.extend(chunks(&key, 6, &payload(2, 4 * CHUNK_BYTES)));
        store_all(&mut opened.writer, batch);
        store_all(&mut opened.writer, vec![put(&key, large(1, 5, LENGTH))]);
        if sends_again {
            store_all(&mut opened.writer, chunks(&key, 5, &bytes));
        }
        store_all(&mut opened.writer, vec![put(&key, large(2, 5, LENGTH))]);
        let full = opened.writer.log_stats().bytes;
        while opened.writer.tidy(NOW.plus(UPLOAD_IDLE_MS_MAX + 1)) {}
        let now = opened.writer.log_stats().bytes;
        assert!(now < full - 3 * CHUNK_BYTES as u64, "not compacted: {now}");
        let whole = Some((version(2), bytes));
        assert_eq!(value(&opened.store, &key), whole, "{mode:?} {sends_again}");
        drop(opened);
        let opened = open(&disk, &options(mode));
        assert_eq!(opened.store.standing(key.slot()), Standing::Voter);
        assert_eq!(value(&opened.store, &key), whole, "{mode:?} {sends_again}");
    }
}

/// Two writers of one key: one tries its upload again above, the other has put a new value between,
/// and both wait for one commit.
#[test]
fn an_upload_that_was_just_replaced_is_not_taken_for_the_new_one() {
    for mode in MODES {
        let disk = Arc::new(MemoryDisk::new());
        let mut opened = open(&disk, &options(mode));
        let (key, first, second) = (key(1), payload(1, LENGTH), payload(2, LENGTH));
        put_large(&mut opened.writer, &key, 1, 5, &first);
        store_all(&mut opened.writer, chunks(&key, 6, &second));
        let batch = vec![
            put(&key, large(2, 6, LENGTH)),
            put(&key, large(3, 5, LENGTH)),
        ];
        let replies = opened.writer.commit(batch, NOW);
        assert_eq!(replies[1], Reply::Refused(Refusal::ChunksMissing));
        let standing = Standing::Voter;
        assert_eq!(replies[0], Reply::Stored { standing });
        let expected = Some((version(2), second));
        assert_eq!(value(&opened.store, &key), expected);
        drop(opened);
        let opened = open(&disk, &options(mode));
        assert_eq!(opened.store.standing(key.slot()), Standing::Voter);
        assert_eq!(value(&opened.store, &key), expected);
    }
}

#[test]
fn one_upload_makes_the_value_of_one_key() {
    for mode in MODES {
        let disk = Arc::new(MemoryDisk::new());
        let mut opened = open(&disk, &options(mode));
        let keys = keys_of_one_slot(2);
        let bytes = payload(1, LENGTH);
        store_all(&mut opened.writer, chunks(&keys[0], 5, &bytes));
        let batch = keys.iter().map(|key| put(key, large(1, 5, LENGTH)));
        let replies = opened.writer.commit(batch.collect(), NOW);
        let standing = Standing::Voter;
        assert_eq!(replies[0], Reply::Stored { standing });
        assert!(matches!(replies[1], Reply::Refused(_)), "{replies:?}");
        // Not even when its chunks are sent once more.
        opened.writer.commit(chunks(&keys[1], 5, &bytes), NOW);
        let replies = opened
            .writer
            .commit(vec![put(&keys[1], large(1, 5, LENGTH))], NOW);
        assert!(matches!(replies[0], Reply::Refused(_)), "{replies:?}");
        drop(opened);
        let opened = open(&disk, &options(mode));
        assert_eq!(opened.store.standing(keys[0].slot()), Standing::Voter);
        let expected = Some((version(1), bytes));
        assert_eq!(value(&opened.store, &keys[0]), expected);
        assert_eq!(value(&opened.store, &keys[1]), None);
    }
}

#[test]
fn orphans_are_dropped_after_a_while_and_their_segments_compacted() {
    for mode in MODES {
        let disk = Arc::new(MemoryDisk::new());
        let mut opened = open(&disk, &options(mode));
        let (key, bytes) = (key(1), payload(1, LENGTH));
        let before = (opened.store.memory_bytes(), opened.writer.log_stats());
        let mut parts = chunks(&key, 5, &bytes);
        let last = parts.pop().unwrap();
        store_all(&mut opened.writer, parts);
        // News keep it alive.
        let later = NOW.plus(UPLOAD_IDLE_MS_MAX);
        while opened.writer.tidy(later) {}
        opened.writer.commit(vec![last], later);
        while opened.writer.tidy(later.plus(UPLOAD_IDLE_MS_MAX)) {}
        assert!(opened.writer.log_stats().bytes > LENGTH as u64);
        let reply = |opened: &mut kvserver::store::Opened<MemoryDisk>| {
            let batch = vec![put(&key, large(1, 5, LENGTH))];
            opened.writer.commit(batch, NOW).remove(0)
        };
        while opened.writer.tidy(later.plus(UPLOAD_IDLE_MS_MAX + 1)) {}
        assert_eq!(reply(&mut opened), Reply::Refused(Refusal::ChunksMissing));
        assert_eq!(opened.store.memory_bytes(), before.0);
        let stats = opened.writer.log_stats();
        assert_eq!(stats.live_bytes, 0, "{stats:?}");
        assert!(stats.bytes < 8_192, "{stats:?}");
    }
}

/// What catching up brings back has the same version, and chunks under another name.
#[test]
fn a_value_stored_again_after_damage_is_there_after_a_restart() {
    for mode in MODES {
        let disk = Arc::new(MemoryDisk::new());
        let mut opened = open(&disk, &options(mode));
        let (key, bytes) = (key(1), payload(1, LENGTH));
        put_large(&mut opened.writer, &key, 1, 5, &bytes);
        drop(opened);
        disk.flip("segment-0000000001.log", 1000, 1);
        // Without a hint the segment is read, and the damage seen.
        disk.put("segment-0000000001.hint", Vec::new());
        let mut opened = open(&disk, &options(mode));
        assert_eq!(opened.store.standing(key.slot()), Standing::Damaged);
        let losses = opened.store.losses();
        put_large(&mut opened.writer, &key, 1, 6, &bytes);
        opened.writer.repaired(losses).unwrap();
        drop(opened);
        let opened = open(&disk, &options(mode));
        assert_eq!(value(&opened.store, &key), Some((version(1), bytes)));
    }
}

#[test]
fn orphans_found_at_the_start_are_compacted_away() {
    for mode in MODES {
        let disk = Arc::new(MemoryDisk::new());
        let mut opened = open(&disk, &options(mode));
        let (key, bytes) = (key(1), payload(1, LENGTH));
        store_all(&mut opened.writer, chunks(&key, 5, &bytes));
        drop(opened);
        let mut opened = open(&disk, &options(mode));
        assert_eq!(opened.writer.log_stats().live_bytes, 0);
        // The segment being written stays; a little filler makes it no longer the last.
        for number in 1..=2 {
            let filler = small(number, payload(number, 4_100));
            store_all(&mut opened.writer, vec![put(&key, filler)]);
        }
        compact(&mut opened.writer);
        assert!(opened.writer.log_stats().bytes < 20_000);
    }
}

#[test]
fn uploads_count_as_memory_where_values_live_in_memory() {
    let limit = 2 * CHUNK_BYTES as u64;
    let options = |mode| StoreOptions {
        memory_limit: Some(limit),
        ..options(mode)
    };
    for mode in MODES {
        let disk = Arc::new(MemoryDisk::new());
        let mut opened = open(&disk, &options(mode));
        let (key, bytes) = (key(1), payload(1, 8 * CHUNK_BYTES));
        let replies: Vec<_> = chunks(&key, 5, &bytes)
            .into_iter()
            .flat_map(|part| opened.writer.commit(vec![part], NOW))
            .collect();
        let refused = Reply::Refused(Refusal::MemoryLimit { limit_bytes: limit });
        match mode {
            StorageMode::Memory => {
                assert_eq!(replies[0], Reply::ChunkStored);
                assert!(replies[2..].iter().all(|reply| *reply == refused));
                assert!(opened.store.memory_bytes() <= limit);
                while opened.writer.tidy(NOW.plus(UPLOAD_IDLE_MS_MAX + 1)) {}
                assert!(opened.store.memory_bytes() < limit / 2);
            }
            StorageMode::Disk => assert!(replies.iter().all(|r| *r == Reply::ChunkStored)),
        }
    }
}

#[test]
fn chunks_that_are_sent_again_take_no_more_room() {
    let disk = Arc::new(MemoryDisk::new());
    let mut opened = open(&disk, &options(StorageMode::Memory));
    let (key, bytes) = (key(1), payload(1, LENGTH));
    store_all(&mut opened.writer, chunks(&key, 5, &bytes));
    let once = opened.store.memory_bytes();
    for _ in 0..5 {
        store_all(&mut opened.writer, chunks(&key, 5, &bytes));
        assert_eq!(opened.store.memory_bytes(), once);
    }
    store_all(&mut opened.writer, vec![put(&key, large(1, 5, LENGTH))]);
    let visible = opened.store.memory_bytes();
    // What is there already is not kept twice, wherever it comes from.
    store_all(&mut opened.writer, chunks(&key, 5, &bytes));
    assert_eq!(opened.store.memory_bytes(), visible);
    let other = Write::Chunk {
        upload: kvcore::record::UploadId(5),
        slot: key.slot(),
        index: 0,
        bytes: Bytes::from_static(b"something else"),
    };
    let replies = opened.writer.commit(vec![other], NOW);
    assert!(matches!(replies[0], Reply::Refused(Refusal::Invalid(_))));
    assert_eq!(value(&opened.store, &key), Some((version(1), bytes)));
    let tombstone = kvcore::record::Record::tombstone(version(2));
    store_all(&mut opened.writer, vec![put(&key, tombstone)]);
    assert!(opened.store.memory_bytes() < once - LENGTH as u64 + 4_096);
    assert_eq!(meta(1).length, 1);
}

#[test]
fn uploads_without_news_give_way_to_others() {
    let disk = Arc::new(MemoryDisk::new());
    let mut opened = open(&disk, &options(StorageMode::Disk));
    let bytes = payload(1, 100);
    let chunk = |upload| chunks(&key(1), upload, &bytes);
    for upload in 0..UPLOADS_MAX as u128 {
        store_all(&mut opened.writer, chunk(upload));
    }
    let more = |opened: &mut store::Opened<MemoryDisk>, now| {
        opened.writer.commit(chunk(9_999), now).remove(0)
    };
    let refused = more(&mut opened, NOW.plus(UPLOAD_YIELD_MS));
    assert!(
        matches!(&refused, Reply::Refused(Refusal::Overloaded(_))),
        "{refused:?}"
    );
    let taken = more(&mut opened, NOW.plus(UPLOAD_YIELD_MS + 1));
    assert_eq!(taken, Reply::ChunkStored);
}

#[test]
fn the_chunks_of_a_record_that_is_not_wanted_take_no_room() {
    for mode in MODES {
        let disk = Arc::new(MemoryDisk::new());
        let mut opened = open(&disk, &options(mode));
        let (key, bytes) = (key(1), payload(1, LENGTH));
        store_all(
            &mut opened.writer,
            vec![put(&key, small(9, payload(2, 10)))],
        );
        let (memory, live) = (
            opened.store.memory_bytes(),
            opened.writer.log_stats().live_bytes,
        );
        store_all(&mut opened.writer, chunks(&key, 5, &bytes));
        let late = vec![put(&key, large(1, 5, LENGTH))];
        let replies = opened.writer.commit(late, NOW);
        assert!(
            matches!(replies[0], Reply::Superseded { .. }),
            "{replies:?}"
        );
        assert_eq!(opened.store.memory_bytes(), memory, "{mode:?}");
        assert_eq!(opened.writer.log_stats().live_bytes, live, "{mode:?}");
    }
}

#[test]
fn a_batch_beyond_what_the_log_takes_at_once_is_committed_in_parts() {
    let disk = Arc::new(MemoryDisk::new());
    let mut opened = open(&disk, &options(StorageMode::Disk));
    let bytes = payload(1, 140 * CHUNK_BYTES);
    let mut batch = chunks(&key(1), 5, &bytes);
    batch.extend(chunks(&key(2), 6, &bytes));
    let replies = opened.writer.commit(batch, NOW);
    let stored = replies.iter().filter(|reply| **reply == Reply::ChunkStored);
    assert_eq!(stored.count(), 280);
}
