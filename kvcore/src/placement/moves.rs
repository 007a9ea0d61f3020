//! When a move may go on to its next stage. Pure: the author decides by it, and so does the model
//! that searches through everything that may happen.
//!
//! ```text
//! copying    the joiner pulls                  may be reverted
//!    |  enough of next have pulled from S sources, so that each acknowledged write is on W of next
//! switching  reads go to next, writes to both
//!    |  no read quorum of current is left: k - R + 1 of it acknowledged switching
//! leaving    the leaver hands over             only where there is a leaver
//!    |  handed over, destroyed, or given up
//! stable
//! ```
//!
//! The one invariant that all of it keeps: in every set that reads go to, each acknowledged write
//! is on a write quorum. It holds for sets of any size and quorums, so that changing copies or
//! quorums is a move like any other: with a joiner, a leaver, both, or neither.

use super::{Epoch, Holders, MemberIndex, Move, MoveStage, ReplicaSet, SlotPlacement};

/// What is known of the members of one slot. Whatever is not known is answered with no.
pub trait Evidence {
    /// Whether the member made an epoch at least as new as the slot's last change durable, and
    /// refuses older requests since.
    fn has_acked(&self, member: MemberIndex) -> bool;

    /// From which members of `current` the member has durably pulled everything, in the session of
    /// the slot's last change. A member that acknowledged it counts among its own sources.
    fn pulled_from(&self, member: MemberIndex) -> ReplicaSet;

    /// To which members of `next` the member has brought everything it holds of the slot, in the
    /// session of the slot's last change.
    fn handed_to(&self, member: MemberIndex) -> ReplicaSet;

    /// Whether the member's disk is known to be destroyed; never so because it is not reached.
    fn is_destroyed(&self, member: MemberIndex) -> bool;

    /// Whether the author has given the member up: what it holds alone may be lost.
    fn is_given_up(&self, member: MemberIndex) -> bool;
}

/// What is done to a slot next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// From copying back to stable.
    Revert,
    /// From copying to switching.
    Switch,
    /// From switching to leaving.
    Leave,
    /// To stable, with the next set alone.
    Settle,
}

/// What a move waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// Members that have to copy, and how many members have to have done so in all.
    Copies {
        /// Members of the next set that have not pulled from enough sources.
        missing: ReplicaSet,
        /// From so many members of the current set each of them pulls.
        sources: usize,
    },
    /// Acknowledgements of the epoch.
    Acks {
        /// Members of the current set that have not acknowledged it.
        missing: ReplicaSet,
        /// How many of them have to.
        needed: usize,
    },
    /// The leaver, which hands over what it holds.
    HandOver(MemberIndex),
}

/// The step that may be taken with this move now, or what it waits for.
pub fn go_on(slot: &SlotPlacement, open: &Move, known: &impl Evidence) -> Result<Step, Awaited> {
    match open.stage {
        MoveStage::Copying => may_switch(slot, open, known).map(|()| Step::Switch),
        MoveStage::Switching => may_leave(slot, known).map(|()| match slot.leaver() {
            Some(_) => Step::Leave,
            None => Step::Settle,
        }),
        MoveStage::Leaving => may_settle(slot, open, known).map(|()| Step::Settle),
    }
}

impl SlotPlacement {
    /// The slot after a step, which a placement of this epoch brings.
    ///
    /// # Panics
    ///
    /// Where the step does not follow from the slot's stage.
    #[must_use]
    pub fn stepped(&self, step: Step, epoch: Epoch) -> Self {
        let stage = self.stage().expect("only a move takes steps");
        let next = self.last().clone();
        let moving = |stage| Self::moving(epoch, stage, self.current().clone(), next.clone());
        match (step, stage) {
            (Step::Revert, MoveStage::Copying) => Self::stable(epoch, self.current().clone()),
            (Step::Switch, MoveStage::Copying) => moving(MoveStage::Switching),
            (Step::Leave, MoveStage::Switching) => moving(MoveStage::Leaving),
            (Step::Settle, MoveStage::Switching | MoveStage::Leaving) => Self::stable(epoch, next),
            _ => panic!("{step:?} does not follow from {stage:?}"),
        }
    }
}

