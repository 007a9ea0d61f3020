//! What the planner promises, tried with random members.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::placement::{AuthorId, ClusterId, Epoch, MemberId, Parts, Quorums, SlotPlacement};

fn member(number: u128, zone: usize, weight: u32) -> Member {
    Member {
        id: MemberId(Uuid::from_u128(number)),
        address: format!("127.0.0.1:{number}"),
        zone: format!("zone-{zone}"),
        weight,
    }
}

fn loads(members: &[Member], sets: &[ReplicaSet]) -> Vec<u32> {
    let mut loads = vec![0; members.len()];
    for member in sets.iter().flat_map(ReplicaSet::members) {
        loads[member.get()] += 1;
    }
    loads
}

fn placement(members: &[Member], copies: usize, sets: Vec<ReplicaSet>) -> Placement {
    Placement::new(Parts {
        cluster: ClusterId(Uuid::from_u128(1)),
        epoch: Epoch(1),
        author: AuthorId(Uuid::from_u128(2)),
        address_revision: 0,
        copies: u8::try_from(copies).expect("small"),
        quorums: Quorums::default(),
        members: members.to_vec(),
        slots: sets
            .into_iter()
            .map(|current| SlotPlacement::Stable { current })
            .collect(),
    })
    .expect("a plan makes a placement")
}

#[test]
fn five_members_three_copies_are_even() {
    let members: Vec<_> = (1..=5).map(|number| member(number, 0, 1)).collect();
    let loads = loads(&members, &plan(&members, 3, None).expect("possible"));
    assert_eq!(loads.iter().sum::<u32>(), 3072);
    assert!(
        loads.iter().all(|&load| load == 614 || load == 615),
        "{loads:?}"
    );
}

#[test]
fn partners_are_spread() {
    // The loss of one member should be repaired by all others, not by a neighbour.
    let members: Vec<_> = (1..=6).map(|number| member(number, 0, 1)).collect();
    let sets = plan(&members, 2, None).expect("possible");
    let pairs: BTreeSet<_> = sets.iter().map(|set| set.members().to_vec()).collect();
    assert_eq!(
        pairs.len(),
        15,
        "every pair of six members shares some slot"
    );
}

#[test]
fn impossible_plans_say_why() {
    let members = [member(1, 0, 1), member(2, 0, 1)];
    let error = plan(&members, 3, None).unwrap_err();
    assert_eq!(
        error,
        PlanError::TooFewMembers {
            members: 2,
            copies: 3
        }
    );
    assert!(matches!(plan(&members, 0, None), Err(PlanError::Copies(0))));
    assert!(matches!(plan(&members, 8, None), Err(PlanError::Copies(8))));
}

#[test]
fn an_unchanged_cluster_moves_nothing() {
    let members: Vec<_> = (1..=7)
        .map(|number| member(number, number as usize % 3, 1))
        .collect();
    let sets = plan(&members, 3, None).expect("possible");
    let before = placement(&members, 3, sets.clone());
    assert_eq!(plan(&members, 3, Some(&before)).expect("possible"), sets);
}

#[test]
fn a_joining_member_takes_little_more_than_its_share() {
    let mut members: Vec<_> = (1..=4).map(|number| member(number, 0, 1)).collect();
    let before = placement(&members, 3, plan(&members, 3, None).expect("possible"));
    members.push(member(9, 0, 1));
    let after = plan(&members, 3, Some(&before)).expect("possible");
    let moved: usize = Slot::all()
        .map(|slot| {
            let old = before.slot(slot).current();
            after[slot.index()]
                .members()
                .iter()
                .filter(|&&m| !old.contains(m))
                .count()
        })
        .sum();
    assert!(
        moved < 2 * 615,
        "{moved} replicas moved where 615 are needed"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn plans_are_valid_spread_balanced_and_deterministic(
        zones in prop::collection::vec((0usize..4, 1u32..4), 1..9), copies in 1usize..5) {
        let members: Vec<_> = zones.iter().enumerate()
            .map(|(number, &(zone, _))| member(number as u128 + 1, zone, 1)).collect();
        prop_assume!(members.len() >= copies);
        let sets = plan(&members, copies, None).expect("enough members");
        let names: BTreeSet<_> = members.iter().map(|member| &member.zone).collect();
        for set in &sets {
            prop_assert_eq!(set.members().len(), copies);
            let used: BTreeSet<_> =
                set.members().iter().map(|m| &members[m.get()].zone).collect();
            prop_assert_eq!(used.len(), copies.min(names.len()));
        }
        // Within a zone nobody holds two slots more than another.
        let mut by_zone: BTreeMap<&String, Vec<u32>> = BTreeMap::new();
        for (member, load) in members.iter().zip(loads(&members, &sets)) {
            by_zone.entry(&member.zone).or_default().push(load);
        }
        for loads in by_zone.values() {
            let (min, max) = (loads.iter().min(), loads.iter().max());
            prop_assert!(max.unwrap() - min.unwrap() <= 1, "{:?}", loads);
        }
        // The order of members changes only the indexes.
        let mut reversed = members.clone();
        reversed.reverse();
        let other = plan(&reversed, copies, None).expect("enough members");
        for (left, right) in sets.iter().zip(&other) {
            let ids = |set: &ReplicaSet, members: &[Member]| {
                set.members().iter().map(|m| members[m.get()].id).collect::<BTreeSet<_>>()
            };
            prop_assert_eq!(ids(left, &members), ids(right, &reversed));
        }
    }

    #[test]
    fn weights_share_a_zone_in_proportion(weights in prop::collection::vec(1u32..5, 2..6)) {
        let members: Vec<_> = weights.iter().enumerate()
            .map(|(number, &weight)| member(number as u128 + 1, 0, weight)).collect();
        let loads = loads(&members, &plan(&members, 1, None).expect("possible"));
        let per_unit: Vec<f64> = loads.iter().zip(&weights)
            .map(|(&load, &weight)| f64::from(load) / f64::from(weight)).collect();
        let spread = per_unit.iter().copied().fold(f64::MIN, f64::max)
            - per_unit.iter().copied().fold(f64::MAX, f64::min);
        prop_assert!(spread <= 1.0, "{:?} of {:?}", loads, weights);
    }
}
