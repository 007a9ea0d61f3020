//! Room for large values: held with their bytes, waited for by a deadline, never in a circle.

use std::time::Duration;

use broker::{
    command::{Command, End},
    machine::{Failure, Outcome, read::Demand, scan::ScanPlan},
    shell::BrokerOptions,
};
use bytes::Bytes;
use kvcore::value::{Content, Value};

use crate::support::{Cluster, cluster_with, key};

const LARGE_BYTES: usize = 3 * 1024 * 1024;

/// Three keys with large values, and room for one of them at a time.
async fn narrow() -> Cluster {
    let options = BrokerOptions {
        operation: Duration::from_millis(800),
        large_values_bytes: LARGE_BYTES + LARGE_BYTES / 2,
        ..BrokerOptions::default()
    };
    let cluster = cluster_with(3, 3, options).await;
    let value = Value {
        content: Content::Raw {
            flags: 0,
            bytes: vec![7; LARGE_BYTES].into(),
        },
        expires_at: None,
    };
    for name in ["k1", "k2", "k3"] {
        let outcome = cluster.broker.put(key(name), &value).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        // What a copy lacks a read would bring it, for which it needs room.
        let stored = || {
            cluster
                .members
                .iter()
                .all(|member| member.stored(&key(name)).is_some())
        };
        let everywhere = async {
            while !stored() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), everywhere).await;
        assert!(waited.is_ok(), "all members are up");
    }
    cluster
}

async fn assert_full(cluster: &Cluster) {
    let outcome = cluster.broker.get(key("k2"), Demand::Quorum).await;
    let Outcome::NotDone(failure @ Failure::NoRoom { .. }) = outcome else {
        panic!("another value holds the room: {outcome:?}");
    };
    let expected = format!("no room for a value of {LARGE_BYTES} bytes within ");
    assert!(failure.to_string().starts_with(&expected), "{failure}");
}

async fn get(cluster: &Cluster, name: &str) -> Bytes {
    let outcome = cluster.broker.get(key(name), Demand::Quorum).await;
    let Outcome::Done(answer) = outcome else {
        panic!("there is room: {outcome:?}");
    };
    answer.value.expect("a value").1
}

#[tokio::test]
async fn a_value_holds_its_room_until_its_bytes_are_dropped() {
    let cluster = narrow().await;
    let bytes = get(&cluster, "k1").await;
    let part = bytes.slice(..1);
    drop(bytes);
    assert_full(&cluster).await;
    // What takes no room waits for none.
    assert_eq!(cluster.say("PUT small : 1").await, "OK\n");
    assert_eq!(cluster.say("GET small").await, "\"small\" : 1\n");
    assert!(matches!(
        cluster.broker.presence(key("k2")).await,
        Outcome::Done(_)
    ));
    drop(part);
    assert_eq!(get(&cluster, "k2").await.len(), LARGE_BYTES);
}

#[tokio::test]
async fn a_response_holds_the_room_of_the_value_it_shows() {
    let cluster = narrow().await;
    for line in ["GET k1", "SCAN k1"] {
        let command = Command::parse(line.as_bytes()).expect("valid");
        let response = command.execute(&cluster.broker).await;
        assert!(!response.is_error(), "{line}: {:?}", response.end);
        assert_full(&cluster).await;
        drop(response);
    }
    assert_eq!(get(&cluster, "k2").await.len(), LARGE_BYTES);
}

#[tokio::test]
async fn a_read_that_waits_goes_on_when_room_is_given_back() {
    let cluster = narrow().await;
    let held = get(&cluster, "k1").await;
    let second = get(&cluster, "k2");
    tokio::pin!(second);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
    assert!(early.is_err(), "it had no room");
    drop(held);
    assert_eq!(second.await.len(), LARGE_BYTES);
}

#[tokio::test]
async fn scans_at_once_end_their_pages_instead_of_waiting_for_each_other() {
    let cluster = narrow().await;
    let walk = async || {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let plan = ScanPlan {
                prefix: Bytes::from_static(b"k"),
                after,
                limit: 10,
            };
            let outcome = cluster.broker.scan(plan, Demand::Quorum).await;
            let Outcome::Done(page) = outcome else {
                panic!("room for one value at a time: {outcome:?}");
            };
            assert_eq!(page.entries.len(), 1);
            names.extend(page.entries.into_iter().map(|(key, ..)| key));
            match page.next_after {
                Some(next) => after = Some(next),
                None => return names,
            }
        }
    };
    let walks = tokio::join!(walk(), walk(), walk());
    for names in [walks.0, walks.1, walks.2] {
        assert_eq!(names, [key("k1"), key("k2"), key("k3")]);
    }
}

#[tokio::test]
async fn a_response_without_its_value_holds_nothing() {
    let cluster = narrow().await;
    let command = Command::parse(b"QUERY k1.name").expect("valid");
    let response = command.execute(&cluster.broker).await;
    assert_eq!(response.end, End::NotFound);
    assert_eq!(get(&cluster, "k2").await.len(), LARGE_BYTES);
}
