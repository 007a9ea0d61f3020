//! What to do next: from what is wanted and what there is to a plan, as data.
//!
//! Pure. Nothing here asks the API server or a server, reads a clock or rolls dice; the same
//! wanted, observed and now give the same plan, which can be printed and tested.

pub mod announce;
pub mod good;
pub mod placement;
pub mod replicas;
pub mod restart;

use std::{fmt, time::Duration};

use kvcore::placement::Placement;

use self::{announce::Announce, placement::Step, restart::Restart};
use crate::{
    crd::Operation,
    objects::{self, Objects},
    observed::Observed,
    validate::Validated,
};

/// How long nothing may be looked at without an event: figures follow once a minute, and a missed
/// event is made up for by then.
pub const RECHECK: Duration = Duration::from_mins(1);

/// How soon to look again while something is waited for that no event may tell.
const RECHECK_WAITING: Duration = Duration::from_secs(10);

/// How soon to look again while somebody has an older placement, who may not have taken the new one.
const RECHECK_ANNOUNCED: Duration = Duration::from_secs(1);

/// What to do next for one `KvCluster`.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The objects as they should be.
    pub objects: Objects,
    /// What becomes of the placement.
    pub placement: Step,
    /// Who has to be told of the placement in force once it is recorded.
    pub announce: Vec<Announce>,
    /// Pods to delete, so that they are made anew.
    pub restarts: Vec<Restart>,
    /// What goes on or is waited for, for status and events.
    pub operations: Vec<Operation>,
    /// Why a person is needed, if one is.
    pub stalled: Option<Stalled>,
    /// When to look again if nothing happens.
    pub recheck: Duration,
}

/// Why a person is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    /// One word in CamelCase.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// The plan for `wanted`, given what is `observed`.
pub fn plan(wanted: &Validated, observed: &Observed) -> Plan {
    let decided = placement::decide(wanted, observed);
    let in_force = decided.step.in_force(&observed.recorded);
    let replicas = replicas::decide(wanted, observed, in_force);
    let objects = objects::build(wanted, observed, replicas.count);
    let announce =
        in_force.map_or_else(Vec::new, |placement| announce::decide(placement, observed));
    let restarts = restart::decide(wanted, observed, in_force);
    let mut operations = decided.operations;
    operations.extend(replicas.operation);
    operations.extend(restarts.operations);
    let waits = !operations.is_empty() || decided.stalled.is_some();
    let recheck = match (announce.is_empty(), waits) {
        (false, _) => RECHECK_ANNOUNCED,
        (true, true) => RECHECK_WAITING,
        (true, false) => RECHECK,
    };
    Plan {
        objects,
        announce,
        restarts: restarts.now,
        placement: decided.step,
        operations,
        stalled: decided.stalled,
        recheck,
    }
}

impl Plan {
    /// Whether it neither writes a placement nor takes anything away.
    pub fn changes_nothing(&self) -> bool {
        matches!(self.placement, Step::Keep) && self.restarts.is_empty()
    }

    /// The placement that holds once the plan is carried out.
    pub fn in_force<'a>(&'a self, observed: &'a Observed) -> Option<&'a Placement> {
        self.placement.in_force(&observed.recorded)
    }
}

/// As `operator plan` prints it.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "placement: {}", self.placement)?;
        for announce in &self.announce {
            writeln!(f, "announce:  {announce}")?;
        }
        for restart in &self.restarts {
            writeln!(f, "restart:   {restart}")?;
        }
        for operation in &self.operations {
            writeln!(
                f,
                "operation: {:?} {} {:?}: {}",
                operation.kind, operation.member, operation.state, operation.message
            )?;
        }
        if let Some(stalled) = &self.stalled {
            writeln!(f, "stalled:   {}: {}", stalled.reason, stalled.message)?;
        }
        write!(f, "recheck:   after {} s", self.recheck.as_secs())
    }
}
