//! A lost record, rebuilt from what servers hold.
//!
//! With R members of every set of every slot heard, no newer placement can have been used by a
//! quorum that these do not know of. What is published are the same stages, under a number that
//! nobody can have used: members that were not heard may know a few epochs more, never a million.

use std::collections::BTreeSet;

use kvcore::{
    placement::{Epoch, Holders, MemberId, Parts, Placement},
    slot::Slot,
};

use super::{Decided, Expect, Why, addresses};
use crate::{crd::OperationKind, observed::Observed, validate::Validated};

/// Numbers between two rebuildings. Each epoch needs acknowledgements of its members, so those who
/// are not heard cannot be this far ahead.
pub(crate) const EPOCHS_APART: u64 = 1_000_000;

/// Rebuilds the placement, or says what it waits for.
pub(super) fn decide(wanted: &Validated, observed: &Observed, expect: Expect) -> Decided {
    let held = observed.held.iter().chain(observed.recorded.placement());
    let newest = held.clone().max_by_key(|held| held.epoch());
    // A server may know a newer one that has not been fetched from it yet.
    let Some(newest) = newest.filter(|newest| newest.epoch() >= super::highest_epoch(observed))
    else {
        let message = "the placement is lost; servers are asked for theirs".to_owned();
        return Decided::wait(OperationKind::RebuildPlacement, message);
    };
    if let Some(stalled) = disagreement(held, newest) {
        return stalled;
    }
    let Some(epoch) = unused(newest.epoch()) else {
        let message = format!("there is no epoch above {}", newest.epoch());
        return Decided::stall("NoEpochLeft", message);
    };
    let heard = heard(observed, newest);
    if let Some(slot) = short_slot(newest, &heard) {
        let silent = newest
            .members()
            .iter()
            .filter(|member| !heard.contains(&member.id));
        let silent: Vec<_> = silent.map(|member| member.address.as_str()).collect();
        let message = format!(
            "the placement is lost, and is rebuilt once a read quorum of every slot was heard; \
             slot {slot} lacks it. Not heard: {}",
            silent.join("; ")
        );
        return Decided::wait(OperationKind::RebuildPlacement, message);
    }
    let parts = Parts {
        epoch,
        address_revision: 0,
        members: addresses::follow(wanted, observed, newest),
        // Whatever was under way under numbers that may be lost is refused from now on.
        slots: newest
            .parts()
            .slots
            .iter()
            .map(|slot| slot.again(epoch))
            .collect(),
        ..newest.parts().clone()
    };
    match Placement::new(parts) {
        Ok(placement) => Decided::record(placement, expect, Why::Rebuilt),
        Err(error) => Decided::stall("NoPlacement", error.to_string()),
    }
}

/// The next number that nobody can have used.
fn unused(epoch: Epoch) -> Option<Epoch> {
    let next = (epoch.0 / EPOCHS_APART + 1).checked_mul(EPOCHS_APART)?;
    Some(Epoch(next))
}

/// Placements that cannot all be of one cluster and one author.
fn disagreement<'a>(
    mut held: impl Iterator<Item = &'a Placement>,
    newest: &Placement,
) -> Option<Decided> {
    let other = held.find(|held| {
        held.cluster() != newest.cluster()
            || held.parts().author != newest.parts().author
            || (held.epoch() == newest.epoch() && held.digest() != newest.digest())
    })?;
    let told = |placement: &Placement| {
        format!(
            "cluster {}, author {}, epoch {}",
            placement.cluster(),
            placement.parts().author,
            placement.epoch()
        )
    };
    Some(Decided::stall(
        "TwoPlacements",
        format!(
            "servers hold placements that do not belong together: {}; and {}. Their volumes come \
             from different clusters: bring the right ones back",
            told(newest),
            told(other)
        ),
    ))
}

/// Members of the placement that said what they know, and have not lost their disk.
fn heard(observed: &Observed, placement: &Placement) -> BTreeSet<MemberId> {
    let answers = observed
        .servers
        .values()
        .filter_map(|pod| pod.heard.answer());
    answers
        .filter(|status| status.cluster == Some(placement.cluster()))
        .map(|status| status.id)
        .collect()
}

/// A slot of which too few were heard.
fn short_slot(placement: &Placement, heard: &BTreeSet<MemberId>) -> Option<Slot> {
    let enough = |holders: &Holders| {
        let members = holders.members().iter();
        let count = members
            .filter(|&&index| heard.contains(&placement.member(index).id))
            .count();
        count >= holders.read_quorum()
    };
    Slot::all().find(|&slot| {
        let placed = placement.slot(slot);
        !enough(placed.current()) || placed.next().is_some_and(|next| !enough(next))
    })
}
