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
        slots: SlotPlacement::all_stable(sets, Epoch(1), Quorums::default()),
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

/// Replicas on members that did not hold them before.
fn moved(before: &Placement, members: &[Member], after: &[ReplicaSet]) -> usize {
    let of = |slot: Slot| {
        let old = before.slot(slot).current();
        let new = after[slot.index()].members().iter();
        new.filter(|&&index| {
            let before = before.index_of(members[index.get()].id);
            !before.is_some_and(|before| old.contains(before))
        })
        .count()
    };
    Slot::all().map(of).sum()
}

fn even(count: u128) -> Vec<Member> {
    (1..=count).map(|number| member(number, 0, 1)).collect()
}

fn first(members: &[Member], copies: usize) -> Placement {
    placement(
        members,
        copies,
        plan(members, copies, None).expect("possible"),
    )
}

/// Who joins takes its share, rounded down, and nobody else takes anything.
#[test]
fn a_joining_member_takes_its_share_and_nothing_else_moves() {
    for (count, share) in [(3, 768), (5, 512), (10, 279), (24, 122), (99, 30)] {
        let mut members = even(count);
        let before = first(&members, 3);
        members.push(member(1000, 0, 1));
        let after = plan(&members, 3, Some(&before)).expect("possible");
        assert_eq!(moved(&before, &members, &after), share, "{count} and one");
    }
}

/// What somebody held who is gone, or is to go, finds other homes, and nothing else moves.
#[test]
fn a_leaving_member_moves_what_it_held_and_nothing_else() {
    for count in [4, 5, 11, 25, 100] {
        let members = even(count);
        let before = first(&members, 3);
        let held = loads(&members, &plan(&members, 3, None).expect("possible"))[1] as usize;
        let mut left = members.clone();
        left.remove(1);
        let after = plan(&left, 3, Some(&before)).expect("possible");
        assert_eq!(moved(&before, &left, &after), held, "one of {count} gone");
        let drained = Goal {
            excluded: BTreeSet::from([members[1].id]),
            ..Goal::new(&members, 3)
        };
        let after = reach(&drained, Some(&before)).expect("possible");
        assert_eq!(
            moved(&before, &members, &after),
            held,
            "one of {count} drained"
        );
        assert_eq!(loads(&members, &after)[1], 0);
    }
}

/// More copies take as many new replicas as there are slots; fewer take none.
#[test]
fn other_numbers_of_copies_move_no_more_than_they_must() {
    let members = even(7);
    let before = first(&members, 3);
    let more = plan(&members, 4, Some(&before)).expect("possible");
    assert_eq!(moved(&before, &members, &more), SLOTS);
    let fewer = plan(&members, 2, Some(&before)).expect("possible");
    assert_eq!(moved(&before, &members, &fewer), 0);
}

