//! The planner: which members should hold which slot. Pure and deterministic.
//!
//! Zones first, members second. Every slot is given a number of replicas in each zone, then each
//! zone hands them to its own members, the least loaded for their weight first. Within a zone a
//! slot always takes the least loaded members, so their loads never differ by more than one slot
//! per unit of weight; ties fall to a hash of slot and member, which spreads the partners of a
//! member over all others (its loss is then repaired by everybody at once).
//!
//! Replicas of a previous placement that still fit are kept first, and only the rest is dealt.

use std::collections::BTreeMap;

use super::{Member, MemberIndex, Placement, ReplicaSet};
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
        /// Members there are.
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

/// The set of every slot for these members, in the order of slots.
///
/// The members' order does not matter beyond the indexes in the result: ties are broken by member
/// id. `previous` keeps replicas where they are as far as balance allows.
pub fn plan(
    members: &[Member],
    copies: usize,
    previous: Option<&Placement>,
) -> Result<Vec<ReplicaSet>, PlanError> {
    if copies == 0 || copies > COPIES_MAX {
        return Err(PlanError::Copies(copies));
    }
    if members.len() > MEMBERS_MAX {
        return Err(PlanError::TooManyMembers(members.len()));
    }
    if members.len() < copies {
        return Err(PlanError::TooFewMembers {
            members: members.len(),
            copies,
        });
    }
    let mut dealer = Dealer::new(members, copies);
    Ok(Slot::all()
        .map(|slot| dealer.deal(slot, &kept_members(members, slot, previous)))
        .collect())
}

/// The members that held the slot and are still there, by today's index.
fn kept_members(members: &[Member], slot: Slot, previous: Option<&Placement>) -> Vec<usize> {
    let Some(previous) = previous else {
        return Vec::new();
    };
    let held = previous.slot(slot).current().members().iter();
    held.filter_map(|&index| {
        let id = previous.member(index).id;
        members.iter().position(|member| member.id == id)
    })
    .collect()
}

/// Deals the replicas of one slot after another and remembers everybody's load.
struct Dealer<'a> {
    members: &'a [Member],
    copies: usize,
    /// Member indexes by zone; a zone's order never matters.
    zones: BTreeMap<&'a str, Vec<usize>>,
    /// Slots dealt to each member so far.
    loads: Vec<u64>,
    /// The most slots each member may end with while earlier replicas are kept.
    quotas: Vec<u64>,
}

impl<'a> Dealer<'a> {
    fn new(members: &'a [Member], copies: usize) -> Self {
        let mut zones: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, member) in members.iter().enumerate() {
            zones.entry(&member.zone).or_default().push(index);
        }
        let mut dealer = Self {
            members,
            copies,
            zones,
            loads: vec![0; members.len()],
            quotas: Vec::new(),
        };
        // What a deal from nothing gives each member is what keeping may fill it up to.
        for slot in Slot::all() {
            dealer.deal(slot, &[]);
        }
        dealer.quotas = std::mem::replace(&mut dealer.loads, vec![0; members.len()]);
        dealer
    }

    fn deal(&mut self, slot: Slot, kept: &[usize]) -> ReplicaSet {
        let shares = self.zone_shares(slot, kept);
        let mut chosen: Vec<usize> = Vec::with_capacity(self.copies);
        for (zone, share) in shares {
            let mut candidates = self.zones[zone].clone();
            candidates.sort_by(|&a, &b| self.preference(slot, kept, a, b));
            for &member in candidates.iter().take(share) {
                self.loads[member] += 1;
                chosen.push(member);
            }
        }
        debug_assert_eq!(
            chosen.len(),
            self.copies,
            "zone shares add up to the copies"
        );
        ReplicaSet::new(
            chosen
                .into_iter()
                .map(|member| MemberIndex(u16::try_from(member).expect("members are counted"))),
        )
    }

    /// Kept members with room first, then by load for weight, then by hash.
    fn preference(&self, slot: Slot, kept: &[usize], a: usize, b: usize) -> std::cmp::Ordering {
        let stays = |member: usize| {
            kept.contains(&member)
                && self
                    .quotas
                    .get(member)
                    .is_some_and(|&quota| self.loads[member] < quota)
        };
        stays(b)
            .cmp(&stays(a))
            // load/weight compared without division: a.load * b.weight ? b.load * a.weight
            .then_with(|| {
                let left = self.loads[a] * u64::from(self.members[b].weight);
                left.cmp(&(self.loads[b] * u64::from(self.members[a].weight)))
            })
            .then_with(|| self.tie(slot, a).cmp(&self.tie(slot, b)))
    }

    fn tie(&self, slot: Slot, member: usize) -> (u64, super::MemberId) {
        let id = self.members[member].id;
        (
            xxhash_rust::xxh3::xxh3_64_with_seed(id.0.as_bytes(), u64::from(slot.number())),
            id,
        )
    }

    /// How many replicas of the slot each zone takes: as even as zone sizes allow, so all
    /// different when there are enough zones. The zones that take one more are the least loaded
    /// for their weight.
    fn zone_shares(&self, slot: Slot, kept: &[usize]) -> Vec<(&'a str, usize)> {
        let mut shares: BTreeMap<&'a str, usize> =
            self.zones.keys().map(|&zone| (zone, 0)).collect();
        for _ in 0..self.copies {
            let open = self
                .zones
                .iter()
                .filter(|(zone, members)| shares[*zone] < members.len());
            let chosen = open
                .min_by(|(a, a_members), (b, b_members)| {
                    let stays = |zone: &str, members: &[usize]| {
                        let here = kept.iter().filter(|member| members.contains(member));
                        here.filter(|&&m| self.quotas.get(m).is_some_and(|&q| self.loads[m] < q))
                            .count()
                            > shares[zone]
                    };
                    shares[**a]
                        .cmp(&shares[**b])
                        .then_with(|| stays(b, b_members).cmp(&stays(a, a_members)))
                        .then_with(|| self.zone_load(a_members, b_members))
                        .then_with(|| zone_tie(slot, a).cmp(&zone_tie(slot, b)))
                })
                .expect("there are at least as many members as copies");
            *shares.get_mut(chosen.0).expect("shares has every zone") += 1;
        }
        shares.into_iter().filter(|&(_, share)| share > 0).collect()
    }

    /// Compares two zones by load for weight.
    fn zone_load(&self, a: &[usize], b: &[usize]) -> std::cmp::Ordering {
        let load = |zone: &[usize]| zone.iter().map(|&m| self.loads[m]).sum::<u64>();
        let weight = |zone: &[usize]| {
            zone.iter()
                .map(|&m| u64::from(self.members[m].weight))
                .sum::<u64>()
        };
        (load(a) * weight(b)).cmp(&(load(b) * weight(a)))
    }
}

fn zone_tie(slot: Slot, zone: &str) -> (u64, &str) {
    (
        xxhash_rust::xxh3::xxh3_64_with_seed(zone.as_bytes(), u64::from(slot.number())),
        zone,
    )
}

const _: () = assert!(SLOTS < u32::MAX as usize, "loads times weights fit 64 bits");

#[cfg(test)]
mod tests;
