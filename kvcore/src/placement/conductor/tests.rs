//! The conductor against members that do what they are told, or not.

use proptest::prelude::*;
use uuid::Uuid;

use super::{
    super::{AuthorId, ClusterId, Holders, MoveStage, planner::plan},
    *,
};
use crate::limits::SLOTS;

fn member(number: u128) -> Member {
    Member {
        id: MemberId(Uuid::from_u128(number)),
        address: format!("host-{number}:7400"),
        zone: String::new(),
        weight: 1,
    }
}

fn members(numbers: impl IntoIterator<Item = u128>) -> Vec<Member> {
    numbers.into_iter().map(member).collect()
}

fn id(number: u128) -> MemberId {
    MemberId(Uuid::from_u128(number))
}

/// An author and its members, who are here unless said otherwise and do at once what they can.
struct Cluster {
    conductor: Conductor,
    placement: Placement,
    wanted: Wanted,
    limits: Limits,
    sightings: Sightings,
    /// Copies of each slot, as far as members have pulled them.
    replicas_copied: usize,
    most_open: usize,
}

impl Cluster {
    fn new(count: u128, copies: u8) -> Self {
        let all = members(1..=count);
        let sets = plan(&all, usize::from(copies), None).expect("enough members");
        let quorums = Quorums::default();
        let placement = Placement::new(Parts {
            cluster: ClusterId(Uuid::from_u128(1)),
            epoch: Epoch(1),
            author: AuthorId(Uuid::from_u128(2)),
            address_revision: 0,
            copies,
            quorums,
            members: all.clone(),
            slots: SlotPlacement::all_stable(sets, Epoch(1), quorums),
        });
        let mut cluster = Self {
            conductor: Conductor::default(),
            placement: placement.expect("valid"),
            wanted: Wanted {
                members: all.clone(),
                drained: BTreeSet::new(),
                copies,
                quorums,
            },
            limits: Limits::default(),
            sightings: Sightings::new(),
            replicas_copied: 0,
            most_open: 0,
        };
        for member in all {
            cluster.arrive(member.id);
        }
        cluster
    }

    fn arrive(&mut self, member: MemberId) {
        let seen = self.sightings.entry(member).or_default();
        seen.away_ms = 0;
        seen.report = Some(Report {
            is_caught_up: true,
            ..Report::default()
        });
        self.report();
    }

    fn want(&mut self, number: u128) {
        self.wanted.members.push(member(number));
        self.arrive(id(number));
    }

    fn away(&mut self, number: u128, ms: u64) {
        self.sightings.get_mut(&id(number)).expect("known").away_ms = ms;
    }

    fn decide(&mut self) -> Decision {
        self.conductor
            .decide(&self.placement, &self.wanted, &self.sightings, &self.limits)
    }

    /// Everyone who is here takes the placement, and does what its stages ask of it.
    fn report(&mut self) {
        let placement = self.placement.clone();
        let here: BTreeSet<_> = self
            .sightings
            .iter()
            .filter(|(_, seen)| seen.is_here())
            .map(|(&member, _)| member)
            .collect();
        for (member, seen) in &mut self.sightings {
            let Some(report) = seen.report.as_mut().filter(|_| here.contains(member)) else {
                continue;
            };
            report.epoch = placement.epoch();
            report.digest = Some(placement.digest());
            report.sessions = sessions(&placement, *member, &here);
        }
    }

    /// One step; false when there is none.
    fn step(&mut self) -> bool {
        let decision = self.decide();
        let Some(next) = decision.next else {
            return false;
        };
        self.check(&next);
        self.placement = next;
        self.report();
        true
    }

    fn settle(&mut self) -> Vec<Waiting> {
        for _ in 0..20_000 {
            if !self.step() {
                return self.decide().waits;
            }
        }
        panic!("it does not come to an end: {:?}", self.decide().waits);
    }

