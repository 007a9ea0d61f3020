//! Which pods are restarted, and what the next one waits for.

use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetStatus},
        core::v1::PersistentVolumeClaim,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use proptest::prelude::*;

use super::*;
use crate::{
    fixtures::{answer, blank, settled, validated},
    observed::Heard,
    plan::plan,
};

/// All is well, and the template of servers is newer than every pod.
fn outdated() -> Observed {
    let mut observed = settled();
    let set = StatefulSet {
        metadata: ObjectMeta {
            generation: Some(2),
            ..ObjectMeta::default()
        },
        status: Some(StatefulSetStatus {
            observed_generation: Some(2),
            update_revision: Some("new".to_owned()),
            ..StatefulSetStatus::default()
        }),
        ..StatefulSet::default()
    };
    let sets = &mut observed.objects.stateful_sets;
    sets.insert(validated().names.server(), set);
    for pod in observed.servers.values_mut() {
        pod.pod.revision = "old".to_owned();
        pod.pod.container = Stage::Runs;
        let claims = &mut observed.objects.claims;
        claims.insert(claim_of(&pod.pod.name), PersistentVolumeClaim::default());
    }
    observed
}

fn restarted(observed: &Observed) -> Vec<String> {
    let restarts = plan(&validated(), observed).restarts.into_iter();
    restarts.map(|restart| restart.pod).collect()
}

fn waits_for(observed: &Observed) -> String {
    assert_eq!(restarted(observed), [""; 0]);
    let operations = plan(&validated(), observed).operations.into_iter();
    let mut restarts = operations.filter(|operation| operation.kind == OperationKind::Restart);
    restarts.next().expect("it says why").message
}

fn pod(observed: &mut Observed, ordinal: i32) -> &mut ServerPod {
    observed.servers.get_mut(&ordinal).expect("there are three")
}

#[test]
fn the_highest_is_restarted_first_and_alone() {
    let mut observed = outdated();
    assert_eq!(restarted(&observed), ["carts-server-2"]);
    pod(&mut observed, 2).pod.revision = "new".to_owned();
    assert_eq!(restarted(&observed), ["carts-server-1"]);
    for ordinal in 0..2 {
        pod(&mut observed, ordinal).pod.revision = "new".to_owned();
    }
    assert_eq!(restarted(&observed), [""; 0]);
}

#[test]
fn the_next_waits_until_the_last_one_is_back() {
    let mut observed = outdated();
    pod(&mut observed, 2).pod.revision = "new".to_owned();
    pod(&mut observed, 2).pod.leaving = true;
    assert!(waits_for(&observed).contains("carts-server-2 is back"));
    pod(&mut observed, 2).pod.leaving = false;
    pod(&mut observed, 2).heard = Heard::NotYet;
    assert!(waits_for(&observed).contains("no quorum"));
}

/// The budget goes by what Kubernetes calls ready, a probe behind what the server says.
#[test]
fn the_next_waits_until_kubernetes_calls_the_last_one_ready() {
    let mut observed = outdated();
    pod(&mut observed, 2).pod.revision = "new".to_owned();
    pod(&mut observed, 2).pod.ready = false;
    assert!(waits_for(&observed).contains("Kubernetes calls carts-server-2 ready"));
}

#[test]
fn nothing_is_restarted_before_kubernetes_has_seen_the_template() {
    let mut observed = outdated();
    for set in observed.objects.stateful_sets.values_mut() {
        set.metadata.generation = Some(3);
    }
    assert_eq!(restarted(&observed), [""; 0]);
}

/// A pod that cannot run with its template must not keep the mended one from coming.
#[test]
fn pods_that_serve_nothing_wait_for_nobody() {
    let mut observed = outdated();
    for ordinal in 0..2 {
        let pod = pod(&mut observed, ordinal);
        pod.heard = Heard::Silent("refused".to_owned());
        (pod.pod.container, pod.pod.ready) = (Stage::Waits, false);
    }
    assert_eq!(restarted(&observed), ["carts-server-1", "carts-server-0"]);
    let mut observed = outdated();
    pod(&mut observed, 0).heard = answer(blank(0));
    assert_eq!(restarted(&observed), ["carts-server-0"]);
}

