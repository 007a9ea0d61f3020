//! What single faults do to a log: rot, missing files, a full disk, failing syncs, foreign files.

// Test helpers outside of #[test] functions may unwrap too; test numbers are small; and the
// names of the log's files have no other case.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::case_sensitive_file_extension_comparisons
)]

use std::sync::Arc;

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    record::{Body, Format, Payload, Record, UploadId, ValueMeta},
    slot::Slot,
    version::{HybridTime, Version, WriterId},
};
use kvserver::log::{
    AppendError, CommitError, Damage, Entry, Location, Log, LogOptions, OpenError, ReadError,
    RecoveredEntry, Recovery, SegmentId, SyncNow,
    disk::{
        Disk,
        directory::{Directory, DirectoryError},
        memory::MemoryDisk,
    },
};
use proptest::prelude::*;

#[path = "log_faults/full.rs"]
mod full;
#[path = "log_faults/room.rs"]
mod room;
#[path = "log_faults/unreadable.rs"]
mod unreadable;

fn options(load_values: bool) -> LogOptions {
    LogOptions {
        segment_bytes: 4096,
        log_id: 7,
        load_values,
        ..LogOptions::default()
    }
}

fn record(number: u64, payload: usize) -> Entry {
    let payload = Bytes::from(vec![number as u8; payload]);
    let meta = ValueMeta {
        format: Format::Raw,
        flags: 1,
        expires_at: None,
        length: payload.len() as u32,
    };
    Entry::Record {
        key: Key::copy_from(format!("key {number}").as_bytes()).unwrap(),
        record: Record {
            version: Version::new(HybridTime::from_bits(number), WriterId::from_random(2)),
            body: Body::Value {
                meta,
                payload: Payload::Whole(payload),
            },
        },
    }
}

type Found = Vec<(Location, RecoveredEntry)>;

fn open<D: Disk>(disk: &Arc<D>, load: bool) -> Result<(Log<D>, Recovery, Found), OpenError> {
    let mut found = Vec::new();
    let (log, recovery) = Log::open(Arc::clone(disk), options(load), &mut |at, entry| {
        found.push((at, entry.to_entry()));
    })?;
    Ok((log, recovery, found))
}

/// A log of a few segments; the locations of its records, all marked durable.
fn filled(records: u64) -> (Arc<MemoryDisk>, Log<MemoryDisk>, Vec<(Location, Entry)>) {
    let disk = Arc::new(MemoryDisk::new());
    let (mut log, _, _) = open(&disk, false).unwrap();
    let mut all = Vec::new();
    for number in 0..records {
        let entry = record(number, 200);
        all.push((log.append(&entry).unwrap(), entry));
        log.commit(SyncNow::Yes).unwrap();
    }
    log.sync().unwrap();
    (disk, log, all)
}

fn slot_of(entry: &Entry) -> Slot {
    match entry {
        Entry::Record { key, .. } => key.slot(),
        Entry::Chunk { slot, .. } => *slot,
    }
}

fn segment_file(number: u32) -> String {
    format!("segment-{number:010}.log")
}

#[test]
fn every_flipped_bit_is_reported_and_no_good_record_is_lost() {
    let (disk, log, all) = filled(50);
    drop(log);
    // Opening cuts the room behind the last record.
    drop(open(&disk, false).unwrap());
    let names: Vec<String> = disk.list().unwrap();
    let segments: Vec<&String> = names.iter().filter(|name| name.ends_with(".log")).collect();
    let contents: Vec<Vec<u8>> = segments
        .iter()
        .map(|name| disk.contents(name).unwrap())
        .collect();
    assert!(segments.len() > 2);
    for (file, name) in segments.iter().enumerate() {
        for at in (0..contents[file].len()).step_by(7) {
            let copy = Arc::new(MemoryDisk::new());
            for name in &names {
                copy.put(name, disk.contents(name).unwrap());
            }
            copy.flip(name, at, at as u8);
            let (_, recovery, found) = open(&copy, true).unwrap();
            let lost: Vec<_> = all
                .iter()
                .filter(|(at, _)| !found.iter().any(|(other, _)| other == at))
                .collect();
            assert!(lost.len() <= 1, "{name} byte {at}: lost {}", lost.len());
            for (_, entry) in &lost {
                assert!(
                    recovery.damage.touches(slot_of(entry)),
                    "{name} byte {at}: {recovery:?}"
                );
            }
            assert!(
                recovery.damage != Damage::All,
                "{name} byte {at}: {recovery:?}"
            );
            assert!(lost.is_empty() || !recovery.intact, "{name} byte {at}");
            // The last mark itself may be taken for torn; nothing before it.
            assert!(recovery.torn_bytes <= 32, "{name} byte {at}: {recovery:?}");
            assert!(
                !recovery.damaged.is_empty() || recovery.torn_bytes > 0,
                "{name} byte {at}"
            );
        }
    }
}

