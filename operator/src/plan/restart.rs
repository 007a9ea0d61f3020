//! Which server pods are deleted so that they are made anew from the present template.
//!
//! One at a time, the highest ordinal first, and only while every slot keeps its quorums without
//! it. A pod that serves nothing anyway is no loss, so it does not wait for the others. None is
//! deleted whose volume would go with it.

use std::fmt;

use kvcore::placement::Placement;

use super::good::Good;
use crate::{
    crd::{Operation, OperationKind, OperationState},
    names::claim_of,
    observed::{Observed, ServerPod, pods::Stage},
    validate::Validated,
};

/// A pod to delete, if it is still this very pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// Name of the pod.
    pub pod: String,
    /// Its UID.
    pub uid: String,
    /// Why.
    pub why: &'static str,
}

/// What is restarted now, and what waits.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    pub(super) now: Vec<Restart>,
    pub(super) operations: Vec<Operation>,
}

/// Decides which pods are restarted.
pub(super) fn decide(
    wanted: &Validated,
    observed: &Observed,
    in_force: Option<&Placement>,
) -> Restarts {
    let mut restarts = Restarts {
        now: Vec::new(),
        operations: doomed(observed).map(keep).collect(),
    };
    let Some(template) = Template::of(wanted, observed) else {
        return restarts;
    };
    let outdated: Vec<&ServerPod> = observed
        .servers
        .values()
        .rev()
        .filter(|pod| !pod.pod.leaving && template.is_outdated(pod))
        .filter(|pod| has_claim(pod, observed))
        .collect();
    for pod in &outdated {
        let why = if template.has_another_secret(pod) {
            "it has a secret that is no more"
        } else if serves_nothing(pod) {
            "it serves nothing, and its template has changed"
        } else {
            continue;
        };
        restarts.now.push(restart(pod, why));
    }
    if !restarts.now.is_empty() {
        return restarts;
    }
    // Whom Kubernetes does not call ready is nearest to serving nothing.
    let unready = outdated.iter().find(|pod| !pod.pod.ready);
    let Some(next) = unready.or(outdated.first()) else {
        return restarts;
    };
    match why_not(next, observed, in_force) {
        None => restarts.now.push(restart(next, "its template has changed")),
        Some(message) => restarts.operations.push(Operation {
            kind: OperationKind::Restart,
            state: OperationState::Waiting,
            member: next.pod.name.clone(),
            message,
        }),
    }
    restarts
}

fn restart(pod: &ServerPod, why: &'static str) -> Restart {
    Restart {
        pod: pod.pod.name.clone(),
        uid: pod.pod.uid.clone(),
        why,
    }
}

/// The present template of server pods.
struct Template<'a> {
    revision: &'a str,
    secret: Option<String>,
}

impl<'a> Template<'a> {
    /// `None` until Kubernetes has seen the newest one.
    fn of(wanted: &Validated, observed: &'a Observed) -> Option<Self> {
        let set = observed.objects.servers(&wanted.names)?;
        let status = set.status.as_ref()?;
        if status.observed_generation != set.metadata.generation {
            return None;
        }
        let secret = observed.objects.secrets.get(&wanted.names.secret());
        Some(Self {
            revision: status.update_revision.as_deref()?,
            secret: secret.map(crate::objects::secret::digest),
        })
    }

    fn is_outdated(&self, pod: &ServerPod) -> bool {
        pod.pod.revision != self.revision
    }

    fn has_another_secret(&self, pod: &ServerPod) -> bool {
        self.secret
            .as_ref()
            .is_some_and(|secret| *secret != pod.pod.secret)
    }
}

/// Pods whose claims are being deleted: Kubernetes keeps a claim, and what is on it, until its pod ends.
fn doomed(observed: &Observed) -> impl Iterator<Item = &ServerPod> {
    let pods = observed.servers.values();
    pods.filter(|pod| {
        let claim = observed.objects.claims.get(&claim_of(&pod.pod.name));
        claim.is_some_and(|claim| claim.metadata.deletion_timestamp.is_some())
    })
}

fn keep(pod: &ServerPod) -> Operation {
    let claim = claim_of(&pod.pod.name);
    Operation {
        kind: OperationKind::Restart,
        state: OperationState::Blocked,
        member: pod.pod.name.clone(),
        message: format!(
            "PersistentVolumeClaim {claim} is being deleted, and what is on it goes when this pod ends: \
             it is not restarted. Copy what it holds before anything else happens to it"
        ),
    }
}

/// Whether what the pod has stored is there when it comes back.
fn has_claim(pod: &ServerPod, observed: &Observed) -> bool {
    let claim = observed.objects.claims.get(&claim_of(&pod.pod.name));
    claim.is_some_and(|claim| claim.metadata.deletion_timestamp.is_none())
}

/// Whether clients lose nothing when the pod goes: its server does not answer, or has no slots.
fn serves_nothing(pod: &ServerPod) -> bool {
    let starts = pod.pod.container != Stage::Runs && !pod.pod.ready && pod.heard.answer().is_none();
    let is_blank = pod
        .heard
        .answer()
        .is_some_and(|status| status.cluster.is_none());
    starts || is_blank
}

/// Why the pod cannot be restarted now.
fn why_not(next: &ServerPod, observed: &Observed, in_force: Option<&Placement>) -> Option<String> {
    let leaving = observed.servers.values().find(|pod| pod.pod.leaving);
    if let Some(leaving) = leaving {
        return Some(format!("waits until {} is back", leaving.pod.name));
    }
    let says_ready = next.heard.answer().is_some_and(|status| status.ready);
    if !says_ready && !next.pod.ready {
        // Nothing counts on it: with it gone there are as many good copies as before.
        return None;
    }
    let Some(placement) = in_force else {
        return Some("waits until there is a placement: nobody knows what it holds".to_owned());
    };
    // Kubernetes hears it a probe later, and counts by that what may be evicted.
    let late = observed.servers.values().find(|pod| {
        let says_ready = pod.heard.answer().is_some_and(|status| status.ready);
        pod.pod.uid != next.pod.uid && says_ready && !pod.pod.ready && next.pod.ready
    });
    if let Some(late) = late {
        return Some(format!(
            "waits until Kubernetes calls {} ready",
            late.pod.name
        ));
    }
    let mut good = Good::members(placement, observed);
    if let Some(status) = next.heard.answer() {
        good.lose(placement, status.id);
    }
    let slot = good.slot_without_quorum(placement)?;
    Some(format!(
        "without it slot {slot} would have no quorum: waits until the others are ready"
    ))
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pod, self.why)
    }
}

#[cfg(test)]
mod tests;