    /// What must hold of every step.
    fn check(&mut self, next: &Placement) {
        let mut load = BTreeMap::<MemberId, usize>::new();
        // A member that comes back may find more moves than begin.
        let mut begun = BTreeSet::new();
        for slot in Slot::all() {
            let (before, after) = (self.placement.slot(slot), next.slot(slot));
            let ids = |placement: &Placement, holders: &Holders| {
                let ids = holders.members().iter().map(|&m| placement.member(m).id);
                ids.collect::<BTreeSet<_>>()
            };
            let was = ids(&self.placement, before.current());
            let had_next = before.next().map(|next| ids(&self.placement, next));
            let is = ids(next, after.current());
            match (before.stage(), after.stage()) {
                (None, None | Some(MoveStage::Copying))
                | (
                    Some(MoveStage::Copying),
                    None | Some(MoveStage::Copying | MoveStage::Switching),
                )
                | (Some(MoveStage::Switching), Some(MoveStage::Switching | MoveStage::Leaving))
                | (Some(MoveStage::Leaving), Some(MoveStage::Leaving)) => assert_eq!(was, is),
                (Some(MoveStage::Switching | MoveStage::Leaving), None) => {
                    assert_eq!(had_next, Some(is.clone()));
                }
                other => panic!("slot {slot} went {other:?}"),
            }
            let is_as_before = had_next == after.next().map(|going| ids(next, going))
                && before.stage() == after.stage();
            let since = if is_as_before {
                before.since()
            } else {
                next.epoch()
            };
            assert_eq!(after.since(), since, "slot {slot}");
            if before.stage() == Some(MoveStage::Copying)
                && after.stage().is_some_and(|s| s > MoveStage::Copying)
            {
                self.replicas_copied += usize::from(after.joiner().is_some());
            }
            let Some(going) = after
                .next()
                .filter(|going| going.set != after.current().set)
            else {
                continue;
            };
            let parties = is.union(&ids(next, going)).copied().collect::<Vec<_>>();
            for party in parties {
                if self.sightings.get(&party).is_some_and(Sighting::is_here) {
                    *load.entry(party).or_default() += 1;
                    begun.extend(before.open().is_none().then_some(party));
                }
            }
        }
        load.retain(|party, _| begun.contains(party));
        let most = load.values().copied().max().unwrap_or(0);
        assert!(
            most <= self.limits.moves_per_member,
            "{most} moves of one member"
        );
        self.most_open = self.most_open.max(most);
    }

    /// How many slots each member holds.
    fn slots_held(&self) -> BTreeMap<MemberId, usize> {
        let mut held = BTreeMap::new();
        for slot in Slot::all() {
            let placed = self.placement.slot(slot);
            assert_eq!(placed.open(), None, "slot {slot} still moves");
            for &member in placed.current().members() {
                *held.entry(self.placement.member(member).id).or_default() += 1;
            }
        }
        held
    }
}

/// What a member that does everything at once says of the slots that move.
fn sessions(
    placement: &Placement,
    member: MemberId,
    here: &BTreeSet<MemberId>,
) -> BTreeMap<Slot, Session> {
    let Some(me) = placement.index_of(member) else {
        return BTreeMap::new();
    };
    let of = |slot: Slot| {
        let placed = placement.slot(slot);
        let stage = placed.stage().filter(|_| placed.names(me))?;
        let sources = placed.current().members().iter();
        let sources = sources.map(|&source| placement.member(source).id);
        let session = Session {
            epoch: placed.since(),
            pulled: sources.filter(|source| here.contains(source)).collect(),
            handed_over: stage == MoveStage::Leaving,
        };
        Some((slot, session))
    };
    Slot::all().filter_map(of).collect()
}

#[test]
fn what_is_as_wanted_stays() {
    let mut cluster = Cluster::new(3, 3);
    assert!(cluster.decide().is_nothing());
}

#[test]
fn a_fourth_member_gets_its_share_and_no_replica_more_moves() {
    let mut cluster = Cluster::new(3, 3);
    cluster.want(4);
    assert_eq!(cluster.settle(), Vec::new());
    let held = cluster.slots_held();
    assert!(held.values().all(|&slots| slots == 768), "{held:?}");
    assert_eq!(cluster.replicas_copied, 768, "its share, and nothing else");
    assert_eq!(
        cluster.most_open, cluster.limits.moves_per_member,
        "as many at once as may be"
    );
    assert!(cluster.decide().is_nothing());
}

