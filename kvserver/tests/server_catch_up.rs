//! Members of a slot become equal by themselves, whatever they start from.

// Test helpers outside of #[test] functions may unwrap too.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    record::{Record, UploadId},
    replica::Replica,
    status::StorageMode,
    wire::{Reply, Request},
};
use kvserver::store::StoreOptions;

#[path = "fixture/members.rs"]
mod members;
#[path = "fixture/records.rs"]
mod records;

use members::{Members, scope, until};
use records::{key, large, payload, small, version};

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

#[tokio::test(flavor = "multi_thread")]
async fn differences_of_every_kind_vanish_without_a_read() {
    for mode in [StorageMode::Memory, StorageMode::Disk] {
        let members = Members::start(3, 3, options(mode)).await;
        for number in 0..3 {
            // Missing on two, older on one, newer on another, deleted on a third.
            members
                .put(number, &key(number as u32), small(1, payload(1, 90)))
                .await;
            members
                .put(number, &key(10), small(number as u64 + 1, payload(2, 900)))
                .await;
            put_large(
                &members,
                number,
                &key(20 + number as u32),
                3,
                50 + number as u128,
            )
            .await;
            put_large(
                &members,
                number,
                &key(30),
                3 + number as u64,
                60 + number as u128,
            )
            .await;
        }
        members.put(0, &key(11), small(1, payload(1, 9))).await;
        members
            .put(1, &key(11), Record::tombstone(version(2)))
            .await;
        members
            .put(2, &key(12), Record::tombstone(version(9)))
            .await;
        members.put(1, &key(12), small(8, payload(1, 9))).await;
        until("equal digests", || members.agree(&[0, 1, 2])).await;
        for number in 0..3 {
            let store = members.server(number).store();
            let at = |key: &Key| store.get(key).unwrap().1.unwrap();
            assert_eq!(at(&key(10)), small(3, payload(2, 900)));
            assert_eq!(at(&key(11)), Record::tombstone(version(2)));
            assert_eq!(at(&key(12)), Record::tombstone(version(9)));
            assert_eq!(at(&key(30)).version, version(5));
            let chunk = store.chunk(&key(30), version(5), 1).unwrap();
            let sent = payload(62, 2 * CHUNK_BYTES + 5);
            assert_eq!(chunk, sent.slice(CHUNK_BYTES..2 * CHUNK_BYTES));
            assert_eq!((store.keys(), store.tombstones()), (8, 2));
        }
        members.stop_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_difference_costs_a_few_requests() {
    let members = Members::start(2, 2, options(StorageMode::Memory)).await;
    for number in 0..200 {
        members.put(0, &key(number), small(1, payload(1, 20))).await;
    }
    until("equal digests", || members.agree(&[0, 1])).await;
    for number in 0..2 {
        members.until_ready(number).await;
    }
    // A round that finds nothing has begun and ended before what is counted.
    let source = members.counted(0);
    let rounds = source.count("digests");
    until("a round", || source.count("digests") > rounds).await;
    source.take_counts();
    members.put(0, &key(1_000), small(1, payload(1, 20))).await;
    until("equal digests", || members.agree(&[0, 1])).await;
    let counts = source.take_counts();
    assert!(counts["digests"] <= 2, "{counts:?}");
    let others: Vec<_> = counts
        .iter()
        .filter(|(kind, _)| **kind != "digests")
        .collect();
    assert_eq!(others, [(&"buckets", &1), (&"get", &1), (&"versions", &1)]);
    members.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_member_is_ready_once_it_has_what_the_others_have() {
    let mut members = Members::start(3, 3, options(StorageMode::Memory)).await;
    for number in 0..3 {
        members.until_ready(number).await;
    }
    members.stop(2).await;
    for number in 0..60 {
        for member in 0..2 {
            members
                .put(member, &key(number), small(1, payload(1, 50)))
                .await;
        }
    }
    let (first, second) = (members.counted(0), members.counted(1));
    first.set_silent(true);
    second.set_silent(true);
    first.take_counts();
    members.restart(2).await;
    until("a comparison", || first.count("digests") > 0).await;
    let status = members.server(2).status();
    assert!(!status.ready && status.reason.is_some(), "{status:?}");
    assert_eq!(status.slots_unsynced, 0, "it votes at once: {status:?}");
    first.set_silent(false);
    second.set_silent(false);
    members.until_ready(2).await;
    assert!(members.agree(&[0, 1, 2]), "ready before it was equal");
    members.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_away_keeps_nobody_from_being_ready() {
    let mut members = Members::start(3, 3, options(StorageMode::Memory)).await;
    members.put(0, &key(1), small(1, payload(1, 50))).await;
    until("equal digests", || members.agree(&[0, 1, 2])).await;
    members.stop(1).await;
    members.stop(2).await;
    members.put(0, &key(2), small(1, payload(1, 50))).await;
    members.restart(2).await;
    members.until_ready(2).await;
    assert!(members.agree(&[0, 2]));
    members.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_left_behind_takes_the_newer_placement_from_the_others() {
    let mut members = Members::start(3, 3, options(StorageMode::Memory)).await;
    members.stop(2).await;
    for number in 0..2 {
        members.adopt(number, members.placement(3, 2)).await;
    }
    members.restart(2).await;
    let server = members.server(2).clone();
    until("the newer epoch", || server.status().epoch.0 == 2).await;
    members.until_ready(2).await;
    members.stop_all().await;
}