#[test]
fn damage_stays_until_repaired_and_compacted() {
    let (disk, log, all) = filled(50);
    drop(log);
    let (lost_at, lost) = &all[3];
    disk.flip(&segment_file(1), lost_at.offset as usize + 60, 3);
    for _ in 0..2 {
        let (mut log, recovery, _) = open(&disk, true).unwrap();
        assert_eq!(recovery.damage, Damage::of(slot_of(lost)));
        assert!(!recovery.intact);
        assert!(matches!(
            log.retire(SegmentId(1)),
            Err(CommitError::NotRetirable { .. })
        ));
    }
    let (mut log, _, _) = open(&disk, true).unwrap();
    log.repaired().unwrap();
    assert_eq!(log.victim(), Some(SegmentId(1)));
    for item in log.scan(SegmentId(1)).unwrap() {
        match item {
            Ok((_, entry)) => drop(log.append(&entry).unwrap()),
            Err(error) => assert!(matches!(error, ReadError::Damaged(_))),
        }
    }
    log.append(lost).unwrap();
    log.retire(SegmentId(1)).unwrap();
    drop(log);
    let (_, recovery, found) = open(&disk, true).unwrap();
    assert!(
        recovery.intact && recovery.damaged.is_empty(),
        "{recovery:?}"
    );
    assert_eq!(found.len(), 50);
}

#[test]
fn a_segment_that_was_being_made_tells_of_those_before_it() {
    let (disk, log, _) = filled(50);
    drop(log);
    let first = disk.contents(&segment_file(3)).unwrap();
    for name in disk.list().unwrap() {
        disk.remove(&name).unwrap();
    }
    disk.put(&segment_file(3), first[..130].to_vec());
    let (_, recovery, _) = open(&disk, true).unwrap();
    assert_eq!(recovery.damage, Damage::All);
    assert!(!recovery.intact);
}

/// Two files at once: the newest was being made, and the one before it is cut off.
#[test]
fn a_segment_cut_within_its_head_takes_no_writes() {
    for cut in [0, 33, 64, 101, 127] {
        let (disk, log, all) = filled(50);
        drop(log);
        let last = all.last().unwrap().0.segment.0;
        disk.put(&segment_file(last), Vec::new());
        let before = disk.contents(&segment_file(last - 1)).unwrap();
        disk.put(&segment_file(last - 1), before[..cut].to_vec());
        let (mut log, first, _) = open(&disk, true).unwrap();
        assert!(first.damage != Damage::None && !first.intact, "{cut}");
        let at = log.append(&record(99, 10)).unwrap();
        log.commit(SyncNow::Yes).unwrap();
        drop(log);
        let (_, second, found) = open(&disk, true).unwrap();
        assert!(found.iter().any(|(other, _)| *other == at), "{cut}");
        assert_eq!((second.damage, second.intact), (first.damage, false));
    }
}

#[test]
fn a_lost_roster_is_written_anew() {
    let (disk, log, all) = filled(3);
    drop(log);
    disk.flip(&segment_file(1), 140, 3);
    let (mut log, recovery, _) = open(&disk, true).unwrap();
    assert_eq!(recovery.damage, Damage::All);
    log.repaired().unwrap();
    log.close().unwrap();
    let (_, recovery, found) = open(&disk, true).unwrap();
    assert!(recovery.intact && recovery.damage == Damage::None);
    assert_eq!(found.len(), all.len());
}