#[test]
fn a_drained_member_gives_everything_away_and_leaves() {
    let mut cluster = Cluster::new(4, 3);
    cluster.wanted.drained.insert(id(2));
    assert_eq!(cluster.settle(), Vec::new());
    assert_eq!(cluster.slots_held().get(&id(2)), None);
    assert_eq!(
        cluster.replicas_copied, 768,
        "what it held, and nothing else"
    );
    assert!(
        cluster.placement.index_of(id(2)).is_some(),
        "it is still a member"
    );
    cluster.wanted.members.retain(|member| member.id != id(2));
    cluster.settle();
    assert_eq!(cluster.placement.index_of(id(2)), None);
    assert_eq!(cluster.placement.members().len(), 3);
}

#[test]
fn a_drain_that_is_taken_back_moves_what_had_not_moved_no_further() {
    let mut cluster = Cluster::new(4, 3);
    cluster.wanted.drained.insert(id(2));
    assert!(cluster.step(), "copies begin");
    cluster.wanted.drained.clear();
    assert!(cluster.step(), "they are given up");
    assert!(Slot::all().all(|slot| cluster.placement.slot(slot).open().is_none()));
    assert_eq!((cluster.settle(), cluster.replicas_copied), (Vec::new(), 0));
}

#[test]
fn too_few_members_are_a_reason_and_not_a_removal() {
    let mut cluster = Cluster::new(3, 3);
    cluster.wanted.drained = [id(1), id(2), id(3)].into();
    let decision = cluster.decide();
    assert_eq!(decision.next, None);
    let waits = decision.waits;
    assert!(matches!(waits[0].reason, Reason::NoPlan(_)), "{waits:?}");
    assert!(
        waits[0]
            .reason
            .to_string()
            .contains("3 copies need 3 members, there are 0")
    );
}

#[test]
fn a_member_that_is_away_is_waited_for_and_then_replaced() {
    let mut cluster = Cluster::new(5, 3);
    cluster.away(3, 1_000);
    let decision = cluster.decide();
    assert_eq!(decision.next, None);
    assert!(matches!(decision.waits[0].reason, Reason::Away { .. }));
    let held = cluster.slots_held()[&id(3)];
    cluster.away(3, cluster.limits.repair_after_ms);
    assert_eq!(cluster.settle(), Vec::new());
    assert_eq!(cluster.slots_held().get(&id(3)), None);
    assert_eq!(
        cluster.replicas_copied, held,
        "what it held, and nothing else"
    );
}

#[test]
fn silence_from_the_start_is_no_reason_to_replace_anyone() {
    let mut cluster = Cluster::new(4, 3);
    cluster.sightings.remove(&id(2));
    assert_eq!(cluster.settle(), Vec::new());
    assert_eq!(cluster.slots_held()[&id(2)], 768);
}

#[test]
fn switching_waits_for_acknowledgements_and_is_never_reverted() {
    let mut cluster = Cluster::new(4, 3);
    cluster.wanted.drained.insert(id(4));
    assert!(cluster.step(), "copying");
    assert!(cluster.step(), "switching");
    let moving = Slot::all()
        .find(|&slot| cluster.placement.slot(slot).stage() == Some(MoveStage::Switching));
    let moving = moving.expect("some slot switches");
    // Nobody has heard of it: reports are those of the epoch before.
    for seen in cluster.sightings.values_mut() {
        let report = seen.report.as_mut().expect("all are here");
        report.epoch = Epoch(report.epoch.0 - 1);
        report.digest = None;
    }
    cluster.wanted.drained.clear();
    let next = cluster.decide().next;
    let placed = |placement: &Placement| placement.slot(moving).clone();
    if let Some(next) = &next {
        assert_eq!(placed(next), placed(&cluster.placement), "it waits");
    }
    cluster.report();
    assert!(cluster.step());
    assert_eq!(
        cluster.placement.slot(moving).stage(),
        Some(MoveStage::Leaving)
    );
}

#[test]
fn another_authors_placement_stops_everything() {
    let mut cluster = Cluster::new(3, 3);
    cluster.want(4);
    let report = |cluster: &mut Cluster, epoch, digest| {
        let seen = cluster.sightings.get_mut(&id(1)).expect("known");
        let report = seen.report.as_mut().expect("here");
        (report.epoch, report.digest) = (epoch, digest);
    };
    report(&mut cluster, Epoch(9), None);
    let decision = cluster.decide();
    let newer = Reason::NewerPlacement {
        member: id(1),
        epoch: Epoch(9),
    };
    assert_eq!((decision.next, &decision.waits[0].reason), (None, &newer));
    report(&mut cluster, Epoch(1), Some(Digest(7)));
    let decision = cluster.decide();
    assert_eq!(decision.next, None);
    assert!(matches!(
        decision.waits[0].reason,
        Reason::OtherContent { .. }
    ));
}

