//! Writes: quorums, versions, and what is known when something fails.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use broker::{
    machine::{Failure, Outcome},
    shell::{Added, BrokerOptions, Deleted},
};
use kvcore::{
    value::{Content, Value},
    version::{HybridTime, Version, WriterId},
};

use crate::{
    member::Stored,
    support::{cluster, cluster_with, int, key},
};

#[tokio::test]
async fn quorum_loss_names_the_dead_and_leaves_nothing_behind() {
    let cluster = cluster(3, 3).await;
    cluster.members[1].set_down(true);
    assert!(matches!(
        cluster.broker.put(key("a"), &int(1)).await,
        Outcome::Done(_)
    ));
    cluster.members[2].set_down(true);
    let Outcome::NotDone(failure) = cluster.broker.put(key("b"), &int(1)).await else {
        panic!("nobody was asked, so it is certain that nothing was stored");
    };
    let text = failure.to_string();
    assert!(
        text.contains("10.0.0.1:7002") && text.contains("10.0.0.1:7003"),
        "{text}"
    );
    assert!(!text.contains("10.0.0.1:7001"), "{text}");
    assert!(cluster.members[0].stored(&key("b")).is_none());
}

#[tokio::test]
async fn a_lost_reply_is_unknown_only_where_it_decides() {
    let cluster = cluster(3, 3).await;
    cluster.members[0]
        .loses_replies
        .store(true, Ordering::Relaxed);
    assert!(matches!(
        cluster.broker.put(key("a"), &int(1)).await,
        Outcome::Done(_)
    ));
    cluster.members[1]
        .loses_replies
        .store(true, Ordering::Relaxed);
    let outcome = cluster.broker.put(key("b"), &int(1)).await;
    assert!(
        matches!(outcome, Outcome::Unknown(Failure::TooFew { .. })),
        "{outcome:?}"
    );
    assert!(cluster.members[0].stored(&key("b")).is_some());
}

