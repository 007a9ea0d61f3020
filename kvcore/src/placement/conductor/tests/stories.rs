//! Whatever happens, in any order: it ends.

use proptest::prelude::*;

use super::cluster::{Cluster, id};
use crate::limits::SLOTS;

/// Something that happens to a cluster.
#[derive(Debug, Clone)]
enum Happens {
    Join(u128),
    Leave(u128),
    Drain(u128),
    Undrain(u128),
    Away(u128, u64),
    Back(u128),
    Destroyed(u128),
    Copies(u8),
    Steps(u8),
}

fn happens() -> impl Strategy<Value = Happens> {
    let number = 1..8u128;
    prop_oneof![
        number.clone().prop_map(Happens::Join),
        number.clone().prop_map(Happens::Leave),
        number.clone().prop_map(Happens::Drain),
        number.clone().prop_map(Happens::Undrain),
        (number.clone(), 1..600_000u64).prop_map(|(number, ms)| Happens::Away(number, ms)),
        number.clone().prop_map(Happens::Back),
        number.prop_map(Happens::Destroyed),
        (1..6u8).prop_map(Happens::Copies),
        (1..30u8).prop_map(Happens::Steps),
        (1..30u8).prop_map(Happens::Steps),
    ]
}

fn befall(cluster: &mut Cluster, happens: &Happens) {
    match *happens {
        Happens::Join(number) => {
            let is_there = cluster.wanted.members.iter().any(|m| m.id == id(number));
            let is_gone = cluster
                .sightings
                .get(&id(number))
                .is_some_and(|seen| seen.is_destroyed);
            if !is_there && !is_gone {
                cluster.want(number);
            }
        }
        Happens::Leave(number) => cluster.wanted.members.retain(|m| m.id != id(number)),
        Happens::Drain(number) => {
            cluster.wanted.drained.insert(id(number));
        }
        Happens::Undrain(number) => {
            cluster.wanted.drained.remove(&id(number));
        }
        Happens::Away(number, ms) => {
            if let Some(seen) = cluster.sightings.get_mut(&id(number)) {
                seen.away_ms = ms;
            }
        }
        Happens::Back(number) => {
            if cluster
                .sightings
                .get(&id(number))
                .is_some_and(|seen| !seen.is_destroyed)
            {
                cluster.arrive(id(number));
            }
        }
        Happens::Destroyed(number) => {
            // One disk of all, so that no slot loses all its copies.
            let lost = cluster
                .sightings
                .values()
                .filter(|seen| seen.is_destroyed)
                .count();
            if let Some(seen) = cluster.sightings.get_mut(&id(number)).filter(|_| lost == 0) {
                seen.is_destroyed = true;
            }
        }
        Happens::Copies(copies) => cluster.wanted.copies = copies,
        Happens::Steps(steps) => {
            for _ in 0..steps {
                cluster.report();
                if !cluster.step() {
                    break;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens meanwhile: once everyone who is not destroyed is back, and there are members
    /// enough, everything ends as it is wanted; and asking again changes nothing.
    #[test]
    fn everything_ends_as_it_is_wanted(story in prop::collection::vec(happens(), 1..12)) {
        let mut cluster = Cluster::new(5, 3);
        cluster.limits.moves_per_member = 64;
        for happens in &story {
            befall(&mut cluster, happens);
            cluster.report();
        }
        let lasting = cluster.sightings.iter().filter(|(_, seen)| !seen.is_destroyed);
        let all: Vec<_> = lasting.map(|(&member, _)| member).collect();
        for member in all {
            cluster.arrive(member);
        }
        for number in 11..16 {
            cluster.want(number);
        }
        let waits = cluster.settle();
        prop_assert_eq!(waits, Vec::new());
        let held = cluster.slots_held();
        let replicas: usize = held.values().sum();
        prop_assert_eq!(replicas, SLOTS * usize::from(cluster.wanted.copies));
        for member in held.keys() {
            let is_wanted = cluster.wanted.members.iter().any(|m| m.id == *member);
            prop_assert!(is_wanted && !cluster.wanted.drained.contains(member));
            prop_assert!(!cluster.sightings[member].is_destroyed);
        }
        prop_assert!(cluster.decide().is_nothing());
    }
}