/// Whether some slot has fewer than three copies without this member's.
fn is_short_without(placement: &Placement, member: MemberId) -> bool {
    let lost = placement.index_of(member);
    Slot::all().any(|slot| {
        let members = placement.slot(slot).read_set().members().iter();
        members.filter(|&&member| Some(member) != lost).count() < 3
    })
}

#[test]
fn copies_come_back_before_anything_is_drained_or_evened_out() {
    let mut cluster = Cluster::new(5, 3);
    cluster.want(6);
    assert!(cluster.step(), "balance begins");
    cluster.wanted.drained.insert(id(1));
    let seen = cluster.sightings.get_mut(&id(2)).expect("known");
    seen.is_destroyed = true;
    let mut is_short = true;
    while is_short {
        is_short = is_short_without(&cluster.placement, id(2));
        let before = cluster.placement.clone();
        if !is_short || !cluster.step() {
            break;
        }
        let still_short = is_short_without(&cluster.placement, id(2));
        for slot in Slot::all().filter(|_| still_short) {
            let (was, is) = (before.slot(slot), cluster.placement.slot(slot));
            if was.open().is_none() && is.open().is_some() {
                let leaver = is
                    .leaver()
                    .map(|member| cluster.placement.member(member).id);
                assert_eq!(leaver, Some(id(2)), "only what is lost is replaced");
            }
        }
    }
    assert!(!is_short, "{:?}", cluster.decide().waits);
    assert_eq!(cluster.settle(), Vec::new());
    let held = cluster.slots_held();
    assert_eq!((held.get(&id(1)), held.get(&id(2))), (None, None));
}

#[test]
fn copies_and_quorums_go_up_and_down() {
    let mut cluster = Cluster::new(5, 3);
    for (copies, read, write) in [
        (5, None, None),
        (3, None, None),
        (3, Some(1), Some(3)),
        (3, Some(3), Some(1)),
        (4, Some(2), Some(3)),
        (1, None, None),
        (2, Some(1), Some(2)),
        (5, Some(1), Some(5)),
        (3, Some(2), Some(2)),
    ] {
        cluster.wanted.copies = copies;
        cluster.wanted.quorums = Quorums { read, write };
        assert_eq!(cluster.settle(), Vec::new(), "{copies} {read:?} {write:?}");
        for slot in Slot::all() {
            let holders = cluster.placement.slot(slot).current();
            assert_eq!(holders.copies(), usize::from(copies));
            let asked = cluster.wanted.quorums;
            let copies = usize::from(copies);
            assert_eq!(holders.read_quorum(), asked.read_of(copies));
            assert_eq!(holders.write_quorum(), asked.write_of(copies));
        }
    }
}

#[test]
fn a_joiner_that_goes_away_is_given_up_and_writes_go_on() {
    let mut cluster = Cluster::new(4, 3);
    cluster.wanted.drained.insert(id(4));
    cluster.want(5);
    assert!(cluster.step());
    let open = |cluster: &Cluster| {
        Slot::all()
            .filter(|&slot| cluster.placement.slot(slot).open().is_some())
            .count()
    };
    assert!(open(&cluster) > 0);
    cluster.away(5, cluster.limits.joiner_away_ms);
    for seen in cluster.sightings.values_mut() {
        seen.report.as_mut().expect("seen").sessions.clear();
    }
    let next = cluster.decide().next.expect("they are given up");
    let joiner = next.index_of(id(5)).expect("still a member");
    assert!(Slot::all().all(|slot| next.slot(slot).joiner() != Some(joiner)));
}

#[test]
fn a_changed_address_is_no_new_epoch() {
    let mut cluster = Cluster::new(3, 3);
    cluster.wanted.members[1].address = "elsewhere:7400".to_owned();
    let next = cluster.decide().next.expect("it is told");
    assert_eq!((next.epoch(), next.parts().address_revision), (Epoch(1), 1));
    assert_eq!(next.members()[1].address, "elsewhere:7400");
}

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
