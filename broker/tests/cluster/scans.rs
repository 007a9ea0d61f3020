//! Scans: merging, members that disagree, pages.

use std::time::Duration;

use broker::machine::{Outcome, read::Demand, scan::ScanPlan};
use bytes::Bytes;
use kvcore::key::Key;

use crate::support::{Cluster, cluster, int, key};

async fn filled(count: usize) -> Cluster {
    let cluster = cluster(5, 3).await;
    for number in 0..count {
        let outcome = cluster
            .broker
            .put(key(&format!("k{number:03}")), &int(1))
            .await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    // The members beyond the quorum.
    tokio::time::sleep(Duration::from_millis(20)).await;
    cluster
}

async fn scan_all(cluster: &Cluster, limit: u16) -> Vec<String> {
    let mut names = Vec::new();
    let mut after: Option<Key> = None;
    loop {
        let plan = ScanPlan {
            prefix: Bytes::from_static(b"k"),
            after,
            limit,
        };
        let Outcome::Done(page) = cluster.broker.scan(plan, Demand::Quorum).await else {
            panic!("a quorum of every slot is up");
        };
        assert!(page.entries.len() <= usize::from(limit) && !page.is_partial);
        names.extend(page.entries.iter().map(|(key, ..)| key.to_string()));
        match page.next_after {
            Some(next) => after = Some(next),
            None => return names,
        }
    }
}

#[tokio::test]
async fn pages_join_to_every_key_in_order() {
    let cluster = filled(100).await;
    let all: Vec<_> = (0..100).map(|number| format!("k{number:03}")).collect();
    for limit in [1, 7, 100, 1024] {
        assert_eq!(scan_all(&cluster, limit).await, all, "limit {limit}");
    }
}

#[tokio::test]
async fn a_stale_or_a_dead_member_changes_nothing() {
    let cluster = filled(100).await;
    assert!(matches!(
        cluster.broker.delete(key("k050")).await,
        Outcome::Done(_)
    ));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let all: Vec<_> = (0..100)
        .filter(|n| *n != 50)
        .map(|n| format!("k{n:03}"))
        .collect();
    // One member forgot some keys, and still has the one that was deleted.
    let slot = cluster.placement.slot(key("k050").slot());
    let stale = &cluster.members[slot.current().members()[0].get()];
    let (meta, bytes) = int(1).to_stored().expect("small");
    let tombstone = stale.stored(&key("k050")).expect("a tombstone");
    let version = kvcore::version::Version::new(
        kvcore::version::HybridTime::from_bits(tombstone.version.time().to_bits() - 1),
        kvcore::version::WriterId::from_random(2),
    );
    let before = crate::member::Stored {
        version,
        value: Some((meta, bytes)),
    };
    stale.set(&key("k050"), Some(before));
    for number in 60..70 {
        stale.set(&key(&format!("k{number:03}")), None);
    }
    assert_eq!(scan_all(&cluster, 13).await, all);
    cluster
        .members
        .iter()
        .find(|m| m.id != stale.id)
        .expect("others")
        .set_down(true);
    assert_eq!(scan_all(&cluster, 13).await, all);
}

#[tokio::test]
async fn a_member_that_never_answers_is_not_waited_for() {
    let cluster = filled(100).await;
    let all: Vec<_> = (0..100).map(|number| format!("k{number:03}")).collect();
    // Longer than any operation: as good as never.
    cluster.members[0].set_delay(3_600_000);
    for _ in 0..4 {
        let began = std::time::Instant::now();
        assert_eq!(scan_all(&cluster, 100).await, all);
        assert!(began.elapsed() < Duration::from_millis(600));
    }
    let figures = cluster.broker.metrics().render();
    assert!(
        figures.contains("hedged_reads_total 4"),
        "every page asked others: {figures}"
    );
}
