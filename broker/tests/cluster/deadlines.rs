//! One deadline for a command, however many steps it takes.

use std::time::{Duration, Instant};

use broker::{
    machine::{Outcome, read::Demand, scan::ScanPlan},
    shell::BrokerOptions,
};
use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::PAGE_VALUE_BYTES_MAX,
    value::{Content, Value},
};

use crate::support::{Cluster, cluster_with, int, key};

/// What a command may take.
const OPERATION: Duration = Duration::from_secs(2);

/// The same, with some grace for a busy machine.
const IN_TIME: Duration = Duration::from_millis(2_600);

async fn patient() -> Cluster {
    let options = BrokerOptions {
        operation: OPERATION,
        ..BrokerOptions::default()
    };
    cluster_with(3, 3, options).await
}

fn slow(cluster: &Cluster, delay_ms: u64) {
    for member in &cluster.members {
        member.set_delay(delay_ms);
    }
}

#[tokio::test]
async fn the_second_step_of_a_command_has_what_the_first_left() {
    let cluster = patient().await;
    assert!(matches!(
        cluster.broker.put(key("b"), &int(1)).await,
        Outcome::Done(_)
    ));
    slow(&cluster, 1_200);
    let began = Instant::now();
    let added = cluster.broker.add(key("a"), &int(1)).await;
    assert!(matches!(added, Outcome::Unknown(_)), "{added:?}");
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    let began = Instant::now();
    let deleted = cluster.broker.delete(key("b")).await;
    assert!(matches!(deleted, Outcome::Unknown(_)), "{deleted:?}");
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    let began = Instant::now();
    let answer = cluster.say("QUERY x.y.z").await;
    assert_eq!(answer, "NOT FOUND\n");
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
}

/// Keys whose values are too large for a member's page, so that each is read by itself.
async fn filled(count: usize) -> Cluster {
    let cluster = patient().await;
    let value = Value {
        content: Content::Raw {
            flags: 0,
            bytes: vec![7; PAGE_VALUE_BYTES_MAX + 1].into(),
        },
        expires_at: None,
    };
    for number in 0..count {
        let outcome = cluster.broker.put(name(number), &value).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    cluster
}

fn name(number: usize) -> Key {
    key(&format!("k{number:03}"))
}

fn plan(after: Option<Key>) -> ScanPlan {
    ScanPlan {
        prefix: Bytes::from_static(b"k"),
        after,
        limit: 1000,
    }
}

#[tokio::test]
async fn keys_of_a_page_are_read_at_once_and_the_page_ends_with_its_time() {
    let cluster = filled(100).await;
    slow(&cluster, 300);
    let (mut names, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let began = Instant::now();
        let outcome = cluster.broker.scan(plan(after), Demand::Quorum).await;
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
        let Outcome::Done(page) = outcome else {
            panic!("time for some keys: {outcome:?}");
        };
        names.extend(page.entries.into_iter().map(|(key, ..)| key));
        pages += 1;
        after = page.next_after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, (0..100).map(name).collect::<Vec<_>>());
    // One after the other it would have been six a page.
    assert!((2..10).contains(&pages), "{pages} pages");
}

#[tokio::test]
async fn a_page_without_a_single_key_in_time_names_the_deadline() {
    let cluster = filled(2).await;
    slow(&cluster, 1_200);
    let began = Instant::now();
    let outcome = cluster.broker.scan(plan(None), Demand::Quorum).await;
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    let Outcome::NotDone(failure) = outcome else {
        panic!("no time for a key: {outcome:?}");
    };
    let expected = "the page's first key, \"k000\", was not read within the command's 2000 ms: ";
    assert!(failure.to_string().starts_with(expected), "{failure}");
}

/// Scans take turns: with all turns taken by slow ones, another waits, and is told when that took
/// all of its time.
#[tokio::test]
async fn a_scan_that_gets_no_turn_says_so() {
    let cluster = patient().await;
    slow(&cluster, 1_900);
    let scan = || {
        let broker = cluster.broker.clone();
        let plan = ScanPlan {
            prefix: Bytes::new(),
            after: None,
            limit: 10,
        };
        tokio::spawn(async move { broker.scan(plan, Demand::Quorum).await })
    };
    // The second round of turns would begin after 1.9 s and end after 3.8.
    let scans: Vec<_> = (0..2 * broker::limits::SCANS_MAX).map(|_| scan()).collect();
    let (mut done, mut late) = (0, 0);
    for scan in scans {
        match scan.await.expect("it does not panic") {
            Outcome::Done(_) => done += 1,
            Outcome::NotDone(_) => late += 1,
            Outcome::Unknown(failure) => panic!("a scan changes nothing: {failure}"),
        }
    }
    assert_eq!(
        (done, late),
        (broker::limits::SCANS_MAX, broker::limits::SCANS_MAX)
    );
}
