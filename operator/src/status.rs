//! The status of a `KvCluster`: what is seen and planned, said for people and programs.
//!
//! Pure: the previous status and the time are arguments. Nothing in it changes unless something
//! that it tells has changed, so that an idle cluster is not written to.

mod conditions;
mod members;

use k8s_openapi::jiff::Timestamp;
use kvcore::{placement::Placement, slot::Slot};

use crate::{
    crd::{KvClusterStatus, SlotCounts},
    names::{Component, selector_text},
    observed::{BrokerPod, Observed, ServerPod},
    plan::{Plan, good::Good},
    validate::{Invalid, Validated},
};

/// Whether figures that change by themselves may be brought up to date now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figures {
    /// They were a minute ago, or longer.
    Due,
    /// Less than a minute ago.
    Recent,
}

/// When the status is made, and after which.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The status as it is.
    pub previous: Option<&'a KvClusterStatus>,
    /// The time.
    pub now: Timestamp,
    /// Whether figures may follow.
    pub figures: Figures,
}

/// The status after this plan.
pub fn of(
    wanted: &Validated,
    observed: &Observed,
    plan: &Plan,
    moment: Moment<'_>,
) -> KvClusterStatus {
    let placement = plan.in_force(observed);
    let counts = Counts::of(wanted, observed, placement);
    let ready_servers = count(
        observed
            .servers
            .values()
            .filter(|pod| is_ready(pod))
            .count(),
    );
    let previous = moment.previous.map_or(&[][..], |status| &status.conditions);
    let facts = conditions::Facts {
        wanted,
        observed,
        plan,
        counts: &counts,
        ready_servers,
    };
    KvClusterStatus {
        observed_generation: Some(wanted.generation),
        replicas: count(observed.servers.len()),
        ready_replicas: ready_servers,
        ready: format!("{ready_servers}/{}", wanted.replicas()),
        selector: selector_text(&wanted.names.selector(Component::Server)),
        ready_brokers: counts.ready_brokers,
        image: wanted.image.clone(),
        cluster_id: placement.map(|placement| placement.cluster().to_string()),
        epoch: placement.map_or(0, |placement| {
            i64::try_from(placement.epoch().0).unwrap_or(i64::MAX)
        }),
        slots: counts.slots,
        members: members::list(observed, placement, moment),
        operations: plan.operations.clone(),
        conditions: conditions::list(&facts, previous, moment.now),
    }
}

/// The status of a `KvCluster` that cannot be acted on.
pub fn invalid(
    generation: Option<i64>,
    why: &Invalid,
    previous: Option<&KvClusterStatus>,
    now: Timestamp,
) -> KvClusterStatus {
    let mut status = previous.cloned().unwrap_or_default();
    status.observed_generation = generation;
    status.conditions = conditions::invalid(why, &status.conditions, generation, now);
    status
}

/// A server that Kubernetes and the server itself call ready.
fn is_ready(pod: &ServerPod) -> bool {
    let answer = pod.heard.answer();
    pod.pod.ready && !pod.pod.leaving && answer.is_some_and(|status| status.ready)
}

fn is_ready_broker(pod: &BrokerPod) -> bool {
    pod.pod.ready && !pod.pod.leaving
}

/// What is counted once and told in several places.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) slots: SlotCounts,
    pub(crate) ready_brokers: i32,
    /// A slot that cannot be read or written.
    pub(crate) without_quorum: Option<Slot>,
    /// A slot with too few good copies that loses a quorum with one more.
    pub(crate) at_risk: Option<Slot>,
}

impl Counts {
    fn of(wanted: &Validated, observed: &Observed, placement: Option<&Placement>) -> Self {
        let mut counts = Self {
            ready_brokers: count(
                observed
                    .brokers
                    .iter()
                    .filter(|pod| is_ready_broker(pod))
                    .count(),
            ),
            ..Self::default()
        };
        let Some(placement) = placement else {
            return counts;
        };
        let good = Good::members(placement, observed);
        counts.without_quorum = good.slot_without_quorum(placement);
        for slot in Slot::all() {
            let placed = placement.slot(slot);
            let is_short = good.of(placed.read_set()) < wanted.copies();
            if is_short {
                counts.slots.short += 1;
            } else {
                counts.slots.satisfied += 1;
            }
            counts.slots.moving += i32::from(placed.next().is_some());
            if is_short && counts.at_risk.is_none() && good.spare(placed) <= 0 {
                counts.at_risk = Some(slot);
            }
        }
        counts
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
