//! The planner: which members should hold which slot. Pure and deterministic.
//!
//! It promises, of every plan:
//!
//! - each slot has as many distinct members as copies, in distinct zones where there are zones enough,
//!   else spread over zones as evenly as these have members;
//! - each member has its exact share of slots, rounded down or up. Shares go by weight: of zones among
//!   all, of members within their zone. So slots per unit of weight of two members of one zone differ by
//!   one at most;
//! - no plan that keeps these has fewer replicas on members that did not hold them before;
//! - the order of members does not matter.
//!
//! A plan is where to arrive, not how: moves go one replica of a slot at a time.

mod dealer;
mod fewest;
mod flow;
mod loads;

use std::collections::{BTreeMap, BTreeSet};

use self::fewest::Holds;
use super::{Member, MemberId, MemberIndex, MoveStage, Placement, ReplicaSet};
use crate::{
    limits::{COPIES_MAX, MEMBERS_MAX, SLOTS},
    slot::Slot,
};

/// Why no plan exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Fewer members than copies.
    #[error(
        "{copies} copies need {copies} members, there are {members}: add members or ask for fewer copies"
    )]
    TooFewMembers {
        /// Members that may hold slots.
        members: usize,
        /// Copies asked for.
        copies: usize,
    },
    /// Copies out of range.
    #[error("copies go from 1 to {COPIES_MAX}, not {0}")]
    Copies(usize),
    /// More members than a placement names.
    #[error("a placement has at most {MEMBERS_MAX} members, there are {0}")]
    TooManyMembers(usize),
}

/// What a plan is made for.
#[derive(Debug, Clone)]
pub struct Goal<'a> {
    /// Everyone who is there.
    pub members: &'a [Member],
    /// Those of them that are to hold nothing: they are drained, or lost.
    pub excluded: BTreeSet<MemberId>,
    /// Members that hold each slot.
    pub copies: usize,
    /// Slots there are: [`SLOTS`] but in tests, where an exact search has to end.
    slots: usize,
}

impl<'a> Goal<'a> {
    /// All of these hold slots.
    pub fn new(members: &'a [Member], copies: usize) -> Self {
        Self {
            members,
            excluded: BTreeSet::new(),
            copies,
            slots: SLOTS,
        }
    }

    /// Members that may hold slots, by zone.
    fn zones(&self) -> BTreeMap<&'a str, Vec<usize>> {
        let mut zones: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, member) in self.members.iter().enumerate() {
            if !self.excluded.contains(&member.id) {
                zones.entry(&member.zone).or_default().push(index);
            }
        }
        // What is not decided otherwise must not follow the order in which members are named.
        for zone in zones.values_mut() {
            zone.sort_by_key(|&index| self.members[index].id);
        }
        zones
    }

    fn check(&self) -> Result<(), PlanError> {
        let copies = self.copies;
        if copies == 0 || copies > COPIES_MAX {
            return Err(PlanError::Copies(copies));
        }
        if self.members.len() > MEMBERS_MAX {
            return Err(PlanError::TooManyMembers(self.members.len()));
        }
        let members = self.zones().values().map(Vec::len).sum();
        if members < copies {
            return Err(PlanError::TooFewMembers { members, copies });
        }
        Ok(())
    }
}

/// The set of every slot for these members, in the order of slots; all of them hold slots.
///
/// `previous` keeps replicas where they are as far as the promises allow.
pub fn plan(
    members: &[Member],
    copies: usize,
    previous: Option<&Placement>,
) -> Result<Vec<ReplicaSet>, PlanError> {
    reach(&Goal::new(members, copies), previous)
}

/// The set of every slot for this goal, in the order of slots, by the index of its members.
///
/// Of a slot that is moving in `previous`, those who will hold it when the move is over count as its
/// holders. While it is copied that is still those who hold it now, and of other members the one that
/// copies it is preferred.
pub fn reach(goal: &Goal<'_>, previous: Option<&Placement>) -> Result<Vec<ReplicaSet>, PlanError> {
    goal.check()?;
    let holds: Vec<_> = match previous {
        Some(previous) => holders(goal.members, previous),
        None => dealer::deal(goal).into_iter().map(Holds::from).collect(),
    };
    let sets = fewest::change(goal, &loads::Loads::of(goal), &holds);
    let index = |member| MemberIndex(u16::try_from(member).expect("members are counted"));
    Ok(sets
        .into_iter()
        .map(|set| ReplicaSet::new(set.into_iter().map(index)))
        .collect())
}

/// Who holds each slot, by today's index; members that are gone hold nothing.
fn holders(members: &[Member], previous: &Placement) -> Vec<Holds> {
    let today: BTreeMap<MemberId, usize> = members
        .iter()
        .enumerate()
        .map(|(index, member)| (member.id, index))
        .collect();
    let of = |slot: Slot| {
        let placed = previous.slot(slot);
        let index = |member: MemberIndex| today.get(&previous.member(member).id).copied();
        let is_copied = placed.stage() == Some(MoveStage::Copying);
        let set = if is_copied {
            placed.current()
        } else {
            placed.last()
        };
        Holds {
            has: set.members().iter().filter_map(|&m| index(m)).collect(),
            copies: placed.joiner().filter(|_| is_copied).and_then(index),
        }
    };
    Slot::all().map(of).collect()
}

/// Decides between members that are equal otherwise, differently for each slot.
fn tie(slot: Slot, member: &Member) -> (u64, MemberId) {
    let seed = u64::from(slot.number());
    (
        xxhash_rust::xxh3::xxh3_64_with_seed(member.id.0.as_bytes(), seed),
        member.id,
    )
}

const _: () = assert!(
    SLOTS * COPIES_MAX < 1 << 20,
    "a lower bound outweighs all moves"
);

#[cfg(test)]
mod tests;
