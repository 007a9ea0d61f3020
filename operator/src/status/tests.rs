//! What people are told, and when nothing is written.

use k8s_openapi::jiff::SignedDuration;

use super::*;
use crate::{
    crd::ConditionType,
    fixtures::{answer, blank, follows, observed, pod, settled, validated},
    observed::{BrokerPod, Heard, pods::Trouble},
    plan::plan,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn status(observed: &Observed, previous: Option<&KvClusterStatus>) -> KvClusterStatus {
    at(observed, previous, NOW, Figures::Recent)
}

fn at(
    observed: &Observed,
    previous: Option<&KvClusterStatus>,
    now: Timestamp,
    figures: Figures,
) -> KvClusterStatus {
    let wanted = validated();
    let plan = plan(&wanted, observed);
    of(
        &wanted,
        observed,
        &plan,
        Moment {
            previous,
            now,
            figures,
        },
    )
}

/// Status and reason of a condition.
fn told(status: &KvClusterStatus, kind: ConditionType) -> (&str, &str) {
    let mut conditions = status.conditions.iter();
    let condition = conditions
        .find(|condition| condition.type_ == kind.to_string())
        .expect("every condition is listed");
    (&condition.status, &condition.reason)
}

fn served() -> Observed {
    let broker = |name: &str| BrokerPod {
        pod: crate::observed::pods::PodFacts {
            name: name.to_owned(),
            ready: true,
            ..Default::default()
        },
        heard: None,
    };
    Observed {
        brokers: vec![broker("b0"), broker("b1")],
        ..settled()
    }
}

#[test]
fn a_cluster_where_all_is_well_says_so() {
    let status = status(&served(), None);
    assert_eq!(status.ready, "3/3");
    assert_eq!((status.slots.satisfied, status.slots.short), (1024, 0));
    assert_eq!(told(&status, ConditionType::Ready), ("True", "AllReady"));
    assert_eq!(
        told(&status, ConditionType::Available),
        ("True", "AllSlotsServed")
    );
    assert_eq!(
        told(&status, ConditionType::Stalled),
        ("False", "NothingInTheWay")
    );
    assert_eq!(
        told(&status, ConditionType::QuorumAtRisk),
        ("False", "CopiesToSpare")
    );
    assert_eq!(
        status
            .members
            .iter()
            .map(|member| member.slots)
            .sum::<i32>(),
        3 * 1024
    );
}

#[test]
fn the_same_again_is_the_same_status_whatever_the_time() {
    let first = status(&served(), None);
    let later = NOW + SignedDuration::from_hours(5);
    assert_eq!(at(&served(), Some(&first), later, Figures::Due), first);
}

#[test]
fn one_silent_server_leaves_slots_short_and_quorums_at_risk() {
    let before = status(&served(), None);
    let mut observed = served();
    let pod = observed.servers.get_mut(&1).expect("there");
    pod.heard = Heard::Silent("connection refused".to_owned());
    let later = NOW + SignedDuration::from_secs(9);
    let status = at(&observed, Some(&before), later, Figures::Recent);
    assert_eq!(status.slots.short, 1024);
    assert_eq!(told(&status, ConditionType::Available).0, "True");
    assert_eq!(
        told(&status, ConditionType::QuorumAtRisk),
        ("True", "CopiesMissing")
    );
    assert_eq!(
        told(&status, ConditionType::ReplicationSatisfied).0,
        "False"
    );
    assert_eq!(
        status.members[1].id, before.members[1].id,
        "it is still the same member"
    );
    assert!(status.members[1].reason.contains("connection refused"));
    let since = |kind: ConditionType| {
        let condition = status
            .conditions
            .iter()
            .find(|c| c.type_ == kind.to_string());
        condition.expect("listed").last_transition_time.0
    };
    assert_eq!(since(ConditionType::QuorumAtRisk), later);
    assert_eq!(since(ConditionType::Paused), NOW, "it did not change");
}

#[test]
fn two_silent_servers_of_three_lose_the_quorum() {
    let mut observed = served();
    for ordinal in [0, 1] {
        let pod = observed.servers.get_mut(&ordinal).expect("there");
        pod.heard = Heard::Silent("gone".to_owned());
    }
    let status = status(&observed, None);
    assert_eq!(
        told(&status, ConditionType::Available),
        ("False", "QuorumLost")
    );
}

#[test]
fn a_pod_that_does_not_run_is_named_with_kubernetes_own_words() {
    let mut observed = observed(|ordinal| answer(blank(ordinal)));
    let pod = observed.servers.get_mut(&2).expect("there");
    pod.heard = Heard::NotYet;
    pod.pod.ready = false;
    pod.pod.trouble = Some(Trouble {
        reason: "ImagePullBackOff".to_owned(),
        message: "no such image".to_owned(),
    });
    let status = status(&observed, None);
    assert_eq!(status.members[2].reason, "ImagePullBackOff: no such image");
    assert_eq!(
        told(&status, ConditionType::Stalled),
        ("True", "PodNotRunning")
    );
    assert!(
        status.operations[0]
            .message
            .contains("carts-server-2: ImagePullBackOff")
    );
}

#[test]
fn figures_follow_once_a_minute_and_only_when_they_moved() {
    let with = |bytes: u64| {
        let mut observed = served();
        let placement = crate::fixtures::placement();
        let mut status = follows(0, &placement);
        status.log_bytes = bytes;
        observed.servers.insert(0, pod(0, answer(status)));
        observed
    };
    let first = status(&with(1000), None);
    assert_eq!(first.members[0].bytes, 1000, "the first is told at once");
    let bytes = |now, figures| at(&with(now), Some(&first), NOW, figures).members[0].bytes;
    assert_eq!(bytes(2000, Figures::Recent), 1000);
    assert_eq!(bytes(2000, Figures::Due), 2000);
    assert_eq!(bytes(1040, Figures::Due), 1000, "less than 5 %");
}

#[test]
fn what_is_said_of_data_stays_when_the_spec_becomes_invalid() {
    let before = status(&served(), None);
    let why = Invalid::Servers(0);
    let after = invalid(Some(9), &why, Some(&before), NOW);
    assert_eq!(
        told(&after, ConditionType::Stalled),
        ("True", "InvalidSpec")
    );
    assert_eq!(
        told(&after, ConditionType::Available),
        ("True", "AllSlotsServed")
    );
    assert_eq!(after.members, before.members);
    assert_eq!(after.conditions.len(), before.conditions.len());
}

#[test]
fn a_ready_pod_that_nobody_asked_yet_says_nothing() {
    let mut observed = served();
    assert!(!observed.is_unasked());
    let pod = observed.servers.get_mut(&1).expect("there");
    pod.heard = Heard::NotYet;
    assert!(observed.is_unasked());
    let pod = observed.servers.get_mut(&1).expect("there");
    pod.pod.leaving = true;
    assert!(!observed.is_unasked(), "nobody asks it any more");
}
