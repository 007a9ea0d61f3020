//! What an opened log promises: the same when opened twice, everything readable, writes that last,
//! and health once it was repaired.

use std::sync::Arc;

use kvserver::log::{
    Damage, Entry, Location, Log, OpenError, Recovered, RecoveredEntry, Recovery, SyncNow,
    disk::memory::MemoryDisk,
};

use super::{
    Hints,
    history::{entry, options},
};
use crate::input::Input;

type Found = Vec<(Location, RecoveredEntry)>;
type Opened = (Log<MemoryDisk>, Recovery, Found);

/// Opens the log of `disk` in every way.
pub(super) fn check(disk: &Arc<MemoryDisk>, load: bool, hints: Hints) {
    let (log, first, found) = match open(disk, load) {
        Ok(opened) => opened,
        Err(error) => {
            let again = open(disk, load).expect_err("it could not be opened before");
            assert_eq!(again.to_string(), error.to_string());
            return;
        }
    };
    assert_eq!(first.records, found.len() as u64);
    assert!(!first.intact || first.damage == Damage::None);
    if hints == Hints::Honest && (load || first.from_hints == 0) {
        is_readable(&log, &found);
    }
    drop(log);

    let (mut log, second, same) = open(disk, load).expect("it could be opened before");
    // Damage that was seen because a segment was the last one is not seen again once a hint spares
    // reading it; the doubt stays, and whoever reads the record meets the damage.
    let is_read = load || first.damage == Damage::None;
    if hints == Hints::Honest && is_read {
        are_same(&same, &found, &second);
        // Where any slot may be touched, a new roster is made, and the doubt alone stays.
        if first.damage != Damage::All {
            assert_eq!(second.damage, first.damage, "{first:?}\n{second:?}");
        }
    }
    assert!(first.intact || !second.intact, "a doubt was forgotten");
    assert_eq!(second.torn_bytes, 0, "what was cut has come back");

    let new = entry(&mut Input::new(&[3 << 4]), 1 << 40);
    let at = log.append(&new).expect("an opened log takes writes");
    log.commit(SyncNow::Yes)
        .expect("an opened log takes writes");
    assert_eq!(log.reader().read(at).expect("it was committed"), new);
    drop(log);
    disk.crash(u64::from(at.offset));
    let (log, third, mut after) = open(disk, load).expect("only a crash was in between");
    if hints == Hints::Honest {
        let place = after.iter().position(|(other, _)| *other == at);
        after.remove(place.expect("it was durable"));
        are_same(&after, &same, &third);
    }
    heal(disk, log);
}

fn open(disk: &Arc<MemoryDisk>, load: bool) -> Result<Opened, OpenError> {
    let mut found = Vec::new();
    let visit = &mut |at, entry: Recovered<'_>| found.push((at, entry.to_entry()));
    let (log, recovery) = Log::open(Arc::clone(disk), options(load), visit)?;
    Ok((log, recovery, found))
}

/// Told by their places, since the entries themselves are long.
fn are_same(found: &Found, before: &Found, recovery: &Recovery) {
    let places = |found: &Found| found.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    assert_eq!(places(found), places(before), "{recovery:?}");
    assert!(found == before, "the same places hold other entries");
}

fn is_readable(log: &Log<MemoryDisk>, found: &Found) {
    for (at, recovered) in found {
        let read = log.reader().read(*at).expect("it was just handed out");
        match (&read, recovered) {
            (
                Entry::Record { key, record },
                RecoveredEntry::Record {
                    key: of,
                    record: loaded,
                    payload_loaded,
                },
            ) => {
                assert_eq!((key, record.version), (of, loaded.version));
                assert!(!payload_loaded || record == loaded);
            }
            (
                Entry::Chunk { upload, bytes, .. },
                RecoveredEntry::Chunk {
                    upload: of, length, ..
                },
            ) => assert_eq!((upload, bytes.len()), (of, *length as usize)),
            _ => panic!("a record turned into a chunk, or back"),
        }
    }
}

/// Once every slot was brought up to date from other copies, the log may be trusted again.
fn heal(disk: &Arc<MemoryDisk>, mut log: Log<MemoryDisk>) {
    log.repaired().expect("the disk is whole");
    while let Some(damaged) = log.victim().filter(|&victim| log.is_repaired(victim)) {
        log.retire(damaged).expect("it was repaired");
    }
    log.close().expect("the disk is whole");
    let (_, recovery, _) = open(disk, false).expect("it was closed");
    assert!(recovery.clean_shutdown, "{recovery:?}");
    assert!(recovery.intact, "{recovery:?}");
}
