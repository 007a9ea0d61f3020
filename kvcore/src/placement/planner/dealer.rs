//! A first guess for members that hold nothing yet: one slot after another, the least loaded first.
//!
//! Zones first, members second. Every slot is given a number of replicas in each zone, then each
//! zone hands them to its own members, the least loaded for their weight first; ties fall to a
//! hash of slot and member, which spreads the partners of a member over all others: its loss is
//! then repaired by everybody at once. What the guess misses of balance [`super::fewest`] makes up
//! for, with the fewest changes.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{Goal, tie};
use crate::{placement::Member, slot::Slot};

/// Who is guessed to hold each slot, by index in the goal's members.
pub(super) fn deal(goal: &Goal<'_>) -> Vec<Vec<usize>> {
    let mut dealer = Dealer::new(goal);
    Slot::all()
        .take(goal.slots)
        .map(|slot| dealer.deal(slot))
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
}

impl<'a> Dealer<'a> {
    fn new(goal: &Goal<'a>) -> Self {
        Self {
            members: goal.members,
            copies: goal.copies,
            zones: goal.zones(),
            loads: vec![0; goal.members.len()],
        }
    }

    fn deal(&mut self, slot: Slot) -> Vec<usize> {
        let mut chosen = Vec::with_capacity(self.copies);
        for (zone, share) in self.zone_shares(slot) {
            let mut candidates = self.zones[zone].clone();
            candidates.sort_by(|&a, &b| self.preference(slot, a, b));
            for &member in candidates.iter().take(share) {
                self.loads[member] += 1;
                chosen.push(member);
            }
        }
        chosen
    }

    /// By load for weight, then by hash.
    fn preference(&self, slot: Slot, a: usize, b: usize) -> Ordering {
        // load/weight compared without division: a.load * b.weight ? b.load * a.weight
        let left = self.loads[a] * u64::from(self.members[b].weight);
        let right = self.loads[b] * u64::from(self.members[a].weight);
        let ties = || tie(slot, &self.members[a]).cmp(&tie(slot, &self.members[b]));
        left.cmp(&right).then_with(ties)
    }

    /// How many replicas of the slot each zone takes: as even as zone sizes allow, so all
    /// different when there are enough zones. The zones that take one more are the least loaded
    /// for their weight.
    fn zone_shares(&self, slot: Slot) -> Vec<(&'a str, usize)> {
        let mut shares: BTreeMap<&'a str, usize> =
            self.zones.keys().map(|&zone| (zone, 0)).collect();
        for _ in 0..self.copies {
            let open = self
                .zones
                .iter()
                .filter(|(zone, members)| shares[*zone] < members.len());
            let chosen = open
                .min_by(|(a, a_members), (b, b_members)| {
                    shares[**a]
                        .cmp(&shares[**b])
                        .then_with(|| self.zone_load(a_members, b_members))
                        .then_with(|| zone_tie(slot, a).cmp(&zone_tie(slot, b)))
                })
                .expect("there are at least as many members as copies");
            *shares.get_mut(chosen.0).expect("shares has every zone") += 1;
        }
        shares.into_iter().filter(|&(_, share)| share > 0).collect()
    }

    /// Compares two zones by load for weight.
    fn zone_load(&self, a: &[usize], b: &[usize]) -> Ordering {
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
    let seed = u64::from(slot.number());
    (
        xxhash_rust::xxh3::xxh3_64_with_seed(zone.as_bytes(), seed),
        zone,
    )
}
