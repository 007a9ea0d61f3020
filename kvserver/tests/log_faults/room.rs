//! Room ahead of the log's end: what is found there after a crash, and what that says.

use std::sync::Arc;

use kvcore::record::{Body, Payload};
use kvserver::log::{
    Damage, Entry, SyncNow,
    disk::{Disk, memory::MemoryDisk},
};

use super::{filled, open, record};

/// The last segment's file, and its bytes that are not room.
fn last_segment(disk: &Arc<MemoryDisk>) -> (String, Vec<u8>) {
    let copy = Arc::new(MemoryDisk::new());
    for name in disk.list().unwrap() {
        copy.put(&name, disk.contents(&name).unwrap());
    }
    let names = copy.list().unwrap();
    let last = names.into_iter().rfind(|name| name.ends_with(".log"));
    let last = last.unwrap();
    drop(open(&copy, false).unwrap());
    let written = copy.contents(&last).unwrap();
    (last, written)
}

#[test]
fn bytes_in_the_room_ahead_cost_nothing() {
    let (disk, log, all) = filled(5);
    drop(log);
    let (last, written) = last_segment(&disk);
    let whole = disk.contents(&last).unwrap();
    assert!(whole.len() > written.len() + 1000, "there is room");
    for at in [
        written.len(),
        written.len() + 1,
        whole.len() / 2,
        whole.len() - 1,
    ] {
        disk.put(&last, whole.clone());
        disk.flip(&last, at, 3);
        let (_, recovery, found) = open(&disk, true).unwrap();
        assert_eq!(
            (found.len(), recovery.damage),
            (all.len(), Damage::None),
            "{at}"
        );
        // Next to the last record, whether there was one is in doubt.
        assert!(recovery.intact || at < written.len() + 24, "{at}");
        assert_eq!(disk.contents(&last).unwrap()[..written.len()], written);
    }
}

#[test]
fn a_commit_of_which_sectors_are_missing_was_not_promised() {
    const SECTOR: usize = 512;
    let (disk, mut log, all) = filled(5);
    let (last, written) = last_segment(&disk);
    let before = disk.contents(&last).unwrap();
    // Zeros, which room is not.
    let mut zeros = record(99, 2000);
    if let Entry::Record { record, .. } = &mut zeros
        && let Body::Value { payload, .. } = &mut record.body
    {
        *payload = Payload::Whole(vec![0; 2000].into());
    }
    log.append(&zeros).unwrap();
    log.commit(SyncNow::Yes).unwrap();
    drop(log);
    let after = disk.contents(&last).unwrap();
    let first = written.len() / SECTOR;
    let sectors = first..(written.len() + 2100).div_ceil(SECTOR);
    for lost in 1..1 << sectors.len() {
        let mut torn = after.clone();
        for sector in sectors
            .clone()
            .filter(|sector| lost >> (sector - first) & 1 == 1)
        {
            let place = sector * SECTOR..(sector + 1) * SECTOR;
            torn[place.clone()].copy_from_slice(&before[place]);
        }
        disk.put(&last, torn);
        let (_, recovery, found) = open(&disk, true).unwrap();
        assert!(recovery.intact, "{lost:b}: {recovery:?}");
        assert_eq!(found.len(), all.len(), "{lost:b}");
    }
    // The same bytes flipped may have been promised.
    disk.put(&last, after);
    disk.flip(&last, written.len() + 700, 3);
    let (_, recovery, found) = open(&disk, true).unwrap();
    assert!(!recovery.intact && found.len() == all.len(), "{recovery:?}");
}
