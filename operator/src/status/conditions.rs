//! `status.conditions`: the standard ones first, then what a key-value store adds.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use super::Counts;
use crate::{
    crd::{ConditionType, OperationKind, OperationState},
    observed::Observed,
    plan::{Plan, placement::Step},
    validate::{Invalid, Validated},
};

/// What conditions are made of.
pub(super) struct Facts<'a> {
    pub(super) wanted: &'a Validated,
    pub(super) observed: &'a Observed,
    pub(super) plan: &'a Plan,
    pub(super) counts: &'a Counts,
    pub(super) ready_servers: i32,
}

/// What a condition says.
struct Says {
    holds: bool,
    reason: &'static str,
    message: String,
}

fn yes(reason: &'static str, message: impl Into<String>) -> Says {
    Says {
        holds: true,
        reason,
        message: message.into(),
    }
}

fn no(reason: &'static str, message: impl Into<String>) -> Says {
    Says {
        holds: false,
        ..yes(reason, message)
    }
}

/// All conditions. One whose status is as before keeps its time.
pub(super) fn list(facts: &Facts<'_>, previous: &[Condition], now: Timestamp) -> Vec<Condition> {
    ConditionType::ALL
        .into_iter()
        .map(|kind| {
            let says = facts.says(kind);
            condition(kind, says, previous, Some(facts.wanted.generation), now)
        })
        .collect()
}

/// The conditions of a `KvCluster` that cannot be acted on: what they say of its data stays.
pub(super) fn invalid(
    why: &Invalid,
    previous: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let said = [
        (ConditionType::Ready, no("InvalidSpec", why.to_string())),
        (
            ConditionType::Reconciling,
            no("InvalidSpec", "the spec has to be mended first"),
        ),
        (ConditionType::Stalled, yes("InvalidSpec", why.to_string())),
    ];
    let mut conditions: Vec<_> = said
        .into_iter()
        .map(|(kind, says)| condition(kind, says, previous, generation, now))
        .collect();
    let others = previous.iter().filter(|old| {
        conditions
            .iter()
            .all(|condition| condition.type_ != old.type_)
    });
    let others: Vec<_> = others.cloned().collect();
    conditions.extend(others);
    conditions
}

fn condition(
    kind: ConditionType,
    says: Says,
    previous: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    let type_ = kind.to_string();
    let status = if says.holds { "True" } else { "False" };
    let before = previous.iter().find(|condition| condition.type_ == type_);
    let since = before.filter(|before| before.status == status).map_or_else(
        || Time(seconds(now)),
        |before| before.last_transition_time.clone(),
    );
    Condition {
        last_transition_time: since,
        message: says.message,
        observed_generation: generation,
        reason: says.reason.to_owned(),
        status: status.to_owned(),
        type_,
    }
}

/// Kubernetes keeps whole seconds.
fn seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