#[tokio::test]
async fn a_silent_quorum_ends_at_the_deadline() {
    let cluster = cluster(3, 3).await;
    cluster.members[0].set_delay(60_000);
    cluster.members[1].set_delay(60_000);
    let outcome = cluster.broker.put(key("a"), &int(1)).await;
    assert!(
        matches!(outcome, Outcome::Unknown(Failure::Deadline { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_superseded_write_is_tried_again_above() {
    let cluster = cluster(3, 3).await;
    let ahead = kvnet::clock::SystemClock;
    let ahead = kvcore::time::Clock::now(&ahead).plus(30_000);
    let version = Version::new(HybridTime::at(ahead), WriterId::from_random(8));
    let (meta, bytes) = int(0).to_stored().expect("small");
    let value = Some((meta, bytes));
    for member in &cluster.members {
        member.set(
            &key("a"),
            Some(Stored {
                version,
                value: value.clone(),
            }),
        );
    }
    let Outcome::Done(written) = cluster.broker.put(key("a"), &int(1)).await else {
        panic!("there is room above");
    };
    assert!(written > version);
    assert_eq!(cluster.int("a").await, Some(1));
    // Other keys are not drawn into the future.
    let Outcome::Done(other) = cluster.broker.put(key("b"), &int(1)).await else {
        panic!("nothing is in the way");
    };
    assert!(other < version);
}

#[tokio::test]
async fn concurrent_writes_never_share_a_version() {
    let cluster = cluster(3, 3).await;
    let writes = (0..200).map(|number| {
        let broker = cluster.broker.clone();
        async move { broker.put(key("a"), &int(number)).await }
    });
    let outcomes = futures_util::future::join_all(writes).await;
    let mut versions = HashSet::new();
    for outcome in &outcomes {
        if let Outcome::Done(version) = outcome {
            assert!(versions.insert(*version), "{version} came twice");
        }
    }
    assert!(
        versions.len() > 100,
        "most writes succeed, not {}",
        versions.len()
    );
    let newest = versions.iter().max().expect("some");
    let winner = outcomes
        .iter()
        .position(|outcome| *outcome == Outcome::Done(*newest));
    assert_eq!(
        cluster.int("a").await,
        winner.and_then(|at| i64::try_from(at).ok())
    );
}

#[tokio::test]
async fn add_leaves_values_alone_and_fills_what_was_deleted() {
    let cluster = cluster(3, 3).await;
    let add = async |number| cluster.broker.add(key("a"), &int(number)).await;
    assert_eq!(add(1).await, Outcome::Done(Added::Stored));
    assert_eq!(add(2).await, Outcome::Done(Added::Exists));
    assert_eq!(cluster.int("a").await, Some(1));
    assert_eq!(
        cluster.broker.delete(key("a")).await,
        Outcome::Done(Deleted::Value)
    );
    assert_eq!(
        cluster.broker.delete(key("a")).await,
        Outcome::Done(Deleted::Nothing)
    );
    assert_eq!(add(3).await, Outcome::Done(Added::Stored));
    assert_eq!(cluster.int("a").await, Some(3));
}

#[tokio::test]
async fn a_strict_delete_needs_everybody() {
    let options = BrokerOptions {
        strict_delete: true,
        ..BrokerOptions::default()
    };
    let cluster = cluster_with(4, 3, options).await;
    assert!(matches!(
        cluster.broker.put(key("a"), &int(1)).await,
        Outcome::Done(_)
    ));
    let slot = cluster.placement.slot(key("a").slot());
    let held = slot.current().members()[0].get();
    cluster.members[held].set_down(true);
    let outcome = cluster.broker.delete(key("a")).await;
    assert!(
        matches!(outcome, Outcome::NotDone(Failure::NotAllUp(_))),
        "{outcome:?}"
    );
    cluster.members[held].set_down(false);
    // A server that does not hold the key does not matter.
    let others = (0..4).find(|&at| slot.current().members().iter().all(|m| m.get() != at));
    cluster.members[others.expect("three of four hold it")].set_down(true);
    assert_eq!(
        cluster.broker.delete(key("a")).await,
        Outcome::Done(Deleted::Value)
    );
}

#[tokio::test]
async fn a_large_value_goes_in_chunks_both_ways() {
    let cluster = cluster(3, 3).await;
    let bytes: Vec<u8> = (0..3 * 1024 * 1024_u32).map(|n| (n % 251) as u8).collect();
    let content = Content::Raw {
        flags: 3,
        bytes: bytes.into(),
    };
    let value = Value {
        content,
        expires_at: None,
    };
    assert!(matches!(
        cluster.broker.put(key("a"), &value).await,
        Outcome::Done(_)
    ));
    let demand = broker::machine::read::Demand::Quorum;
    let Outcome::Done(answer) = cluster.broker.get(key("a"), demand).await else {
        panic!("a quorum is up");
    };
    let (meta, bytes) = answer.value.expect("a value");
    assert_eq!(Value::from_stored(&meta, bytes), Ok(value));
    let served: usize = cluster
        .members
        .iter()
        .map(|m| m.chunks_served.load(Ordering::Relaxed))
        .sum();
    assert_eq!(served, 12);
}

/// Three mebibytes of raw bytes.
fn large() -> Value {
    let bytes: Vec<u8> = (0..3 * 1024 * 1024_u32).map(|n| (n % 241) as u8).collect();
    let content = Content::Raw {
        flags: 0,
        bytes: bytes.into(),
    };
    Value {
        content,
        expires_at: None,
    }
}

#[tokio::test]
async fn a_member_beyond_the_quorum_gets_the_rest_of_a_large_value() {
    let cluster = cluster(3, 3).await;
    // Slow enough to have most chunks still to come when the other two are done.
    cluster.members[2].set_delay(50);
    let Outcome::Done(version) = cluster.broker.put(key("a"), &large()).await else {
        panic!("a quorum is up");
    };
    let stored = async {
        while cluster.members[2].stored(&key("a")).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(5), stored).await;
    assert!(waited.is_ok(), "the slow member was left without the value");
    let stored = cluster.members[2].stored(&key("a")).expect("just seen");
    assert_eq!(stored.version, version);
}

#[tokio::test]
async fn more_reads_of_large_values_than_there_is_room_for_all_end() {
    let options = BrokerOptions {
        large_values_bytes: 7 * 1024 * 1024,
        ..BrokerOptions::default()
    };
    let cluster = cluster_with(3, 3, options).await;
    assert!(matches!(
        cluster.broker.put(key("a"), &large()).await,
        Outcome::Done(_)
    ));
    let demand = broker::machine::read::Demand::Quorum;
    let reads = (0..24).map(|_| {
        let broker = cluster.broker.clone();
        tokio::spawn(async move { broker.get(key("a"), demand).await })
    });
    for read in reads.collect::<Vec<_>>() {
        let outcome = read.await.expect("no panic");
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
}
