//! The conductor against members that do what they are told, or not.

mod cluster;
mod stories;

use super::{super::MoveStage, *};
use cluster::{Cluster, id};

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
