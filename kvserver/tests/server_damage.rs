//! Members that lost bytes, or a tail, vote again once the others have given it back.

// Test helpers outside of #[test] functions may unwrap too.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::path::{Path, PathBuf};

use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    record::{Body, Payload, Record, UploadId},
    replica::Replica,
    slot::Slot,
    status::{StorageMode, SyncMode},
    wire::{Refusal, Reply, Request, Standing},
};
use kvserver::store::StoreOptions;

#[path = "fixture/members.rs"]
mod members;
#[path = "fixture/records.rs"]
mod records;

use members::{Members, scope, until};
use records::{key, large, payload, small};

fn options(mode: StorageMode) -> StoreOptions {
    records::options(mode)
}

/// Stores a value in chunks on one member.
async fn put_large(members: &Members, number: usize, key: &Key, at: u64, upload: u128) {
    let bytes = payload(upload as u64, 2 * CHUNK_BYTES + 5);
    for (index, part) in (0u32..).zip(bytes.chunks(CHUNK_BYTES)) {
        let request = Request::PutChunk {
            scope: scope(key.slot()),
            upload: UploadId(upload),
            index,
            bytes: bytes.slice_ref(part),
        };
        let reply = members.server(number).call(request).await;
        assert_eq!(reply, Ok(Reply::ChunkStored));
    }
    members
        .put(number, key, large(at, upload, bytes.len()))
        .await;
}

