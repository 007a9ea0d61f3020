//! What becomes of the placement: kept, made, rebuilt, or given new addresses.
//!
//! The ConfigMap is the record. It is written before anyone is told, each time on condition that
//! it is still what was read. Where it is lost, servers have what was in force, and it is rebuilt
//! from them (design: a lost ConfigMap).

mod addresses;
mod first;
mod rebuild;

use std::fmt;

use kvcore::placement::{Epoch, Placement};

use super::Stalled;
use crate::{
    crd::{Operation, OperationKind, OperationState},
    observed::{Observed, Recorded},
    validate::Validated,
};

/// What becomes of the placement.
#[derive(Debug, Clone)]
pub enum Step {
    /// Nothing is written.
    Keep,
    /// It is recorded, and then announced.
    Record {
        /// The placement to record.
        placement: Placement,
        /// What the record has to be still.
        expect: Expect,
        /// Why it is written.
        why: Why,
    },
}

/// What the record has to be still when it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Not there.
    Absent,
    /// There, at this version.
    Version(String),
}

/// Why a placement is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is the cluster's first.
    First,
    /// It was lost, and is rebuilt from what servers hold.
    Rebuilt,
    /// Servers have other addresses.
    Addresses,
}

/// What was decided.
#[derive(Debug, Clone)]
pub(super) struct Decided {
    pub(super) step: Step,
    pub(super) operations: Vec<Operation>,
    pub(super) stalled: Option<Stalled>,
}

impl Step {
    /// The placement that holds once the step is taken.
    pub fn in_force<'a>(&'a self, recorded: &'a Recorded) -> Option<&'a Placement> {
        match self {
            Self::Keep => recorded.placement(),
            Self::Record { placement, .. } => Some(placement),
        }
    }
}

impl Decided {
    fn keep() -> Self {
        Self {
            step: Step::Keep,
            operations: Vec::new(),
            stalled: None,
        }
    }

    fn wait(kind: OperationKind, message: String) -> Self {
        Self {
            operations: vec![Operation {
                kind,
                state: OperationState::Waiting,
                member: String::new(),
                message,
            }],
            ..Self::keep()
        }
    }

    fn stall(reason: &'static str, message: String) -> Self {
        Self {
            stalled: Some(Stalled { reason, message }),
            ..Self::keep()
        }
    }

    fn record(placement: Placement, expect: Expect, why: Why) -> Self {
        Self {
            step: Step::Record {
                placement,
                expect,
                why,
            },
            ..Self::keep()
        }
    }
}

/// Decides about the placement.
pub(super) fn decide(wanted: &Validated, observed: &Observed) -> Decided {
    let mut decided = match &observed.recorded {
        Recorded::Unreadable { why, .. } => Decided::stall(
            "PlacementUnreadable",
            format!(
                "ConfigMap {} cannot be read: {why}. Put back what was in it, or delete it: it is \
                 then rebuilt from what the servers know",
                wanted.names.placement()
            ),
        ),
        Recorded::Absent if is_anything_stored(observed) => {
            rebuild::decide(wanted, observed, Expect::Absent)
        }
        Recorded::Absent => first::decide(wanted, observed),
        Recorded::Known {
            placement,
            resource_version,
        } => {
            let expect = Expect::Version(resource_version.clone());
            if highest_epoch(observed) > placement.epoch() {
                rebuild::decide(wanted, observed, expect)
            } else {
                addresses::decide(wanted, observed, placement, expect)
            }
        }
    };
    decided
        .operations
        .extend(strangers(observed, &decided.step));
    decided
}

/// Whether any server has data of any cluster.
fn is_anything_stored(observed: &Observed) -> bool {
    let mut answers = observed
        .servers
        .values()
        .filter_map(|pod| pod.heard.answer());
    answers.any(|status| status.cluster.is_some())
}

/// The highest epoch that a server of this cluster knows; without a record, of any.
fn highest_epoch(observed: &Observed) -> Epoch {
    let recorded = observed.recorded.placement().map(Placement::cluster);
    let answers = observed
        .servers
        .values()
        .filter_map(|pod| pod.heard.answer())
        .filter(|status| recorded.is_none() || status.cluster == recorded);
    answers.map(|status| status.epoch).max().unwrap_or_default()
}

/// Servers that cannot take part in the placement in force, each with the reason.
fn strangers(observed: &Observed, step: &Step) -> Vec<Operation> {
    let Some(placement) = step.in_force(&observed.recorded) else {
        return Vec::new();
    };
    let pods = observed.servers.values();
    pods.filter_map(|pod| {
        let status = pod.heard.answer()?;
        let (state, message) = match status.cluster {
            Some(cluster) if cluster != placement.cluster() => (
                OperationState::Blocked,
                format!(
                    "its disk belongs to cluster {cluster}, this is {}: bring the right volume \
                     back, or delete the claim and the pod to begin with an empty one",
                    placement.cluster()
                ),
            ),
            Some(_) => return None,
            None if placement.index_of(status.id).is_some() => return None,
            None => (
                OperationState::Waiting,
                "its disk is empty: it is a new member, and holds no slots until it has joined"
                    .to_owned(),
            ),
        };
        Some(Operation {
            kind: OperationKind::Join,
            state,
            member: pod.pod.name.clone(),
            message,
        })
    })
    .collect()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("keep what is recorded"),
            Self::Record {
                placement,
                expect,
                why,
            } => {
                let why = match why {
                    Why::First => "the first",
                    Why::Rebuilt => "rebuilt from the servers",
                    Why::Addresses => "new addresses",
                };
                write!(
                    f,
                    "record epoch {} revision {} ({why}), ",
                    placement.epoch(),
                    placement.parts().address_revision
                )?;
                match expect {
                    Expect::Absent => f.write_str("if there is none"),
                    Expect::Version(version) => write!(f, "if it is still at {version}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