#[test]
fn a_missing_segment_is_damage_of_what_its_hint_names() {
    let (disk, log, all) = filled(50);
    drop(log);
    disk.remove(&segment_file(2)).unwrap();
    let (log, recovery, _) = open(&disk, false).unwrap();
    let slots = all.iter().filter(|(at, _)| at.segment == SegmentId(2));
    assert_eq!(
        recovery.damage,
        Damage::Slots(slots.map(|(_, entry)| slot_of(entry)).collect())
    );
    drop(log);
    disk.remove("segment-0000000002.hint").unwrap();
    let (mut log, recovery, _) = open(&disk, false).unwrap();
    assert_eq!(recovery.damage, Damage::All);
    log.repaired().unwrap();
    drop(log);
    let (_, recovery, _) = open(&disk, false).unwrap();
    assert!(recovery.intact, "{recovery:?}");
}

#[test]
fn a_missing_last_segment_is_damage() {
    let (disk, log, _) = filled(50);
    drop(log);
    let last = disk
        .list()
        .unwrap()
        .into_iter()
        .rfind(|name| name.ends_with(".log"))
        .unwrap();
    disk.remove(&last).unwrap();
    let (_, recovery, _) = open(&disk, false).unwrap();
    assert_eq!(recovery.damage, Damage::All);
}

#[test]
fn hints_spare_reading_and_say_the_same() {
    let (disk, log, _) = filled(50);
    log.close().unwrap();
    let (log, by_hint, found) = open(&disk, false).unwrap();
    assert!(by_hint.from_hints > 1 && by_hint.clean_shutdown && by_hint.intact);
    drop(log);
    for name in disk
        .list()
        .unwrap()
        .iter()
        .filter(|name| name.ends_with(".hint"))
    {
        disk.flip(name, 100, 1);
    }
    let (_, read, same) = open(&disk, false).unwrap();
    assert_eq!((read.from_hints, read.records), (0, by_hint.records));
    assert_eq!(found, same);
}

#[test]
fn a_full_disk_takes_nothing_and_forgets_nothing() {
    let (disk, log, all) = filled(5);
    drop(log);
    // Opening cuts the room that was made ahead, so that there is none at all.
    let (mut log, _, _) = open(&disk, false).unwrap();
    for room in 0..300 {
        log.append(&record(99, 200)).unwrap();
        disk.set_room(Some(room));
        let outcome = log.commit(SyncNow::Yes);
        disk.set_room(None);
        if outcome.is_ok() {
            assert!(room > 200);
            break;
        }
        assert!(matches!(outcome, Err(CommitError::DiskFull { .. })));
        assert_eq!(log.poisoned(), None);
    }
    drop(log);
    let (_, recovery, found) = open(&disk, true).unwrap();
    assert!(recovery.intact && recovery.torn_bytes == 0, "{recovery:?}");
    assert_eq!(found.len(), all.len() + 1);
}

#[test]
fn a_failed_sync_poisons_and_recovery_writes_the_tail_again() {
    let (disk, mut log, all) = filled(5);
    let at = log.append(&record(99, 200)).unwrap();
    disk.fail_sync_after(Some(0));
    let failed = log.commit(SyncNow::Yes);
    assert!(matches!(failed, Err(CommitError::Poisoned { .. })));
    assert!(log.poisoned().is_some());
    assert!(matches!(
        log.append(&record(100, 1)),
        Err(AppendError::Poisoned { .. })
    ));
    assert!(matches!(
        log.commit(SyncNow::Yes),
        Err(CommitError::Poisoned { .. })
    ));
    drop(log);
    // The process starts again: the record is in memory, believed clean, and not on disk.
    let (_, _, found) = open(&disk, true).unwrap();
    assert!(found.iter().any(|(other, _)| *other == at));
    // What recovery has answered must survive from now on.
    disk.crash(1);
    let (_, _, found) = open(&disk, true).unwrap();
    assert_eq!(found.len(), all.len() + 1);
}

#[test]
fn limits_are_checked_before_anything_is_written() {
    let (_, mut log, _) = filled(1);
    assert!(matches!(
        log.append(&record(1, CHUNK_BYTES + 1)),
        Err(AppendError::Invalid { .. })
    ));
    let chunk = Entry::Chunk {
        upload: UploadId(5),
        slot: Slot::new(9).unwrap(),
        index: 3,
        bytes: Bytes::from(vec![1; CHUNK_BYTES]),
    };
    let at = log.append(&chunk).unwrap();
    log.commit(SyncNow::Yes).unwrap();
    assert_eq!(log.reader().read(at).unwrap(), chunk);
    assert_eq!(log.pending_bytes(), 0);
}

