//! A disk without room: what it costs, and what it must not cost.

use std::sync::Arc;

use kvserver::log::{
    CommitError, SyncNow,
    disk::{Disk, memory::MemoryDisk},
};

use super::{filled, open, record, segment_file};

#[test]
fn a_batch_refused_for_want_of_room_does_not_pass_for_the_announcement_of_unsynced_ones() {
    for seed in 0..20 {
        let disk = Arc::new(MemoryDisk::new());
        let (log, ..) = open(&disk, false).unwrap();
        log.close().unwrap();
        let (mut log, ..) = open(&disk, false).unwrap();
        disk.set_room(Some(0));
        log.append(&record(1, 200)).unwrap();
        let refused = log.commit(SyncNow::No).unwrap_err();
        assert!(matches!(refused, CommitError::DiskFull { .. }), "{refused}");
        disk.set_room(None);
        // The first one that is acknowledged before it is durable.
        log.append(&record(2, 200)).unwrap();
        log.commit(SyncNow::No).unwrap();
        log.append(&record(3, 200)).unwrap();
        log.commit(SyncNow::No).unwrap();
        drop(log);
        disk.crash(seed);
        let (_, recovery, found) = open(&disk, false).unwrap();
        assert!(found.len() == 2 || !recovery.intact, "{seed}: {recovery:?}");
    }
}

#[test]
fn a_log_whose_last_segment_was_sealed_opens_on_a_full_disk() {
    let (disk, log, all) = filled(50);
    drop(log);
    // As if it had been killed between the footer and the next segment's head.
    let mut segments = disk.list().unwrap();
    segments.retain(|name| name.ends_with(".log"));
    disk.put(&segment_file(segments.len() as u32), Vec::new());
    for name in disk.list().unwrap() {
        if name.ends_with(".new") {
            disk.remove(&name).unwrap();
        }
    }
    let hints = |disk: &MemoryDisk| {
        let names = disk.list().unwrap();
        names.iter().filter(|name| name.ends_with(".hint")).count()
    };
    let before = hints(&disk);
    assert!(before > 0);
    disk.set_room(Some(0));
    // Room comes back with what is removed.
    let (mut log, recovery, found) = open(&disk, false).unwrap();
    assert!(recovery.torn_at.is_none() && found.len() < all.len());
    assert!(
        hints(&disk) < before,
        "{before} {} {recovery:?} {:?}",
        hints(&disk),
        disk.list()
    );
    disk.set_room(None);
    log.append(&record(99, 200)).unwrap();
    log.commit(SyncNow::Yes).unwrap();
}

#[test]
fn a_hint_that_finds_no_room_costs_no_write() {
    let (disk, mut log, mut all) = filled(5);
    // Room for the records, not for what describes them.
    for number in 100..160 {
        let entry = record(number, 200);
        disk.set_room(Some(4096));
        all.push((log.append(&entry).unwrap(), entry));
        log.commit(SyncNow::Yes).unwrap();
    }
    disk.set_room(None);
    drop(log);
    let (_, recovery, found) = open(&disk, true).unwrap();
    assert!(recovery.intact, "{recovery:?}");
    assert_eq!(found.len(), all.len());
}
