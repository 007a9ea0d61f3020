//! Sectors that the disk cannot read, at every place of a log.

use std::sync::Arc;

use kvserver::log::{
    Damage, Entry, Location, Log, LogOptions, OpenError, ReadError, SyncNow,
    disk::{Disk, memory::MemoryDisk},
};

use super::{filled, open, options, record, segment_file, slot_of};

/// A log of one larger segment and a bit, so that a page is a part of it.
fn filled_large(records: u64) -> (Arc<MemoryDisk>, Vec<(Location, Entry)>) {
    let disk = Arc::new(MemoryDisk::new());
    let large = LogOptions {
        segment_bytes: 24 * 1024,
        ..options(false)
    };
    let (mut log, _) = Log::open(Arc::clone(&disk), large, &mut |_, _| {}).unwrap();
    let mut all = Vec::new();
    for number in 0..records {
        let entry = record(number, 200);
        all.push((log.append(&entry).unwrap(), entry));
        log.commit(SyncNow::Yes).unwrap();
    }
    log.sync().unwrap();
    (disk, all)
}

/// Every sector in turn: what is lost with it is told, what surrounds it is there, and the log
/// goes on, over one more restart too.
#[test]
fn an_unreadable_sector_is_damage_or_doubt_wherever_it_lies() {
    let (disk, all) = filled_large(150);
    let names: Vec<String> = disk.list().unwrap();
    let lengths = names.iter().map(|name| disk.contents(name).unwrap().len());
    for (name, length) in names.iter().zip(lengths) {
        for at in (0..length).step_by(512) {
            let copy = Arc::new(MemoryDisk::new());
            for name in &names {
                copy.put(name, disk.contents(name).unwrap());
            }
            copy.lose(name, at);
            let (mut log, recovery, found) = open(&copy, at % 1024 == 0).unwrap();
            let is_found = |place: &Location| found.iter().any(|(other, _)| other == place);
            for (place, entry) in all.iter().filter(|(place, _)| !is_found(place)) {
                assert_eq!(*name, segment_file(place.segment.0), "byte {at}");
                // At most the page, and at the end of the log what is behind.
                let is_last = recovery.torn_at.is_some_and(|(_, cut)| cut <= place.offset);
                let page = at as u32 / 4096 * 4096;
                let is_near = place.offset < page + 4096 && place.offset + place.length > page;
                assert!(is_near || is_last, "{name} byte {at}: {place:?}");
                let touched = recovery.damage.touches(slot_of(entry));
                assert!(touched || is_last, "{name} byte {at}: {recovery:?}");
                assert!(!recovery.intact, "{name} byte {at}");
            }
            let new = log.append(&record(999, 10)).unwrap();
            log.commit(SyncNow::Yes).unwrap();
            let doubtful = !recovery.intact;
            drop(log);
            let (_, recovery, again) = open(&copy, true).unwrap();
            assert!(
                again.iter().any(|(place, _)| *place == new),
                "{name} byte {at}"
            );
            assert!(
                !doubtful || !recovery.intact,
                "{name} byte {at}: the doubt is forgotten"
            );
            assert!(again.len() + 20 > found.len(), "{name} byte {at}");
        }
    }
}

#[test]
fn an_unreadable_sector_at_run_time_is_damage_and_one_failed_read_is_not() {
    let (disk, all) = filled_large(50);
    let (log, _, _) = open(&disk, false).unwrap();
    let reader = log.reader();
    for (at, entry) in &all {
        disk.fail_reads_after(Some(0));
        assert_eq!(reader.read(*at).unwrap(), *entry);
    }
    let (lost, _) = &all[7];
    disk.lose(&segment_file(lost.segment.0), lost.offset as usize + 30);
    assert!(matches!(reader.read(*lost), Err(ReadError::Damaged(_))));
    let scanned: Vec<_> = log.scan(lost.segment).unwrap().collect();
    let (good, bad): (Vec<_>, Vec<_>) = scanned.into_iter().partition(Result::is_ok);
    assert!(good.len() > 20, "the scan goes on behind: {}", good.len());
    assert!(!bad.is_empty());
    for error in bad {
        let error = error.unwrap_err();
        assert!(
            error.to_string().contains("the disk cannot read"),
            "{error}"
        );
    }
}

/// What stands in for bytes that cannot be read may happen to be what was there: it does not count.
#[test]
fn a_value_of_zeros_in_unreadable_sectors_is_damaged_like_any_other() {
    let disk = Arc::new(MemoryDisk::new());
    let (mut log, _, _) = open(&disk, true).unwrap();
    let zeros = record(0, 12_000);
    let at = log.append(&zeros).unwrap();
    log.commit(SyncNow::Yes).unwrap();
    log.append(&record(1, 10)).unwrap();
    log.close().unwrap();
    disk.lose(&segment_file(at.segment.0), 6_000);
    let (_, recovery, found) = open(&disk, true).unwrap();
    assert_eq!(recovery.damage, Damage::of(slot_of(&zeros)));
    assert_eq!(found.len(), 1);
}

/// A young segment of an old log is short enough to pass for one that was being made.
#[test]
fn an_unreadable_young_segment_is_not_taken_for_an_unfinished_one() {
    let (disk, mut log, all) = filled(1_000);
    for (at, _) in &all {
        log.release(*at);
    }
    while let Some(victim) = log.victim() {
        log.retire(victim).unwrap();
    }
    let active = |log: &mut Log<MemoryDisk>, number, payload| {
        let at = log.append(&record(number, payload)).unwrap();
        log.commit(SyncNow::Yes).unwrap();
        at.segment
    };
    let full = active(&mut log, 1, 10);
    while active(&mut log, 2, 300) == full {}
    // The segment that was begun now; one more, so that it has as little as can be.
    let before = active(&mut log, 3, 4_000);
    let young = active(&mut log, 4, 1);
    assert!(young > before);
    drop(log);
    disk.lose(&segment_file(young.0), 0);
    let (_, recovery, found) = open(&disk, true).unwrap();
    assert!(found.len() > 2);
    assert!(!recovery.intact, "a record is lost unnoticed: {recovery:?}");
}

/// A disk that fails every read is no damage that could be repaired in place.
#[test]
fn a_log_whose_only_head_cannot_be_read_is_not_begun_anew() {
    let (disk, _) = filled_large(10);
    disk.lose(&segment_file(1), 0);
    let error = open(&disk, false).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    assert!(error.to_string().contains(&segment_file(1)), "{error}");
}
