//! Reads: repair, hedging, expiry, and answers of fewer copies than a quorum.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use broker::machine::{
    Failure, Outcome,
    read::{Demand, ReadAnswer},
};
use kvcore::{time::Clock, value::Value, version::Version};

use crate::support::{Cluster, cluster, int, key};

async fn get(cluster: &Cluster, demand: Demand) -> ReadAnswer {
    match cluster.broker.get(key("a"), demand).await {
        Outcome::Done(answer) => answer,
        other => panic!("not read: {other:?}"),
    }
}

async fn put(cluster: &Cluster, value: &Value) -> Version {
    match cluster.broker.put(key("a"), value).await {
        Outcome::Done(version) => version,
        other => panic!("not written: {other:?}"),
    }
}

/// Waits for the members beyond the quorum.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn what_one_member_has_is_spread_before_it_is_answered() {
    let cluster = cluster(3, 3).await;
    put(&cluster, &int(1)).await;
    settle().await;
    let old = cluster.members[0].stored(&key("a"));
    let version = put(&cluster, &int(2)).await;
    settle().await;
    // The write reached one member only, as after a broker's crash.
    cluster.members[1].set(&key("a"), old.clone());
    cluster.members[2].set(&key("a"), old);
    cluster.members[1].set_down(true);
    let answer = get(&cluster, Demand::Quorum).await;
    assert_eq!(answer.version, Some(version));
    for at in [0, 2] {
        let stored = cluster.members[at].stored(&key("a")).expect("repaired");
        assert_eq!(stored.version, version, "with its own version");
    }
    // Now the first may be lost.
    cluster.members[1].set_down(false);
    cluster.members[0].set_down(true);
    assert_eq!(cluster.int("a").await, Some(2));
}

#[tokio::test]
async fn a_read_that_cannot_spread_is_not_answered() {
    let cluster = cluster(3, 3).await;
    put(&cluster, &int(1)).await;
    settle().await;
    for member in &cluster.members[1..] {
        member.set(&key("a"), None);
        member.loses_replies.store(true, Ordering::Relaxed);
    }
    cluster.members[2].set_down(true);
    let outcome = cluster.broker.get(key("a"), Demand::Quorum).await;
    assert!(
        matches!(outcome, Outcome::NotDone(Failure::TooFew { .. })),
        "{outcome:?}"
    );
    let answer = get(&cluster, Demand::Available).await;
    assert!(answer.value.is_some() && answer.partial.is_none_or(|partial| partial.answered <= 2));
}

#[tokio::test]
async fn a_slow_member_is_not_waited_for() {
    let cluster = cluster(3, 3).await;
    put(&cluster, &int(1)).await;
    settle().await;
    cluster.members[0].set_delay(5_000);
    for _ in 0..8 {
        let began = Instant::now();
        assert_eq!(cluster.int("a").await, Some(1));
        assert!(began.elapsed() < Duration::from_millis(400));
    }
    assert!(
        cluster
            .broker
            .metrics()
            .render()
            .contains("hedged_reads_total")
    );
}

#[tokio::test]
async fn expiry_makes_one_tombstone_on_a_quorum() {
    let cluster = cluster(3, 3).await;
    let expires_at = Some(cluster.clock.now().plus(10_000));
    let version = put(
        &cluster,
        &Value {
            expires_at,
            ..int(1)
        },
    )
    .await;
    settle().await;
    assert_eq!(cluster.int("a").await, Some(1));
    cluster.clock.0.store(10_001, Ordering::Relaxed);
    let answer = get(&cluster, Demand::Quorum).await;
    assert_eq!(
        (answer.version, answer.value),
        (Some(version.expiry()), None)
    );
    settle().await;
    let stored = cluster
        .members
        .iter()
        .map(|member| member.stored(&key("a")));
    let tombstones = stored.flatten().filter(|stored| stored.value.is_none());
    let versions: Vec<_> = tombstones.map(|stored| stored.version).collect();
    assert!(versions.len() >= 2 && versions.iter().all(|made| *made == version.expiry()));
}

#[tokio::test]
async fn available_reads_say_what_is_missing() {
    let cluster = cluster(3, 3).await;
    put(&cluster, &int(1)).await;
    settle().await;
    cluster.members[0].set_down(true);
    cluster.members[2].set_down(true);
    let Outcome::NotDone(failure) = cluster.broker.get(key("a"), Demand::Quorum).await else {
        panic!("one of three is no quorum");
    };
    assert!(failure.to_string().contains("10.0.0.1:7003"), "{failure}");
    let answer = get(&cluster, Demand::Available).await;
    assert!(answer.value.is_some());
    let partial = answer.partial.expect("said");
    assert_eq!((partial.answered, partial.needed), (1, 2));
    let addresses: Vec<_> = partial.absent.iter().map(|a| a.address.as_str()).collect();
    assert_eq!(addresses, ["10.0.0.1:7001", "10.0.0.1:7003"]);
    cluster.members[1].set_down(true);
    let outcome = cluster.broker.get(key("a"), Demand::Available).await;
    assert!(
        matches!(outcome, Outcome::NotDone(Failure::TooFew { .. })),
        "{outcome:?}"
    );
}
