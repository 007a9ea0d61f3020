//! Who takes part in the next placement, and all slots by their numbers there.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{Holders, Member, MemberId, MemberIndex, Placement, ReplicaSet, SlotPlacement},
    Reason, Sightings, Wanted,
    known::Known,
};
use crate::limits::MEMBERS_MAX;

/// Members of the next placement, and the slots of this one with the members' numbers there.
pub(super) struct Roster {
    pub(super) members: Vec<Member>,
    pub(super) slots: Vec<SlotPlacement>,
}

impl Roster {
    /// Who is wanted and has been seen, and who is still named by some slot. The order of who was
    /// there before stays.
    pub(super) fn of(
        placement: &Placement,
        wanted: &Wanted,
        sightings: &Sightings,
    ) -> Result<Self, Reason> {
        let by_id: BTreeMap<_, _> = wanted.members.iter().map(|m| (m.id, m)).collect();
        let named = named(placement);
        let mut members = Vec::new();
        let mut numbers = Vec::new();
        for (member, is_named) in placement.members().iter().zip(named) {
            let today = by_id.get(&member.id).copied();
            let is_kept = is_named || today.is_some();
            numbers.push(is_kept.then(|| index(members.len())));
            if is_kept {
                members.push(today.unwrap_or(member).clone());
            }
        }
        let is_new = |member: &&Member| placement.index_of(member.id).is_none();
        // A member that nobody has seen yet would only be dialled in vain.
        let was_seen = |member: &&Member| {
            let sighting = sightings.get(&member.id);
            sighting.is_some_and(|sighting| sighting.report.is_some())
        };
        let joined = wanted.members.iter().filter(is_new).filter(was_seen);
        members.extend(joined.cloned());
        if members.len() > MEMBERS_MAX {
            return Err(Reason::TooManyMembers(members.len()));
        }
        let slots = placement.parts().slots.iter();
        let slots = slots.map(|slot| renumber(slot, &numbers)).collect();
        Ok(Self { members, slots })
    }

    /// Those who are to hold nothing: drained, not wanted any more, lost, or new and not here.
    pub(super) fn excluded(&self, wanted: &Wanted, known: &Known<'_>) -> BTreeSet<MemberId> {
        let is_wanted: BTreeSet<_> = wanted.members.iter().map(|member| member.id).collect();
        let mut holds = vec![false; self.members.len()];
        for slot in &self.slots {
            for member in slot.last().members() {
                holds[member.get()] = true;
            }
        }
        let members = self.members.iter().zip(holds).enumerate();
        let excluded = members.filter(|(at, (member, holds))| {
            wanted.drained.contains(&member.id)
                || !is_wanted.contains(&member.id)
                || known.is_lost(index(*at))
                || (!holds && !known.is_here(index(*at)))
        });
        excluded.map(|(_, (member, _))| member.id).collect()
    }

    /// What of the members a plan depends on.
    pub(super) fn shapes(&self) -> Vec<(MemberId, String, u32)> {
        let members = self.members.iter();
        members
            .map(|member| (member.id, member.zone.clone(), member.weight))
            .collect()
    }
}

/// Which members some slot names.
fn named(placement: &Placement) -> Vec<bool> {
    let mut named = vec![false; placement.members().len()];
    for slot in &placement.parts().slots {
        for holders in [Some(slot.current()), slot.next()].into_iter().flatten() {
            for member in holders.members() {
                named[member.get()] = true;
            }
        }
    }
    named
}

fn renumber(slot: &SlotPlacement, numbers: &[Option<MemberIndex>]) -> SlotPlacement {
    let number = |member: &MemberIndex| numbers[member.get()].expect("who is named is kept");
    let of = |holders: &Holders| {
        let set = ReplicaSet::new(holders.members().iter().map(number));
        Holders::new(set, holders.quorums)
    };
    let (since, current) = (slot.since(), of(slot.current()));
    match slot.open() {
        None => SlotPlacement::stable(since, current),
        Some(open) => SlotPlacement::moving(since, open.stage, current, of(&open.next)),
    }
}

pub(super) fn index(at: usize) -> MemberIndex {
    MemberIndex(u16::try_from(at).expect("members are counted"))
}