/// Whether so many members of the set have pulled that each acknowledged write is on a write
/// quorum of `next`.
///
/// A write was acknowledged by W members of `current`. At most one of those leaves, so W - 1 of them
/// are in `next`; a member that has pulled from S of `current` has it, too, whether it had it before
/// or not.
fn may_switch(slot: &SlotPlacement, open: &Move, known: &impl Evidence) -> Result<(), Awaited> {
    let (current, next) = (slot.current(), &open.next);
    let sources = sources(current, next);
    let has_copied = |member: &MemberIndex| {
        !known.is_destroyed(*member) && has_pulled(current, sources, *member, known)
    };
    let members = next.members().iter().copied();
    let (copied, missing): (Vec<_>, Vec<_>) = members.partition(has_copied);
    let leaving = current.set.without(&next.set).count();
    let held = copied.iter().filter(|&&member| current.contains(member));
    let inherited = current
        .write_quorum()
        .saturating_sub(leaving + held.count());
    let is_joined = slot.joiner().is_none_or(|joiner| copied.contains(&joiner));
    if is_joined && copied.len() + inherited >= next.write_quorum() {
        return Ok(());
    }
    Err(Awaited::Copies {
        missing: ReplicaSet::new(missing),
        sources,
    })
}

/// From how many members of the current set a copy has to be pulled: S, since every acknowledged write
/// is on one of those. Where reads do not meet writes, before and after, nothing is promised of one
/// member, and any one will do (R7).
pub fn sources(current: &Holders, next: &Holders) -> usize {
    if current.reads_meet_writes() || next.reads_meet_writes() {
        current.sources()
    } else {
        1
    }
}

/// Whether the member has pulled from enough sources, or from all that are left.
fn has_pulled(
    current: &Holders,
    sources: usize,
    member: MemberIndex,
    known: &impl Evidence,
) -> bool {
    let pulled = known.pulled_from(member);
    let served = |source: &&MemberIndex| pulled.contains(**source);
    let left = |source: &&MemberIndex| !known.is_destroyed(**source);
    let members = current.members().iter();
    let count = members.clone().filter(served).count();
    count >= sources || (count > 0 && members.filter(left).all(|source| served(&source)))
}

/// Whether no read quorum of `current` can be found any more by a reader of an older epoch (R6).
fn may_leave(slot: &SlotPlacement, known: &impl Evidence) -> Result<(), Awaited> {
    let current = slot.current();
    let needed = current.copies() - current.read_quorum() + 1;
    let has_acked = |&member: &MemberIndex| known.has_acked(member) || known.is_destroyed(member);
    let missing = current.members().iter().copied();
    let missing = ReplicaSet::new(missing.filter(|member| !has_acked(member)));
    if current.copies() - missing.members().len() >= needed {
        return Ok(());
    }
    Err(Awaited::Acks { missing, needed })
}

/// Whether nothing that the leaver holds is needed any more (R8). Where one copy made a write
/// acknowledged, or a joiner pulled from one alone, the only copy may be the leaver's, and giving it
/// up is for a person (R7).
fn may_settle(slot: &SlotPlacement, open: &Move, known: &impl Evidence) -> Result<(), Awaited> {
    let Some(leaver) = slot.leaver() else {
        return Ok(());
    };
    let is_spread = [slot.current(), &open.next]
        .iter()
        .all(|holders| holders.write_quorum() > 1 && holders.reads_meet_writes());
    let is_given_up = known.is_given_up(leaver) && is_spread;
    if has_handed_over(&open.next, leaver, known) || known.is_destroyed(leaver) || is_given_up {
        return Ok(());
    }
    Err(Awaited::HandOver(leaver))
}

/// Whether a write quorum of `next` has everything of the leaver, or all of it that is left: what is
/// lost there has to be repaired, which begins when this move is over.
fn has_handed_over(next: &Holders, leaver: MemberIndex, known: &impl Evidence) -> bool {
    let handed_to = known.handed_to(leaver);
    let has = |owner: &&MemberIndex| handed_to.contains(**owner);
    let owners = next.members().iter();
    let count = owners.clone().filter(has).count();
    let mut left = owners.filter(|owner| !known.is_destroyed(**owner));
    count >= next.write_quorum() || (count > 0 && left.all(|owner| has(&owner)))
}

#[cfg(test)]
mod tests;
