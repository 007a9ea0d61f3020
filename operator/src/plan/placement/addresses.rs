//! New addresses of the same members: a pod that was replaced has another.
//!
//! An address follows the member that was heard at it, never the pod's name alone: another member
//! under an old name is another member.

use kvcore::placement::{Member, Parts, Placement};

use super::{Decided, Expect, Why};
use crate::{
    crd::{Operation, OperationKind, OperationState},
    observed::Observed,
    validate::Validated,
};

/// Records new addresses where there are any.
pub(super) fn decide(
    wanted: &Validated,
    observed: &Observed,
    placement: &Placement,
    expect: Expect,
) -> Decided {
    let trouble =
        two_contents(observed, placement).or_else(|| all_blank(wanted, observed, placement));
    if let Some(stalled) = trouble {
        return stalled;
    }
    let members = follow(wanted, observed, placement);
    let own = placement.parts().address_revision;
    let said = revision_said(observed, placement);
    let mut decided = if members == placement.members() && said <= own {
        Decided::keep()
    } else {
        // Above all that servers have: theirs is newer where an older record was put back.
        match said.max(own).checked_add(1) {
            Some(revision) => with_members(placement, members, revision, expect),
            None => Decided::stall(
                "NoPlacement",
                "the addresses have no revision left to be told by".to_owned(),
            ),
        }
    };
    decided
        .operations
        .extend(change_of_copies(wanted, placement));
    decided
}

fn with_members(
    placement: &Placement,
    members: Vec<Member>,
    address_revision: u64,
    expect: Expect,
) -> Decided {
    let parts = Parts {
        address_revision,
        members,
        ..placement.parts().clone()
    };
    match Placement::new(parts) {
        Ok(placement) => Decided::record(placement, expect, Why::Addresses),
        Err(error) => Decided::stall("NoPlacement", error.to_string()),
    }
}

/// The highest revision of this epoch's addresses that a server has.
fn revision_said(observed: &Observed, placement: &Placement) -> u64 {
    let answers = observed
        .servers
        .values()
        .filter_map(|pod| pod.heard.answer())
        .filter(|status| {
            status.cluster == Some(placement.cluster()) && status.epoch == placement.epoch()
        });
    answers
        .map(|status| status.address_revision)
        .max()
        .unwrap_or_default()
}

/// The members with the addresses at which they were heard last.
pub(super) fn follow(
    wanted: &Validated,
    observed: &Observed,
    placement: &Placement,
) -> Vec<Member> {
    let mut members = placement.members().to_vec();
    for pod in observed.servers.values() {
        let (Some(ip), Some(status)) = (pod.pod.address(), pod.heard.answer()) else {
            continue;
        };
        if let Some(member) = members.iter_mut().find(|member| member.id == status.id) {
            member.address = wanted.names.server_address(&pod.pod.name, ip);
        }
    }
    members
}

/// A server that knows the same epoch with another content: somebody else has written placements.
fn two_contents(observed: &Observed, placement: &Placement) -> Option<Decided> {
    let (pod, _) = observed
        .servers
        .values()
        .filter_map(|pod| Some((pod, pod.heard.answer()?)))
        .find(|(_, status)| {
            status.cluster == Some(placement.cluster())
                && status.epoch == placement.epoch()
                && status.digest != Some(placement.digest())
        })?;
    Some(Decided::stall(
        "TwoAuthors",
        format!(
            "{} knows epoch {} with another content than the ConfigMap has: somebody else wrote \
             one of them. Find out who, and put the right ConfigMap back",
            pod.pod.name,
            placement.epoch()
        ),
    ))
}

/// Every server's disk is empty, and a placement says that there was data.
fn all_blank(wanted: &Validated, observed: &Observed, placement: &Placement) -> Option<Decided> {
    let is_new = |ordinal: i32| {
        let status = observed
            .servers
            .get(&ordinal)
            .and_then(|pod| pod.heard.answer());
        status.is_some_and(|status| {
            status.cluster.is_none() && placement.index_of(status.id).is_none()
        })
    };
    (0..wanted.replicas()).all(is_new).then(|| {
        Decided::stall(
            "DataGone",
            format!(
                "every server's disk is empty, but ConfigMap {} says that cluster {} has data: \
                 bring its volumes back, or delete the ConfigMap to begin a new, empty cluster",
                wanted.names.placement(),
                placement.cluster()
            ),
        )
    })
}

fn change_of_copies(wanted: &Validated, placement: &Placement) -> Option<Operation> {
    let have = (placement.copies(), placement.quorums());
    if have == (wanted.copies(), wanted.quorums) {
        return None;
    }
    Some(Operation {
        kind: OperationKind::ChangeCopies,
        state: OperationState::Blocked,
        member: String::new(),
        message: format!(
            "the placement has {} copies, read quorum {}, write quorum {}: changing them while \
             data is stored is not built yet; put the spec back",
            have.0,
            have.1.read_of(have.0),
            have.1.write_of(have.0)
        ),
    })
}
