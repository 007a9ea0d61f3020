//! What passes are worth together: which slots may vote again, whom a slot that moves was copied
//! from, and whether the member is ready. Pure.
//!
//! A slot that may lack acknowledged writes votes again once it has synced from S = k - W + 1 of
//! the others, since every acknowledged write is on one of those. Only members that vote
//! themselves count towards S. Where so many do not vote that S cannot be reached, the survivors
//! merge: a slot that has synced from all others, also from what damage has left there, knows
//! everything there is.

use std::collections::{BTreeMap, BTreeSet};

use kvcore::{
    placement::{Epoch, MemberId, MemberIndex, MoveStage, Placement},
    planted::{self, Bug},
    slot::{Slot, SlotSet},
    wire::Standing,
};

use super::pass::Passed;

/// What the passes since the start have brought.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    slots: BTreeMap<Slot, Synced>,
    /// Members that could not be compared with in the last round, and why.
    away: BTreeMap<MemberId, String>,
    /// Members of which something could not be fetched or stored in the last pass, and why.
    left_out: BTreeMap<MemberId, String>,
}

#[derive(Debug)]
struct Synced {
    /// Damage met in the slot before the passes that count.
    damages: u32,
    /// The slot's last change before them.
    since: Epoch,
    from_voters: BTreeSet<MemberId>,
    from_silent: BTreeSet<MemberId>,
}

impl Tracker {
    /// Counts the damage before a pass: what was synced before more of it was met, or before the
    /// slot changed, is worth nothing.
    pub(super) fn observe(
        &mut self,
        placement: &Placement,
        mine: &SlotSet,
        damages: &dyn Fn(Slot) -> u32,
    ) {
        self.slots.retain(|&slot, _| mine.contains(slot));
        for slot in mine.iter() {
            let (damages, since) = (damages(slot), placement.slot(slot).since());
            let fresh = || Synced {
                damages,
                since,
                from_voters: BTreeSet::new(),
                from_silent: BTreeSet::new(),
            };
            let synced = self.slots.entry(slot).or_insert_with(fresh);
            if (synced.damages, synced.since) != (damages, since) {
                *synced = fresh();
            }
        }
    }

    /// Of whom the slot has everything, where it is being copied: of the others by passes, and of
    /// this member by itself if it had it before.
    pub(super) fn pulled(
        &self,
        placement: &Placement,
        me: MemberIndex,
        slot: Slot,
    ) -> Option<(Epoch, BTreeSet<MemberId>)> {
        let placed = placement.slot(slot);
        let synced = self.slots.get(&slot)?;
        if placed.stage() != Some(MoveStage::Copying) || synced.since != placed.since() {
            return None;
        }
        let sources = placed.current().members().iter();
        let has = |&&source: &&MemberIndex| {
            source == me || synced.from_voters.contains(&placement.member(source).id)
        };
        let pulled = sources.filter(has);
        let pulled = pulled.map(|&source| placement.member(source).id);
        Some((placed.since(), pulled.collect()))
    }

    /// Notes a whole pass. A slot in which damage was met while it ran gains nothing from it.
    pub(super) fn passed(
        &mut self,
        member: MemberId,
        passed: &Passed,
        damages: &dyn Fn(Slot) -> u32,
    ) {
        self.away.remove(&member);
        match &passed.left_out {
            Some(why) => self.left_out.insert(member, why.clone()),
            None => self.left_out.remove(&member),
        };
        for (&slot, synced) in &mut self.slots {
            if damages(slot) != synced.damages {
                continue;
            }
            if passed.from_voter.contains(slot) {
                synced.from_silent.remove(&member);
                synced.from_voters.insert(member);
            } else if passed.from_silent.contains(slot) && !synced.from_voters.contains(&member) {
                synced.from_silent.insert(member);
            }
        }
    }

    /// Notes that a member could not be compared with.
    pub(super) fn failed(&mut self, member: MemberId, why: String) {
        self.away.insert(member, why);
    }

    /// Whether a slot that does not vote may do so now: the damage met before what allows it, which
    /// must still be all there is.
    pub(super) fn may_vote(
        &self,
        placement: &Placement,
        me: MemberId,
        slot: Slot,
        standing: Standing,
    ) -> Option<u32> {
        let others = others(placement, me, slot);
        if others.is_empty() {
            // The only copy: what it lost nobody has, and what it has is all there is. Damage
            // stays visible.
            return (standing == Standing::Unsynced).then_some(0);
        }
        let synced = self.slots.get(&slot)?;
        let needed = placement.slot(slot).read_set().sources();
        let voters = others
            .iter()
            .filter(|id| synced.from_voters.contains(id))
            .count();
        let known =
            |id: &&MemberId| synced.from_voters.contains(id) || synced.from_silent.contains(id);
        let may = (voters >= needed && !planted::is(Bug::VoteNeedsEveryone))
            || others.iter().filter(known).count() == others.len();
        may.then_some(synced.damages)
    }

    /// Why the member is not caught up yet; `None` when it is: every slot votes and was compared
    /// with every other member that can be reached.
    pub(super) fn waiting_for(
        &self,
        placement: &Placement,
        me: MemberId,
        mine: &SlotSet,
        standing: &dyn Fn(Slot) -> Standing,
    ) -> Option<String> {
        // What it copies is not missed by anybody.
        let index = placement.index_of(me);
        let is_joining = |slot: &Slot| index.is_some_and(|me| placement.slot(*slot).is_joining(me));
        let mine: SlotSet = mine.iter().filter(|slot| !is_joining(slot)).collect();
        let silent = mine
            .iter()
            .filter(|&slot| standing(slot) != Standing::Voter)
            .count();
        if silent > 0 {
            return Some(format!("{silent} slots do not vote yet{}", self.missing()));
        }
        let open = mine.iter().filter(|slot| {
            let synced = &self.slots[slot];
            others(placement, me, *slot).iter().any(|id| {
                !synced.from_voters.contains(id)
                    && !synced.from_silent.contains(id)
                    && !self.away.contains_key(id)
            })
        });
        match open.count() {
            0 => None,
            open => Some(format!(
                "{open} slots are still being compared with other members{}",
                self.missing()
            )),
        }
    }

    fn missing(&self) -> String {
        let named = |what: &str, members: &BTreeMap<MemberId, String>| {
            let members = members.iter().map(|(id, why)| format!("{id} ({why})"));
            match members.collect::<Vec<_>>() {
                none if none.is_empty() => String::new(),
                some => format!("; {what}: {}", some.join(", ")),
            }
        };
        named("not reached", &self.away) + &named("not all taken from", &self.left_out)
    }
}

/// The slot's members beside this one.
fn others(placement: &Placement, me: MemberId, slot: Slot) -> Vec<MemberId> {
    let set = placement.slot(slot).read_set().members();
    set.iter()
        .map(|&index| placement.member(index).id)
        .filter(|&id| id != me)
        .collect()
}

#[cfg(test)]
mod tests;
