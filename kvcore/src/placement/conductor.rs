//! The conductor: brings a placement to what is wanted, one step of every slot at a time. Pure.
//!
//! An author asks it again and again, with the placement in force and what is known of the members.
//! It answers with the next placement, with what it waits for, or with neither: then everything is
//! as it is wanted. It remembers nothing that the placement does not say, so that another author
//! may go on at any moment; the target it keeps is only to save work.
//!
//! - A slot changes one replica at a time, by the stages of [`super::moves`].
//! - What is not known makes it wait. Nothing is concluded from silence, but that a member that has been
//!   away for [`Limits::repair_after_ms`] is replaced; what it holds counts on.
//! - Slots with the fewest live copies come first, then what is drained, then balance. While a slot
//!   that can be repaired is short of copies, no live replica is taken from any slot.
//! - A copy whose reason is gone is given up; what is past copying goes on to its end.

mod begin;
mod known;
mod open;
mod roster;
mod wait;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Digest, Epoch, Member, MemberId, MemberIndex, Parts, Placement, PlacementError, Quorums,
    ReplicaSet, SlotPlacement,
    planner::{Goal, PlanError, reach},
};
use crate::slot::Slot;
use known::Known;
pub use wait::{Reason, Waiting};

/// What is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Everyone who is to take part, with weight, zone and address.
    pub members: Vec<Member>,
    /// Those of them that are to hold nothing.
    pub drained: BTreeSet<MemberId>,
    /// Members that are to hold each slot, 1 to [`crate::limits::COPIES_MAX`].
    pub copies: u8,
    /// Read and write quorums of a slot with so many.
    pub quorums: Quorums,
}

/// How much may go on at once, and how long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Slots that one member copies, gives or hands over at once, at least 1.
    pub moves_per_member: usize,
    /// How long a member may be away before its slots get another home, in milliseconds.
    pub repair_after_ms: u64,
    /// How long a joiner may be away before its copy is given up, in milliseconds.
    pub joiner_away_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            moves_per_member: 8,
            repair_after_ms: 300_000,
            joiner_away_ms: 10_000,
        }
    }
}

/// What a member said last, as far as it is durable there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The placement it has made durable, zero while it is blank.
    pub epoch: Epoch,
    /// That placement's digest.
    pub digest: Option<Digest>,
    /// Whether it answers for every slot it holds.
    pub is_caught_up: bool,
    /// What it says of slots that move.
    pub sessions: BTreeMap<Slot, Session>,
}

/// What a member says of a slot that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The epoch of the slot's last change when it said so.
    pub epoch: Epoch,
    /// Whom it has pulled everything from, durably.
    pub pulled: BTreeSet<MemberId>,
    /// Members of the next set to whom it has brought everything that it holds.
    pub given: BTreeSet<MemberId>,
    /// Whether enough of them have it, so that it has dropped the slot.
    pub handed_over: bool,
}

/// What is known of one member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sighting {
    /// What it said last, also where it is away now.
    pub report: Option<Report>,
    /// Since how long it has not answered, in milliseconds; zero while it answers.
    pub away_ms: u64,
    /// Whether its disk is known to be destroyed, and by more than silence.
    pub is_destroyed: bool,
}

impl Sighting {
    /// Whether it answers.
    pub fn is_here(&self) -> bool {
        self.report.is_some() && self.away_ms == 0 && !self.is_destroyed
    }
}

/// What is known of all members; of who is missing nothing is known.
pub type Sightings = BTreeMap<MemberId, Sighting>;

/// What is to be done, and what is waited for meanwhile.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// The placement to publish, under the next epoch.
    pub next: Option<Placement>,
    /// What is waited for, the most important first.
    pub waits: Vec<Waiting>,
}

impl Decision {
    /// Whether everything is as it is wanted.
    pub fn is_nothing(&self) -> bool {
        self.next.is_none() && self.waits.is_empty()
    }
}

/// Conducts one cluster.
#[derive(Debug, Clone, Default)]
pub struct Conductor {
    target: Option<(TargetKey, Result<Vec<ReplicaSet>, PlanError>)>,
}

/// What a target depends on, beside who holds what.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TargetKey {
    members: Vec<(MemberId, String, u32)>,
    excluded: BTreeSet<MemberId>,
    copies: u8,
}

/// All that one decision is made from, with members numbered as in the next placement.
struct Scene<'a> {
    epoch: Epoch,
    wanted: &'a Wanted,
    limits: &'a Limits,
    members: &'a [Member],
    known: Known<'a>,
    /// Where every slot is to arrive, if that is known.
    target: Option<&'a [ReplicaSet]>,
}