#[test]
fn one_sync_serves_a_whole_batch() {
    let (disk, mut log, _) = filled(1);
    let before = disk.syncs();
    for number in 0..10 {
        log.append(&record(number, 10)).unwrap();
    }
    log.commit(SyncNow::Yes).unwrap();
    assert_eq!(disk.syncs(), before + 1);
}

#[test]
fn without_any_head_the_records_name_their_log() {
    let (disk, log, written) = filled(60);
    drop(log);
    let heads = |disk: &MemoryDisk| {
        for name in disk.list().expect("listed") {
            for byte in (0..128).step_by(16) {
                disk.flip(&name, byte, 3);
            }
        }
    };
    heads(&disk);
    // Under another name no record can be told to be this log's, and nothing may be cut.
    let before: Vec<_> = disk.list().expect("listed");
    let contents = |disk: &MemoryDisk| {
        before
            .iter()
            .map(|name| disk.contents(name))
            .collect::<Vec<_>>()
    };
    let bytes = contents(&disk);
    let other = LogOptions {
        log_id: 8,
        ..options(true)
    };
    let refused = Log::open(Arc::clone(&disk), other, &mut |_, _| {});
    assert!(matches!(refused, Err(OpenError::Unreadable { .. })));
    assert_eq!(contents(&disk), bytes);
    let (_log, recovery, found) = open(&disk, true).expect("its records are there");
    assert!(!recovery.damaged.is_empty(), "the heads are gone");
    assert_eq!(found.len(), written.len());
}

#[test]
fn files_that_are_not_the_logs_are_named() {
    let (disk, log, _) = filled(50);
    drop(log);
    disk.put("member.json", b"{}".to_vec());
    open(&disk, false).unwrap();
    disk.put("segment-old.log", Vec::new());
    let error = open(&disk, false).unwrap_err();
    assert!(error.to_string().contains("segment-old.log"), "{error}");
    disk.remove("segment-old.log").unwrap();
    disk.put(&segment_file(60), disk.contents(&segment_file(1)).unwrap());
    let error = open(&disk, false).unwrap_err();
    assert!(error.to_string().contains(&segment_file(60)), "{error}");
}

#[test]
fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let disk = Arc::new(Directory::open(&path).unwrap());
    let second = Directory::open(&path).unwrap_err();
    assert!(matches!(second, DirectoryError::Locked { .. }));
    assert!(second.to_string().contains("data"), "{second}");
    let (mut log, _, _) = open(&disk, false).unwrap();
    for number in 0..50 {
        log.append(&record(number, 200)).unwrap();
        log.commit(SyncNow::Yes).unwrap();
    }
    log.close().unwrap();
    drop(disk);
    let disk = Arc::new(Directory::open(&path).unwrap());
    let (_, recovery, found) = open(&disk, true).unwrap();
    assert!(recovery.clean_shutdown && recovery.intact);
    assert_eq!(found.len(), 50);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes stand in place of parts of its files, the log opens or says why not.
    #[test]
    fn arbitrary_bytes_never_panic(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        cut in any::<bool>(),
        load in any::<bool>(),
    ) {
        let (disk, log, _) = filled(30);
        drop(log);
        let names = disk.list().unwrap();
        let name = &names[file.index(names.len())];
        let mut contents = disk.contents(name).unwrap();
        let start = at.index(contents.len());
        let end = if cut { contents.len() } else { contents.len().min(start + bytes.len()) };
        contents.splice(start..end, bytes);
        disk.put(name, contents);
        if let Ok((mut log, recovery, found)) = open(&disk, load) {
            // A file that got shorter passes for one whose end was never written.
            let told = cut || !recovery.intact || recovery.from_hints > 0;
            prop_assert!(found.len() == 30 || told);
            log.append(&record(1, 10)).unwrap();
            log.commit(SyncNow::Yes).unwrap();
            drop(log);
            open(&disk, true).unwrap();
        }
    }

    #[test]
    fn files_of_nothing_but_arbitrary_bytes_never_panic(
        segment in prop::collection::vec(any::<u8>(), 0..3000),
        hint in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let disk = Arc::new(MemoryDisk::new());
        disk.put(&segment_file(1), segment);
        disk.put("segment-0000000001.hint", hint);
        let _ = open(&disk, false);
    }
}
