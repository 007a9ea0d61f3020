//! The fewest changes of who holds what, that meet the bounds: a cheapest flow from slots over zones
//! to members, in which a replica that stays costs nothing, one that moves costs two, and one whose copy is under way
//! one.
//!
//! Garage computes its layouts by flows as well (its book, "Layout algorithm").

use super::{
    Goal,
    flow::{Edge, Network, Node},
    loads::{Bounds, Loads, Zone},
    tie,
};
use crate::slot::Slot;

/// Who has a slot before a plan.
#[derive(Debug, Clone, Default)]
pub(super) struct Holds {
    /// Those who hold it.
    pub(super) has: Vec<usize>,
    /// Who copies it, and may still give that up.
    pub(super) copies: Option<usize>,
}

impl From<Vec<usize>> for Holds {
    fn from(has: Vec<usize>) -> Self {
        Self { has, copies: None }
    }
}

impl Holds {
    /// What it costs that this member will hold it: so much is to be copied.
    fn cost(&self, member: usize) -> i32 {
        if self.has.contains(&member) {
            0
        } else if self.copies == Some(member) {
            1
        } else {
            2
        }
    }
}

/// What a unit below a lower bound would save: more than all replicas there can be.
const NEEDED: i32 = -(1 << 20);

/// Who holds each slot then, given who `holds` it now.
pub(super) fn change(goal: &Goal<'_>, loads: &Loads, holds: &[Holds]) -> Vec<Vec<usize>> {
    let mut network = Network::default();
    let (source, sink) = (network.node(), network.node());
    let members: Vec<Node> = loads
        .members
        .iter()
        .map(|&bounds| {
            let node = network.node();
            bounded(&mut network, node, sink, bounds);
            node
        })
        .collect();
    let mut replicas: Vec<(usize, usize, Edge)> = Vec::new();
    for slot in Slot::all().take(goal.slots) {
        let node = network.node();
        let copies = u32::try_from(goal.copies).expect("copies are few");
        network.edge(source, node, copies, 0);
        for zone in &loads.zones {
            let zone_node = network.node();
            bounded(&mut network, node, zone_node, zone.share);
            for member in in_order(goal, slot, zone, &holds[slot.index()]) {
                let cost = holds[slot.index()].cost(member);
                let edge = network.edge(zone_node, members[member], 1, cost);
                replicas.push((slot.index(), member, edge));
            }
        }
    }
    let total = network.run(source, sink);
    debug_assert_eq!(total as usize, goal.slots * goal.copies, "a plan exists");
    let mut sets = vec![Vec::new(); goal.slots];
    for (slot, member, edge) in replicas {
        if network.flow(edge) > 0 {
            sets[slot].push(member);
        }
    }
    sets
}

/// An edge that takes at most `high`, and `low` before anything else is considered.
fn bounded(network: &mut Network, from: Node, to: Node, bounds: Bounds) {
    let spare = bounds.high - bounds.low;
    if spare > 0 {
        network.edge(from, to, spare, 0);
    }
    if bounds.low > 0 {
        network.edge(from, to, bounds.low, NEEDED);
    }
}

/// The zone's members, those to be tried first last, as the network wants it: who holds the slot, then by
/// hash, so that the partners of a member are spread.
fn in_order(goal: &Goal<'_>, slot: Slot, zone: &Zone, holds: &Holds) -> Vec<usize> {
    let mut members = zone.members.clone();
    members.sort_by_cached_key(|&member| {
        let cost = std::cmp::Reverse(holds.cost(member));
        (cost, tie(slot, &goal.members[member]))
    });
    members
}