impl Conductor {
    /// The next step from this placement.
    pub fn decide(
        &mut self,
        placement: &Placement,
        wanted: &Wanted,
        sightings: &Sightings,
        limits: &Limits,
    ) -> Decision {
        if let Some(reason) = contradiction(placement, sightings) {
            return Decision::waits_for(reason);
        }
        let roster = match roster::Roster::of(placement, wanted, sightings) {
            Ok(roster) => roster,
            Err(reason) => return Decision::waits_for(reason),
        };
        let known = Known::new(placement, &roster.members, sightings, limits);
        let (target, mut waits) = match self.target(placement, wanted, &roster, &known) {
            Ok(target) => (Some(target), Vec::new()),
            Err(error) => (None, vec![Waiting::of(Reason::NoPlan(*error))]),
        };
        let Some(epoch) = placement.epoch().0.checked_add(1) else {
            return Decision::waits_for(Reason::NoEpochLeft);
        };
        let scene = Scene {
            epoch: Epoch(epoch),
            wanted,
            limits,
            members: &roster.members,
            known,
            target,
        };
        let mut slots = roster.slots.clone();
        waits.extend(open::go_on(&scene, &mut slots));
        waits.extend(begin::begin(&scene, &mut slots));
        match next_placement(placement, wanted, &roster, slots, scene.epoch) {
            Ok(next) => Decision {
                next,
                waits: wait::together(waits),
            },
            Err(error) => Decision::waits_for(Reason::Invalid(error)),
        }
    }

    /// Where every slot is to arrive, made anew when members come or go.
    fn target(
        &mut self,
        placement: &Placement,
        wanted: &Wanted,
        roster: &roster::Roster,
        known: &Known<'_>,
    ) -> Result<&[ReplicaSet], &PlanError> {
        let excluded = roster.excluded(wanted, known);
        let key = TargetKey {
            members: roster.shapes(),
            excluded: excluded.clone(),
            copies: wanted.copies,
        };
        if self.target.as_ref().is_none_or(|(of, _)| *of != key) {
            let mut goal = Goal::new(&roster.members, usize::from(wanted.copies));
            goal.excluded = excluded;
            self.target = Some((key, reach(&goal, Some(placement))));
        }
        let (_, target) = self.target.as_ref().expect("made above");
        target.as_deref()
    }
}

impl Decision {
    fn waits_for(reason: Reason) -> Self {
        Self {
            next: None,
            waits: vec![Waiting::of(reason)],
        }
    }
}

/// What a member says that this author cannot have published, or not so.
fn contradiction(placement: &Placement, sightings: &Sightings) -> Option<Reason> {
    let reports = sightings.iter();
    let mut reports = reports.filter_map(|(&member, seen)| Some((member, seen.report.as_ref()?)));
    reports.find_map(|(member, report)| {
        let epoch = report.epoch;
        if epoch > placement.epoch() {
            return Some(Reason::NewerPlacement { member, epoch });
        }
        let is_other = report
            .digest
            .is_some_and(|digest| digest != placement.digest());
        (epoch == placement.epoch() && is_other).then_some(Reason::OtherContent { member, epoch })
    })
}

/// The placement with these slots, `None` where nothing of it is new. Where only addresses are
/// new it keeps its epoch.
fn next_placement(
    placement: &Placement,
    wanted: &Wanted,
    roster: &roster::Roster,
    slots: Vec<SlotPlacement>,
    epoch: Epoch,
) -> Result<Option<Placement>, PlacementError> {
    let have = placement.parts();
    let mut next = Parts {
        members: roster.members.clone(),
        copies: wanted.copies,
        quorums: wanted.quorums,
        slots,
        ..have.clone()
    };
    if next == *have {
        return Ok(None);
    }
    let mut elsewhere = have.clone();
    let members = elsewhere.members.iter_mut().zip(&next.members);
    for (member, now) in members.filter(|(member, now)| member.id == now.id) {
        member.address.clone_from(&now.address);
    }
    next.address_revision += u64::from(elsewhere.members != have.members);
    if next.members != elsewhere.members || next.slots != have.slots || asks(&next) != asks(have) {
        next.epoch = epoch;
    }
    Placement::new(next).map(Some)
}

fn asks(parts: &Parts) -> (u8, Quorums) {
    (parts.copies, parts.quorums)
}

/// A slot's number, from its place.
fn slot_at(index: usize) -> Slot {
    let number = u16::try_from(index).expect("slots are numbered by 16 bits");
    Slot::new(number).expect("one entry a slot")
}

/// The members of a set by their names, for people.
fn names(set: &ReplicaSet, members: &[Member]) -> Vec<MemberId> {
    let index = |member: &MemberIndex| members[member.get()].id;
    set.members().iter().map(index).collect()
}

#[cfg(test)]
mod tests;
