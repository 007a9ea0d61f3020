//! What is known of members, by their numbers; what is not known is answered with no.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        Epoch, Member, MemberId, MemberIndex, Placement, ReplicaSet, SlotPlacement, moves::Evidence,
    },
    Limits, Report, Session, Sighting, Sightings,
    roster::index,
};
use crate::slot::Slot;

/// What is known of the members of a placement.
pub(super) struct Known<'a> {
    placement: &'a Placement,
    sightings: Vec<Option<&'a Sighting>>,
    numbers: BTreeMap<MemberId, MemberIndex>,
    repair_after_ms: u64,
}

/// What is known for one slot.
pub(super) struct SlotKnown<'a> {
    known: &'a Known<'a>,
    slot: Slot,
    since: Epoch,
    next: ReplicaSet,
}

impl<'a> Known<'a> {
    pub(super) fn new(
        placement: &'a Placement,
        members: &[Member],
        sightings: &'a Sightings,
        limits: &Limits,
    ) -> Self {
        let numbers = members.iter().enumerate();
        Self {
            placement,
            sightings: members.iter().map(|m| sightings.get(&m.id)).collect(),
            numbers: numbers.map(|(at, member)| (member.id, index(at))).collect(),
            repair_after_ms: limits.repair_after_ms,
        }
    }

    fn sighting(&self, member: MemberIndex) -> Option<&'a Sighting> {
        self.sightings.get(member.get()).copied().flatten()
    }

    fn report(&self, member: MemberIndex) -> Option<&'a Report> {
        self.sighting(member)?.report.as_ref()
    }

    /// Whether it answers.
    pub(super) fn is_here(&self, member: MemberIndex) -> bool {
        self.sighting(member).is_some_and(Sighting::is_here)
    }

    /// Whether it answers for all that it holds.
    pub(super) fn is_caught_up(&self, member: MemberIndex) -> bool {
        let report = self.report(member);
        self.is_here(member) && report.is_some_and(|report| report.is_caught_up)
    }

    pub(super) fn is_destroyed(&self, member: MemberIndex) -> bool {
        let sighting = self.sighting(member);
        sighting.is_some_and(|sighting| sighting.is_destroyed)
    }

    /// For how long it has been away, if that is known and it is.
    pub(super) fn away_ms(&self, member: MemberIndex) -> Option<u64> {
        let away_ms = self.sighting(member)?.away_ms;
        (away_ms > 0).then_some(away_ms)
    }

    /// Whether its slots are to get another home.
    pub(super) fn is_lost(&self, member: MemberIndex) -> bool {
        let away_ms = self.away_ms(member);
        self.is_destroyed(member) || away_ms.is_some_and(|away| away >= self.repair_after_ms)
    }

    /// How many of these answer.
    pub(super) fn count_here(&self, members: &[MemberIndex]) -> usize {
        members
            .iter()
            .filter(|&&member| self.is_here(member))
            .count()
    }

    fn numbered(&self, ids: &BTreeSet<MemberId>) -> ReplicaSet {
        ReplicaSet::new(ids.iter().filter_map(|id| self.numbers.get(id).copied()))
    }

    pub(super) fn of_slot(&'a self, slot: Slot, placed: &SlotPlacement) -> SlotKnown<'a> {
        SlotKnown {
            known: self,
            slot,
            since: placed.since(),
            next: placed.last().set.clone(),
        }
    }
}

impl SlotKnown<'_> {
    /// What the member says of the slot since its last change.
    fn session(&self, member: MemberIndex) -> Option<&Session> {
        let session = self.known.report(member)?.sessions.get(&self.slot)?;
        (session.epoch == self.since).then_some(session)
    }
}

impl Evidence for SlotKnown<'_> {
    fn has_acked(&self, member: MemberIndex) -> bool {
        let placement = self.known.placement;
        self.known.report(member).is_some_and(|report| {
            // Under the number in force only its very content counts.
            let is_same = report.digest == Some(placement.digest());
            report.epoch >= self.since && (report.epoch != placement.epoch() || is_same)
        })
    }

    fn pulled_from(&self, member: MemberIndex) -> ReplicaSet {
        let pulled = self.session(member).map(|session| &session.pulled);
        pulled.map_or_else(|| ReplicaSet::new([]), |ids| self.known.numbered(ids))
    }

    fn handed_to(&self, member: MemberIndex) -> ReplicaSet {
        match self.session(member) {
            Some(session) if session.handed_over => self.next.clone(),
            Some(session) => self.known.numbered(&session.given),
            None => ReplicaSet::new([]),
        }
    }

    fn is_destroyed(&self, member: MemberIndex) -> bool {
        self.known.is_destroyed(member)
    }

    fn is_given_up(&self, member: MemberIndex) -> bool {
        self.known.is_lost(member)
    }
}
