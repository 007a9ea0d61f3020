//! How many server pods there should be: as many as asked for, and never fewer than hold data.

use kvcore::placement::Placement;

use crate::{
    crd::{Operation, OperationKind, OperationState},
    observed::Observed,
    validate::Validated,
};

/// Pods wanted, and why these are more than were asked for.
pub(super) struct Replicas {
    pub(super) count: i32,
    pub(super) operation: Option<Operation>,
}

/// Decides about the number of server pods.
pub(super) fn decide(
    wanted: &Validated,
    observed: &Observed,
    in_force: Option<&Placement>,
) -> Replicas {
    let asked = wanted.replicas();
    let needed = needed(wanted, observed, in_force);
    if needed <= asked {
        return Replicas {
            count: asked,
            operation: None,
        };
    }
    Replicas {
        count: needed,
        operation: Some(Operation {
            kind: OperationKind::ScaleDown,
            state: OperationState::Blocked,
            member: wanted.names.server_pod(needed - 1),
            message: format!(
                "{asked} servers are asked for, and {needed} hold data: moving data off a server \
                 is not built yet; put servers.replicas back to {needed}"
            ),
        }),
    }
}

/// Pods that are, or may be, somebody's data.
fn needed(wanted: &Validated, observed: &Observed, in_force: Option<&Placement>) -> i32 {
    let Some(placement) = in_force else {
        return before_any_placement(wanted, observed);
    };
    let count = |members: usize| i32::try_from(members).expect("a placement has few members");
    let holders = observed.servers.iter().filter(|(_, pod)| {
        let status = pod.heard.answer();
        status.is_some_and(|status| placement.index_of(status.id).is_some())
    });
    let highest = holders.map(|(&ordinal, _)| ordinal + 1).max().unwrap_or(0);
    highest.max(count(placement.members().len()))
}

/// Before anything is known of placements, no pod is taken away, and servers that hold data tell
/// how many there were.
fn before_any_placement(wanted: &Validated, observed: &Observed) -> i32 {
    let set = observed.objects.servers(&wanted.names);
    let now = set.and_then(|set| set.spec.as_ref()?.replicas).unwrap_or(0);
    let held = observed.held.iter().map(|held| held.members().len()).max();
    let held = held.map_or(0, |members| i32::try_from(members).expect("few members"));
    let unheard = observed.servers.iter().filter(|(_, pod)| {
        pod.heard
            .answer()
            .is_none_or(|status| status.cluster.is_some())
    });
    let unheard = unheard.map(|(&ordinal, _)| ordinal + 1).max().unwrap_or(0);
    held.max(unheard.min(now))
}