impl Facts<'_> {
    fn says(&self, kind: ConditionType) -> Says {
        match kind {
            ConditionType::Ready => self.ready(),
            ConditionType::Reconciling => self.reconciling(),
            ConditionType::Stalled => self.stalled(),
            ConditionType::Available => self.available(),
            ConditionType::ReplicationSatisfied => self.replication_satisfied(),
            ConditionType::Rebalancing => self.rebalancing(),
            ConditionType::QuorumAtRisk => self.quorum_at_risk(),
            ConditionType::ScaleDownBlocked => self.scale_down_blocked(),
            ConditionType::Paused => self.paused(),
        }
    }

    fn servers(&self) -> String {
        let (ready, wanted) = (self.ready_servers, self.wanted.replicas());
        format!("{ready} of {wanted} servers are ready")
    }

    fn brokers(&self) -> String {
        let (ready, wanted) = (self.counts.ready_brokers, self.wanted.spec.brokers.replicas);
        format!("{ready} of {wanted} brokers are ready")
    }

    fn ready(&self) -> Says {
        if let Some(stalled) = &self.plan.stalled {
            return no(stalled.reason, stalled.message.clone());
        }
        if self.plan.in_force(self.observed).is_none() {
            return no(
                "NoPlacement",
                "there is no placement yet: nothing can be stored",
            );
        }
        if self.ready_servers < self.wanted.replicas() {
            return no("ServersNotReady", self.servers());
        }
        if self.counts.ready_brokers < self.wanted.spec.brokers.replicas {
            return no("BrokersNotReady", self.brokers());
        }
        let mut open = self.plan.operations.iter();
        match open.next() {
            Some(operation) => no("OperationsOpen", operation.message.clone()),
            None => yes(
                "AllReady",
                format!("{}, {}", self.servers(), self.brokers()),
            ),
        }
    }

    fn reconciling(&self) -> Says {
        if self.wanted.spec.paused {
            return no("Paused", "spec.paused is set: nothing is changed");
        }
        let mut open = self.plan.operations.iter();
        let at_work = open.find(|operation| operation.state != OperationState::Blocked);
        if let Some(operation) = at_work {
            return yes("OperationsOpen", operation.message.clone());
        }
        if let Step::Record { .. } = self.plan.placement {
            return yes("PlacementChanges", self.plan.placement.to_string());
        }
        if !self.plan.announce.is_empty() {
            let count = self.plan.announce.len();
            return yes(
                "PlacementSpreads",
                format!("{count} processes have an older placement"),
            );
        }
        no("UpToDate", "everything asked for is done")
    }

    fn stalled(&self) -> Says {
        if let Some(stalled) = &self.plan.stalled {
            return yes(stalled.reason, stalled.message.clone());
        }
        let mut open = self.plan.operations.iter();
        let blocked = open.find(|operation| operation.state == OperationState::Blocked);
        if let Some(operation) = blocked {
            return yes("OperationBlocked", operation.message.clone());
        }
        let pods = self.observed.servers.values().map(|pod| &pod.pod);
        let mut pods = pods.chain(self.observed.brokers.iter().map(|pod| &pod.pod));
        let trouble = pods.find_map(|pod| Some((&pod.name, pod.trouble.as_ref()?)));
        match trouble {
            Some((pod, trouble)) => {
                let message = format!("{pod}: {} {}", trouble.reason, trouble.message);
                yes("PodNotRunning", message.trim_end())
            }
            None => match self.replica_failure() {
                Some(message) => yes("PodNotMade", message),
                None => no("NothingInTheWay", "nothing needs a person"),
            },
        }
    }

    /// Why Kubernetes makes no broker pod, such as a quota or an admission that refuses.
    fn replica_failure(&self) -> Option<String> {
        let deployments = &self.observed.objects.deployments;
        let brokers = deployments.get(&self.wanted.names.broker())?;
        let mut conditions = brokers.status.as_ref()?.conditions.iter().flatten();
        let failure = conditions
            .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
        failure.message.clone()
    }

    fn available(&self) -> Says {
        if self.plan.in_force(self.observed).is_none() {
            return no(
                "NoPlacement",
                "there is no placement yet: nothing can be stored",
            );
        }
        if let Some(slot) = self.counts.without_quorum {
            let why = format!("slot {slot}, and maybe others, cannot be read or written");
            return no("QuorumLost", format!("{why}: {}", self.servers()));
        }
        if self.counts.ready_brokers == 0 {
            return no("NoBroker", "no broker is ready: clients reach nobody");
        }
        yes("AllSlotsServed", "every key can be read and written")
    }

    fn replication_satisfied(&self) -> Says {
        let slots = self.counts.slots;
        if self.plan.in_force(self.observed).is_none() {
            return no(
                "NoPlacement",
                "there is no placement yet: nothing can be stored",
            );
        }
        if slots.short > 0 {
            let (short, copies) = (slots.short, self.wanted.copies());
            return no(
                "SlotsShort",
                format!("{short} slots have fewer than {copies} good copies"),
            );
        }
        yes(
            "AllCopiesGood",
            format!("every slot has {} good copies", self.wanted.copies()),
        )
    }

    fn rebalancing(&self) -> Says {
        match self.counts.slots.moving {
            0 => no("NothingMoves", "no slot is being moved"),
            moving => yes("SlotsMove", format!("{moving} slots are being moved")),
        }
    }

    fn quorum_at_risk(&self) -> Says {
        match self.counts.at_risk {
            Some(slot) => yes(
                "CopiesMissing",
                format!("slot {slot}, and maybe others, loses its quorum with one more server"),
            ),
            None => no(
                "CopiesToSpare",
                "no slot with missing copies is near its quorum",
            ),
        }
    }

    fn scale_down_blocked(&self) -> Says {
        let mut open = self.plan.operations.iter();
        match open.find(|operation| operation.kind == OperationKind::ScaleDown) {
            Some(operation) => yes("ServersHoldData", operation.message.clone()),
            None => no("NoScaleDown", "no server is to be removed"),
        }
    }

    fn paused(&self) -> Says {
        if self.wanted.spec.paused {
            yes("Asked", "spec.paused is set: the operator changes nothing")
        } else {
            no("NotAsked", "the operator is at work")
        }
    }
}