/// A claim that is being deleted goes with its pod, and with it what is stored on it.
#[test]
fn no_pod_is_restarted_whose_volume_would_go_with_it() {
    let mut observed = outdated();
    let doom = |observed: &mut Observed, ordinal: i32| {
        let claim = observed
            .objects
            .claims
            .get_mut(&validated().names.claim(ordinal));
        let claim = claim.expect("there are three");
        claim.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    };
    doom(&mut observed, 2);
    assert_eq!(restarted(&observed), ["carts-server-1"]);
    for ordinal in 0..2 {
        doom(&mut observed, ordinal);
    }
    assert!(waits_for(&observed).contains("data-carts-server-0 is being deleted"));
    for pod in observed.servers.values_mut() {
        pod.pod.secret = "another".to_owned();
        (pod.pod.container, pod.pod.ready) = (Stage::Waits, false);
        pod.heard = Heard::Silent("refused".to_owned());
    }
    assert_eq!(restarted(&observed), [""; 0]);
    observed.objects.claims.clear();
    assert_eq!(
        restarted(&observed),
        [""; 0],
        "nor one whose claim is not seen"
    );
}

/// A template that lets no server start is mended even where there is no quorum to keep.
#[test]
fn servers_on_which_nothing_counts_are_restarted_one_by_one_without_a_quorum() {
    let mut observed = outdated();
    for ordinal in 1..3 {
        let pod = pod(&mut observed, ordinal);
        pod.heard = Heard::Silent("refused".to_owned());
        pod.pod.ready = false;
    }
    assert_eq!(restarted(&observed), ["carts-server-2"]);
    pod(&mut observed, 2).pod.leaving = true;
    assert!(waits_for(&observed).contains("carts-server-2 is back"));
    pod(&mut observed, 2).pod.leaving = false;
    pod(&mut observed, 2).pod.revision = "new".to_owned();
    observed.recorded = crate::observed::Recorded::Absent;
    assert_eq!(restarted(&observed), ["carts-server-1"]);
}

/// Two that are outdated and not called ready must not wait for each other.
#[test]
fn whom_kubernetes_does_not_call_ready_goes_first() {
    let mut observed = outdated();
    for ordinal in 0..2 {
        pod(&mut observed, ordinal).pod.ready = false;
    }
    assert_eq!(restarted(&observed), ["carts-server-1"]);
}

proptest! {
    /// Whoever is ready, outdated or leaving: a pod that serves is restarted only if every slot keeps its
    /// quorums without it, and never two at once.
    #[test]
    fn no_restart_costs_a_quorum(
        pods in prop::collection::vec((0u8..3, any::<bool>(), any::<bool>(), any::<bool>()), 3),
    ) {
        let mut observed = outdated();
        for (ordinal, (heard, ready, leaving, is_new)) in (0..).zip(pods) {
            let pod = pod(&mut observed, ordinal);
            match (heard, &mut pod.heard) {
                (0, heard) => *heard = Heard::Silent("refused".to_owned()),
                (1, Heard::Answer(status)) => status.ready = false,
                _ => {}
            }
            (pod.pod.ready, pod.pod.leaving) = (ready, leaving);
            if is_new {
                pod.pod.revision = "new".to_owned();
            }
        }
        let restarts = restarted(&observed);
        prop_assert!(restarts.len() <= 1, "{:?}", restarts);
        let placement = observed.recorded.placement().expect("it is settled").clone();
        let mut good = Good::members(&placement, &observed);
        for pod in observed.servers.values() {
            if pod.pod.leaving || restarts.contains(&pod.pod.name) {
                prop_assert!(!restarts.contains(&pod.pod.name) || !pod.pod.leaving);
                if let Some(status) = pod.heard.answer() {
                    good.lose(&placement, status.id);
                }
            }
        }
        let counts = |pod: &ServerPod| {
            pod.pod.ready || pod.heard.answer().is_some_and(|status| status.ready)
        };
        let mut pods = observed.servers.values();
        if pods.any(|pod| restarts.contains(&pod.pod.name) && counts(pod)) {
            prop_assert_eq!(good.slot_without_quorum(&placement), None);
        }
    }
}