/// Damages the segments in a directory: one byte in each of some records' bodies, never in the
/// last segment. Gives the segments' files.
fn damage(directory: &Path) -> Vec<PathBuf> {
    let segments = std::fs::read_dir(directory)
        .unwrap()
        .map(|e| e.unwrap().path());
    let mut segments: Vec<_> = segments
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    segments.sort();
    segments.pop();
    for path in &segments {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        std::fs::write(path, bytes).unwrap();
    }
    assert!(!segments.is_empty(), "no segment is sealed");
    segments
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_never_absence_and_is_repaired_from_the_others() {
    for mode in [StorageMode::Memory, StorageMode::Disk] {
        let mut members = Members::start(3, 3, options(mode)).await;
        for number in 0..400 {
            members
                .put(0, &key(number), small(1, payload(number.into(), 120)))
                .await;
        }
        put_large(&members, 0, &key(1_000), 1, 70).await;
        until("equal digests", || members.agree(&[0, 1, 2])).await;
        members.stop(2).await;
        damage(&members.path(2));
        // A hint would let disk mode open without reading; the damage shows when it is read.
        let (first, second) = (members.ids[0], members.ids[1]);
        let others = [members.counted(0), members.counted(1)];
        members.reachable.remove(first);
        members.reachable.remove(second);
        members.restart_alone(2).await;
        if mode == StorageMode::Memory {
            let status = members.server(2).status();
            assert!(status.slots_damaged > 0 && !status.ready, "{status:?}");
        }
        let mut refused = 0;
        for number in 0..400 {
            match members.get(2, &key(number)).await {
                Reply::Record {
                    record: Some(record),
                    ..
                } => {
                    assert_eq!(record, small(1, payload(number.into(), 120)));
                }
                Reply::Refused(Refusal::Damaged(slot)) => {
                    assert_eq!(slot, key(number).slot());
                    refused += 1;
                }
                other => panic!("{mode:?}, key {number}: {other:?}"),
            }
        }
        assert!(refused > 0, "{mode:?}: nothing was damaged");
        let status = members.server(2).status();
        assert!(
            status.slots_damaged > 0 && status.damage_met > 0,
            "{status:?}"
        );
        let figure = format!("kvasir_server_damage_met {}", status.damage_met);
        let figures = members.server(2).render_metrics();
        assert!(figures.contains(&figure), "{figures}");
        members.reachable.add(first, &others[0]);
        members.reachable.add(second, &others[1]);
        let server = members.server(2).clone();
        until("no damage", || server.status().slots_damaged == 0).await;
        until("equal digests", || members.agree(&[0, 1, 2])).await;
        members.until_ready(2).await;
        for number in 0..400 {
            let record = Some(small(1, payload(number.into(), 120)));
            let standing = Standing::Voter;
            let expected = Reply::Record { standing, record };
            assert_eq!(members.get(2, &key(number)).await, expected, "{mode:?}");
        }
        members.stop_all().await;
    }
}

/// What was repaired stays repaired: the damaged segments leave the log.
#[tokio::test(flavor = "multi_thread")]
async fn repaired_damage_is_gone_after_the_next_restart() {
    let mut members = Members::start(3, 3, options(StorageMode::Memory)).await;
    for number in 0..300 {
        members
            .put(0, &key(number), small(1, payload(number.into(), 120)))
            .await;
    }
    until("equal digests", || members.agree(&[0, 1, 2])).await;
    members.stop(2).await;
    let damaged = damage(&members.path(2));
    members.restart(2).await;
    assert!(members.server(2).status().slots_damaged > 0);
    members.until_ready(2).await;
    until("compaction", || damaged.iter().all(|path| !path.exists())).await;
    members.stop(2).await;
    for number in 0..2 {
        members.reachable.remove(members.ids[number]);
    }
    members.restart_alone(2).await;
    let status = members.server(2).status();
    assert_eq!((status.slots_damaged, status.slots_unsynced), (0, 0));
    assert_eq!(status.keys, 300);
    members.stop_all().await;
}

/// Two of three damaged in the same slots, at different keys: each has what the other lost.
#[tokio::test(flavor = "multi_thread")]
async fn two_damaged_members_save_each_other() {
    let mut members = Members::start(3, 3, options(StorageMode::Memory)).await;
    for number in 0..300 {
        members
            .put(0, &key(number), small(1, payload(number.into(), 120)))
            .await;
    }
    until("equal digests", || members.agree(&[0, 1, 2])).await;
    for number in [1, 2] {
        members.stop(number).await;
        // Lose a whole segment, so that every slot may be touched.
        std::fs::remove_file(members.path(number).join("segment-0000000002.log")).unwrap();
        let hint = members.path(number).join("segment-0000000002.hint");
        std::fs::remove_file(hint).unwrap();
    }
    for number in [1, 2] {
        members.restart(number).await;
        assert_eq!(members.server(number).status().slots_damaged, 1024);
    }
    for number in [1, 2] {
        members.until_ready(number).await;
    }
    until("equal digests", || members.agree(&[0, 1, 2])).await;
    assert_eq!(members.server(1).status().keys, 300);
    members.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsynced_tail_votes_again_after_enough_of_the_others() {
    for sync in [SyncMode::Interval, SyncMode::Never] {
        let store = StoreOptions {
            sync,
            ..options(StorageMode::Memory)
        };
        let mut members = Members::start(3, 3, store).await;
        members.put(0, &key(1), small(1, payload(1, 50))).await;
        until("equal digests", || members.agree(&[0, 1, 2])).await;
        members.kill(2).await;
        members.stop(1).await;
        members.restart(2).await;
        let status = members.server(2).status();
        assert_eq!(status.slots_unsynced, 1024);
        // S is two: one of the others is not enough, and it says whom it misses.
        let server = members.server(2).clone();
        let away = members.ids[1].to_string();
        until("a reason", || {
            let reason = server.status().reason.unwrap_or_default();
            reason.contains("do not vote yet") && reason.contains(&away)
        })
        .await;
        assert_eq!(server.status().slots_unsynced, 1024);
        match members.get(2, &key(1)).await {
            Reply::Record { standing, .. } => assert_eq!(standing, Standing::Unsynced),
            other => panic!("{other:?}"),
        }
        members.restart(1).await;
        members.until_ready(2).await;
        assert_eq!(members.server(2).status().slots_unsynced, 0);
        members.stop_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_are_all_unsynced_merge_and_vote() {
    let store = StoreOptions {
        sync: SyncMode::Interval,
        ..options(StorageMode::Memory)
    };
    let mut members = Members::start(3, 3, store).await;
    for number in 0..3 {
        let own = key(number as u32);
        members
            .put(number, &own, small(1, payload(number as u64, 50)))
            .await;
    }
    for number in 0..3 {
        members.kill(number).await;
    }
    // Two of three prove nothing to each other, however long they are up. The third ends the
    // wait of all, at once: it may vote before anyone could look.
    for number in 0..2 {
        members.restart(number).await;
        for up in 0..=number {
            assert_eq!(members.server(up).status().slots_unsynced, 1024, "{up}");
        }
    }
    members.restart(2).await;
    for number in 0..3 {
        members.until_ready(number).await;
    }
    until("equal digests", || members.agree(&[0, 1, 2])).await;
    assert_eq!(members.server(0).status().keys, 3);
    members.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_copy_votes_unsynced_and_shows_its_damage() {
    let store = StoreOptions {
        sync: SyncMode::Interval,
        ..options(StorageMode::Memory)
    };
    let mut members = Members::start(1, 1, store).await;
    for number in 0..100 {
        members
            .put(0, &key(number), small(1, payload(1, 150)))
            .await;
    }
    members.kill(0).await;
    members.restart(0).await;
    members.until_ready(0).await;
    assert_eq!(members.server(0).status().keys, 100);
    members.stop(0).await;
    damage(&members.path(0));
    members.restart(0).await;
    let server = members.server(0).clone();
    until("a round", || {
        server.status().reason.is_some_and(|r| r.contains("vote"))
    })
    .await;
    let status = server.status();
    assert!(status.slots_damaged > 0 && !status.ready, "{status:?}");
    members.stop_all().await;
}

/// A member that cannot store what it lacks has not synced, whatever it was told.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_stored_was_not_synced() {
    let store = StoreOptions {
        sync: SyncMode::Interval,
        ..options(StorageMode::Memory)
    };
    let mut members = Members::start(3, 3, store).await;
    members.put(0, &key(1), small(1, payload(1, 50))).await;
    until("equal digests", || members.agree(&[0, 1, 2])).await;
    members.kill(2).await;
    for member in 0..2 {
        members.put(member, &key(2), small(1, payload(2, 50))).await;
    }
    members.store.memory_limit = Some(1);
    members.restart(2).await;
    let server = members.server(2).clone();
    until("a reason", || {
        let reason = server.status().reason.unwrap_or_default();
        reason.contains("memory limit of 1 bytes")
    })
    .await;
    let lacking = key(2).slot();
    for _ in 0..3 {
        let rounds = members.counted(0).count("digests");
        until("a round", || members.counted(0).count("digests") > rounds).await;
        assert_eq!(server.store().standing(lacking), Standing::Unsynced);
        assert!(!server.status().ready);
    }
    let synced = Slot::all().filter(|&slot| server.store().standing(slot) == Standing::Voter);
    assert_eq!(synced.count(), 1023, "the other slots go on");
    drop(server);
    members.stop(2).await;
    members.store.memory_limit = None;
    members.restart(2).await;
    members.until_ready(2).await;
    assert!(matches!(
        members.get(2, &key(2)).await,
        Reply::Record {
            standing: Standing::Voter,
            record: Some(Record {
                body: Body::Value {
                    payload: Payload::Whole(_),
                    ..
                },
                ..
            }),
        }
    ));
    members.stop_all().await;
}