/// After a change of one member the loss of another is still made good by all the others.
#[test]
fn partners_stay_spread_when_members_come_and_go() {
    let mut members = even(9);
    let before = first(&members, 3);
    members.remove(3);
    members.push(member(77, 0, 1));
    let sets = plan(&members, 3, Some(&before)).expect("possible");
    for (index, one) in members.iter().enumerate() {
        let index = MemberIndex(u16::try_from(index).expect("few"));
        let mut shared = vec![0_u32; members.len()];
        for set in sets.iter().filter(|set| set.contains(index)) {
            for partner in set.members() {
                shared[partner.get()] += 1;
            }
        }
        shared.remove(index.get());
        // Two partners of each of 342 slots, over eight others: 85 on the average.
        let (min, max) = (shared.iter().min(), shared.iter().max());
        assert!(
            min >= Some(&40) && max <= Some(&140),
            "{}: {shared:?}",
            one.id
        );
    }
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

/// What the exact search tries: every set of `copies` members for a slot that is spread as promised.
fn choices(goal: &Goal<'_>, loads: &loads::Loads) -> Vec<Vec<usize>> {
    let sets = (0_u32..1 << goal.members.len()).map(|bits| -> Vec<usize> {
        (0..goal.members.len())
            .filter(|index| bits & (1 << index) != 0)
            .collect()
    });
    let is_spread = |set: &Vec<usize>| {
        loads.zones.iter().all(|zone| {
            let here = set
                .iter()
                .filter(|member| zone.members.contains(member))
                .count();
            (zone.share.low..=zone.share.high).contains(&u32::try_from(here).expect("few"))
        })
    };
    sets.filter(|set| set.len() == goal.copies && is_spread(set))
        .collect()
}

/// The fewest changes there can be, by trying everything.
fn fewest_by_search(
    choices: &[Vec<usize>],
    loads: &loads::Loads,
    holds: &[Vec<usize>],
    taken: &mut Vec<u32>,
    best: usize,
) -> usize {
    let Some((held, rest)) = holds.split_first() else {
        let fits = taken.iter().zip(&loads.members);
        let fits = fits.fold(true, |fits, (taken, bounds)| {
            fits && (bounds.low..=bounds.high).contains(taken)
        });
        return if fits { 0 } else { usize::MAX };
    };
    let mut least = best;
    for set in choices {
        let changes = set.iter().filter(|member| !held.contains(member)).count();
        let fits = set
            .iter()
            .all(|&member| taken[member] < loads.members[member].high);
        if !fits || changes >= least {
            continue;
        }
        for &member in set {
            taken[member] += 1;
        }
        let more = fewest_by_search(choices, loads, rest, taken, least - changes);
        least = least.min(more.saturating_add(changes));
        for &member in set {
            taken[member] -= 1;
        }
    }
    least
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Against a search through all there is, for any members, zones, weights and whatever was held.
    #[test]
    fn no_plan_moves_less(
        zones in prop::collection::vec((0usize..3, 1u32..4), 2..6),
        copies in 1usize..4,
        held in prop::collection::vec(prop::collection::btree_set(0usize..6, 0..4), 5),
        drained in prop::option::weighted(0.3, 0usize..6),
    ) {
        let members: Vec<_> = zones.iter().enumerate()
            .map(|(number, &(zone, weight))| member(number as u128 + 1, zone, weight)).collect();
        let excluded = drained.and_then(|index| members.get(index)).map(|member| member.id);
        let goal = Goal {
            excluded: excluded.into_iter().collect(),
            slots: held.len(),
            ..Goal::new(&members, copies)
        };
        prop_assume!(goal.check().is_ok());
        let holds: Vec<Vec<usize>> = held.into_iter()
            .map(|set| set.into_iter().filter(|&index| index < members.len()).collect()).collect();
        let loads = loads::Loads::of(&goal);
        let sets = {
            let holds: Vec<_> = holds.iter().cloned().map(Holds::from).collect();
            fewest::change(&goal, &loads, &holds)
        };
        let choices = choices(&goal, &loads);
        let mut taken = vec![0; members.len()];
        for set in &sets {
            let mut set = set.clone();
            set.sort_unstable();
            prop_assert!(choices.contains(&set), "{:?} is not spread", set);
            for &member in &set {
                taken[member] += 1;
            }
        }
        for (taken, bounds) in taken.iter().zip(&loads.members) {
            prop_assert!((bounds.low..=bounds.high).contains(taken), "{:?} of {:?}", taken, bounds);
        }
        let changes: usize = sets.iter().zip(&holds)
            .map(|(set, held)| set.iter().filter(|member| !held.contains(member)).count()).sum();
        let mut taken = vec![0; members.len()];
        let least = fewest_by_search(&choices, &loads, &holds, &mut taken, usize::MAX);
        prop_assert_eq!(changes, least);
    }

    /// Any change of members: the promises hold, nothing moves twice, and planning again moves nothing.
    #[test]
    fn plans_that_follow_keep_the_promises(
        before in prop::collection::vec((0usize..5, 1u32..4), 3..20),
        after in prop::collection::vec((0usize..5, 1u32..4), 3..20),
        kept in 0usize..20, copies in 1usize..4, then in 1usize..4,
    ) {
        let old: Vec<_> = before.iter().enumerate()
            .map(|(number, &(zone, weight))| member(number as u128 + 1, zone, weight)).collect();
        let first = first(&old, copies.min(old.len()));
        let new: Vec<_> = old.iter().take(kept).cloned()
            .chain(after.iter().enumerate().map(|(number, &(zone, weight))| {
                member(number as u128 + 100, zone, weight)
            })).collect();
        let sets = plan(&new, then, Some(&first)).expect("enough members");
        let bounds = loads::Loads::of(&Goal::new(&new, then));
        for (load, bounds) in loads(&new, &sets).into_iter().zip(&bounds.members) {
            prop_assert!((bounds.low..=bounds.high).contains(&load), "{} of {:?}", load, bounds);
        }
        let zones: BTreeSet<_> = new.iter().map(|member| &member.zone).collect();
        for set in &sets {
            let used: BTreeSet<_> = set.members().iter().map(|m| &new[m.get()].zone).collect();
            prop_assert_eq!(set.members().len(), then);
            prop_assert_eq!(used.len(), then.min(zones.len()));
        }
        let next = placement(&new, then, sets.clone());
        prop_assert_eq!(&plan(&new, then, Some(&next)).expect("the same"), &sets);
        // Whatever the order in which members are named.
        let mut reversed = new.clone();
        reversed.reverse();
        let other = plan(&reversed, then, Some(&first)).expect("enough members");
        let ids = |set: &ReplicaSet, members: &[Member]| -> BTreeSet<MemberId> {
            set.members().iter().map(|m| members[m.get()].id).collect()
        };
        for (left, right) in sets.iter().zip(&other) {
            prop_assert_eq!(ids(left, &new), ids(right, &reversed));
        }
    }
}
