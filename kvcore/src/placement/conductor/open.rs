//! Moves that are open: given up, brought a stage on, or waited for.

use super::{
    super::{
        Holders, Move, MoveStage, SlotPlacement,
        moves::{self, Awaited, Step},
    },
    Reason, Scene, Waiting,
    begin::quorums_of,
    names, slot_at,
};
use crate::slot::Slot;

/// Takes each open move as far as it may go now.
pub(super) fn go_on(scene: &Scene<'_>, slots: &mut [SlotPlacement]) -> Vec<Waiting> {
    let mut waits = Vec::new();
    for (at, placed) in slots.iter_mut().enumerate() {
        let slot = slot_at(at);
        let Some(open) = placed.open() else { continue };
        match step(scene, slot, placed, open) {
            Ok(step) => *placed = placed.stepped(step, scene.epoch),
            Err(reason) => waits.push(Waiting::slot(slot, reason)),
        }
    }
    waits
}

fn step(
    scene: &Scene<'_>,
    slot: Slot,
    placed: &SlotPlacement,
    open: &Move,
) -> Result<Step, Reason> {
    if open.stage == MoveStage::Copying && is_pointless(scene, slot, placed, open) {
        return Ok(Step::Revert);
    }
    let known = scene.known.of_slot(slot, placed);
    let step = moves::go_on(placed, open, &known).map_err(|awaited| scene.reason(awaited))?;
    // It cannot be undone: a next set without quorums now would stop reads.
    if step == Step::Switch && !scene.can_serve(&open.next) {
        let members = open.next.members().iter().copied();
        let away = members.filter(|&member| !scene.known.is_here(member));
        let away = scene.names(away);
        return Err(Reason::NextCannotServe { away });
    }
    Ok(step)
}

/// Whether a copy is to be given up: its joiner is gone, it stops what the current set alone could
/// do, or it leads elsewhere than to the target.
fn is_pointless(scene: &Scene<'_>, slot: Slot, placed: &SlotPlacement, open: &Move) -> bool {
    let known = &scene.known;
    let (current, next) = (placed.current(), &open.next);
    let joiner_is_gone = placed.joiner().is_some_and(|joiner| {
        let away_ms = known.away_ms(joiner).unwrap_or(0);
        known.is_lost(joiner) || away_ms >= scene.limits.joiner_away_ms
    });
    let has_quorum =
        |holders: &Holders| known.count_here(holders.members()) >= holders.write_quorum();
    // One of those that stay is lost: who leaves is needed to replace it first.
    let stays_lost = next
        .members()
        .iter()
        .any(|&member| current.contains(member) && known.is_lost(member));
    if joiner_is_gone
        || (!has_quorum(next) && has_quorum(current))
        || (stays_lost && !scene.can_serve(next))
    {
        return true;
    }
    let Some(target) = scene.target.map(|target| &target[slot.index()]) else {
        return false;
    };
    placed
        .joiner()
        .is_some_and(|joiner| !target.contains(joiner))
        || placed
            .leaver()
            .is_some_and(|leaver| target.contains(leaver))
        || next.quorums != quorums_of(scene.wanted, current, next.copies())
}

impl Scene<'_> {
    /// Whether so many of these answer that they could be read and written.
    pub(super) fn can_serve(&self, holders: &Holders) -> bool {
        let needed = holders.read_quorum().max(holders.write_quorum());
        self.known.count_here(holders.members()) >= needed
    }

    fn reason(&self, awaited: Awaited) -> Reason {
        match awaited {
            Awaited::Copies { missing, sources } => Reason::Copies {
                missing: names(&missing, self.members),
                sources,
            },
            Awaited::Acks { missing, needed } => Reason::Acks {
                missing: names(&missing, self.members),
                needed,
            },
            Awaited::HandOver(leaver) => Reason::HandOver {
                leaver: self.members[leaver.get()].id,
            },
        }
    }
}
