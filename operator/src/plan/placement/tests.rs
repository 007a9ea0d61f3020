//! When a placement is made, kept, rebuilt or given new addresses; and when none of it.

use kvcore::{
    placement::{AuthorId, ClusterId, Parts},
    slot::Slot,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    fixtures::{answer, blank, follows, member, observed, placement, recorded, settled, validated},
    observed::Heard,
    plan::plan,
};

/// What the plan does about the placement.
fn step(observed: &Observed) -> Step {
    plan(&validated(), observed).placement
}

fn waits_for(observed: &Observed) -> String {
    let plan = plan(&validated(), observed);
    assert!(matches!(plan.placement, Step::Keep), "{plan}");
    let operation = plan.operations.first().expect("it says what it waits for");
    operation.message.clone()
}

fn stalls(observed: &Observed) -> &'static str {
    let plan = plan(&validated(), observed);
    assert!(matches!(plan.placement, Step::Keep), "{plan}");
    plan.stalled.expect("it needs a person").reason
}

/// The same placement with other parts.
fn changed(placement: &Placement, change: impl FnOnce(&mut Parts)) -> Placement {
    let mut parts = placement.parts().clone();
    change(&mut parts);
    Placement::new(parts).expect("it is valid")
}

#[test]
fn three_blank_servers_get_the_first_placement_and_always_the_same() {
    let all_blank = observed(|ordinal| answer(blank(ordinal)));
    let Step::Record {
        placement,
        expect,
        why,
    } = step(&all_blank)
    else {
        panic!("nothing is recorded");
    };
    assert_eq!((expect, why), (Expect::Absent, Why::First));
    assert_eq!(placement.cluster(), ClusterId(validated().uid));
    assert_eq!((placement.copies(), placement.members().len()), (3, 3));
    assert_eq!(placement.members()[1].zone, "z1");
    assert!(
        placement.members()[1]
            .address
            .starts_with("10.1.0.1:7400,carts-server-1.")
    );
    assert_eq!(
        step(&all_blank).in_force(&Recorded::Absent),
        Some(&placement)
    );
}

#[test]
fn the_first_placement_waits_for_every_single_server() {
    let silent = Heard::Silent("connection refused".to_owned());
    let one_silent = observed(|ordinal| match ordinal {
        1 => silent.clone(),
        _ => answer(blank(ordinal)),
    });
    assert!(
        waits_for(&one_silent).contains("carts-server-1: it does not answer: connection refused")
    );
    let mut one_gone = observed(|ordinal| answer(blank(ordinal)));
    one_gone.servers.remove(&2);
    assert!(waits_for(&one_gone).contains("carts-server-2: there is no pod yet"));
    let mut one_leaves = observed(|ordinal| answer(blank(ordinal)));
    one_leaves.servers.get_mut(&0).expect("there").pod.leaving = true;
    assert!(waits_for(&one_leaves).contains("carts-server-0: it has no address yet"));
}

#[test]
fn the_first_placement_waits_for_servers_and_volumes_beyond_those_asked_for() {
    let blank_but_more = || observed(|ordinal| answer(blank(ordinal)));
    let mut silent = blank_but_more();
    let more = crate::fixtures::pod(4, Heard::Silent("gone".to_owned()));
    silent.servers.insert(4, more);
    assert!(waits_for(&silent).contains("carts-server-4: it may have data"));
    let mut left = blank_but_more();
    let claim = k8s_openapi::api::core::v1::PersistentVolumeClaim::default();
    left.objects
        .claims
        .insert("data-carts-server-3".to_owned(), claim);
    assert!(waits_for(&left).contains("claim data-carts-server-3 may have data"));
}

#[test]
fn two_pods_on_one_disk_are_no_two_members() {
    let twins = observed(|_| answer(blank(0)));
    assert!(waits_for(&twins).contains("the same member"));
}

#[test]
fn one_server_with_data_means_that_no_first_placement_is_made() {
    let held = placement();
    let one_has_data = observed(|ordinal| match ordinal {
        0 => answer(follows(0, &held)),
        _ => answer(blank(ordinal)),
    });
    let one_has_data = Observed {
        held: vec![held],
        ..one_has_data
    };
    // Two of three disks are empty: a read quorum of no slot was heard.
    assert!(waits_for(&one_has_data).contains("a read quorum"));
}

#[test]
fn a_lost_record_is_rebuilt_from_a_read_quorum_under_a_number_nobody_used() {
    let held = placement();
    let two_heard = observed(|ordinal| match ordinal {
        2 => Heard::Silent("power is off".to_owned()),
        _ => answer(follows(ordinal, &held)),
    });
    let two_heard = Observed {
        held: vec![held.clone()],
        ..two_heard
    };
    let Step::Record {
        placement,
        expect,
        why,
    } = step(&two_heard)
    else {
        panic!("nothing is recorded");
    };
    assert_eq!((expect, why), (Expect::Absent, Why::Rebuilt));
    assert_eq!(placement.epoch(), Epoch(rebuild::EPOCHS_APART));
    for slot in Slot::all() {
        // Who asks by anything older is refused, of whichever slot.
        assert_eq!(
            *placement.slot(slot),
            held.slot(slot).again(placement.epoch())
        );
    }
    assert_eq!(placement.parts().author, held.parts().author);
    let again = changed(&placement, |parts| {
        parts.epoch = Epoch(rebuild::EPOCHS_APART + 7);
    });
    let lost_again = observed(|ordinal| answer(follows(ordinal, &again)));
    let lost_again = Observed {
        held: vec![again],
        ..lost_again
    };
    let step = step(&lost_again);
    let next = step.in_force(&Recorded::Absent).expect("rebuilt");
    assert_eq!(next.epoch(), Epoch(2 * rebuild::EPOCHS_APART));
}

#[test]
fn a_record_older_than_what_servers_follow_counts_as_lost() {
    let old = placement();
    let newer = changed(&old, |parts| parts.epoch = Epoch(9));
    let mut observed = observed(|ordinal| answer(follows(ordinal, &newer)));
    observed.recorded = recorded(old);
    assert!(
        waits_for(&observed).contains("asked for theirs"),
        "not fetched yet"
    );
    observed.held = vec![newer];
    let Step::Record { expect, why, .. } = step(&observed) else {
        panic!("nothing is recorded");
    };
    assert_eq!(
        (expect, why),
        (Expect::Version("41".to_owned()), Why::Rebuilt)
    );
}

#[test]
fn placements_that_do_not_belong_together_need_a_person() {
    let one = placement();
    for other in [
        changed(&one, |parts| parts.cluster = ClusterId(Uuid::from_u128(9))),
        changed(&one, |parts| parts.author = AuthorId(Uuid::from_u128(9))),
        changed(&one, |parts| parts.members[0].weight = 2),
    ] {
        let seen = observed(|ordinal| match ordinal {
            0 => answer(follows(0, &other)),
            _ => answer(follows(ordinal, &one)),
        });
        let seen = Observed {
            held: vec![one.clone(), other],
            ..seen
        };
        assert_eq!(stalls(&seen), "TwoPlacements");
    }
}

#[test]
fn a_settled_cluster_is_left_alone() {
    let plan = plan(&validated(), &settled());
    assert!(matches!(plan.placement, Step::Keep), "{plan}");
    assert!(plan.announce.is_empty(), "{plan}");
    assert!(plan.operations.is_empty(), "{plan}");
    assert_eq!(plan.stalled, None);
}

#[test]
fn a_new_address_of_the_same_member_is_a_new_revision_of_the_same_epoch() {
    let mut observed = settled();
    let pod = observed.servers.get_mut(&1).expect("there");
    pod.pod.ip = Some("10.1.9.9".to_owned());
    let Step::Record {
        placement,
        expect,
        why,
    } = step(&observed)
    else {
        panic!("nothing is recorded");
    };
    assert_eq!(
        (expect, why),
        (Expect::Version("41".to_owned()), Why::Addresses)
    );
    let before = fixture_digest(&observed);
    assert_eq!((placement.epoch(), placement.digest()), before);
    assert_eq!(placement.parts().address_revision, 1);
    let all = plan(&validated(), &observed).announce;
    assert_eq!(all.len(), 3, "every server is told");
}

fn fixture_digest(observed: &Observed) -> (Epoch, kvcore::placement::Digest) {
    let placement = observed.recorded.placement().expect("known");
    (placement.epoch(), placement.digest())
}

#[test]
fn another_member_under_an_old_pod_s_name_gets_no_address() {
    let mut observed = settled();
    let pod = observed.servers.get_mut(&1).expect("there");
    pod.pod.ip = Some("10.1.9.9".to_owned());
    pod.heard = answer(blank(7));
    let plan = plan(&validated(), &observed);
    assert!(matches!(plan.placement, Step::Keep), "{plan}");
    assert!(
        plan.announce.is_empty(),
        "a blank server is told nothing: {plan}"
    );
    assert!(plan.operations[0].message.contains("new member"));
}

#[test]
fn a_record_that_cannot_be_read_is_never_written_over() {
    let mut observed = settled();
    observed.recorded = Recorded::Unreadable {
        why: "no JSON".to_owned(),
        resource_version: "3".to_owned(),
    };
    assert_eq!(stalls(&observed), "PlacementUnreadable");
    let mut blank_servers = crate::fixtures::observed(|ordinal| answer(blank(ordinal)));
    blank_servers.recorded = observed.recorded;
    assert_eq!(stalls(&blank_servers), "PlacementUnreadable");
}

#[test]
fn a_recorded_cluster_whose_disks_are_all_empty_needs_a_person() {
    let mut all_new = observed(|ordinal| answer(blank(ordinal + 10)));
    all_new.recorded = recorded(placement());
    assert_eq!(stalls(&all_new), "DataGone");
}

#[test]
fn servers_of_the_record_that_do_not_know_it_yet_are_told() {
    let placement = placement();
    let mut told = observed(|ordinal| answer(blank(ordinal)));
    told.recorded = recorded(placement.clone());
    let plan = plan(&validated(), &told);
    assert!(matches!(plan.placement, Step::Keep), "made once: {plan}");
    assert_eq!(plan.announce.len(), 3);
    assert_eq!(plan.announce[0].process, member(0).0);
}

#[test]
fn the_same_epoch_with_another_content_needs_a_person() {
    let mut observed = settled();
    let other = changed(&placement(), |parts| parts.members[0].weight = 3);
    observed.servers.get_mut(&2).expect("there").heard = answer(follows(2, &other));
    assert_eq!(stalls(&observed), "TwoAuthors");
}

/// What a server may say, whatever happened.
#[derive(Debug, Clone, Copy)]
enum Says {
    Nothing,
    Silence,
    Blank,
    Follows(u64),
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        Just(Says::Nothing),
        Just(Says::Silence),
        Just(Says::Blank),
        (1..4_u64).prop_map(Says::Follows),
    ]
}

proptest! {
    /// No placement is made over data, and none that is written goes back.
    #[test]
    fn nothing_is_made_over_data(
        said in prop::collection::vec(says(), 3),
        record in prop::option::of(1..4_u64),
    ) {
        let first = placement();
        let at = |epoch: u64| changed(&first, |parts| parts.epoch = Epoch(epoch));
        let mut seen = observed(|ordinal| {
            match said[usize::try_from(ordinal).expect("small")] {
                Says::Nothing => Heard::NotYet,
                Says::Silence => Heard::Silent("gone".to_owned()),
                Says::Blank => answer(blank(ordinal)),
                Says::Follows(epoch) => answer(follows(ordinal, &at(epoch))),
            }
        });
        let epochs: Vec<_> = said.iter().filter_map(|said| match said {
            Says::Follows(epoch) => Some(*epoch),
            _ => None,
        }).collect();
        seen.held = epochs.iter().map(|&epoch| at(epoch)).collect();
        if let Some(epoch) = record {
            seen.recorded = recorded(at(epoch));
        }
        if let Step::Record { placement, why, .. } = step(&seen) {
            let all_blank = said.iter().all(|said| matches!(said, Says::Blank));
            prop_assert_eq!(why == Why::First, all_blank && record.is_none());
            for known in epochs.into_iter().chain(record) {
                prop_assert!(placement.epoch() >= Epoch(known));
            }
        }
    }
}

/// A ConfigMap from a backup has an older revision than the servers: what it says is told under one
/// that they take.
#[test]
fn a_record_with_older_addresses_than_the_servers_have_gets_a_revision_above_theirs() {
    let mut observed = settled();
    for pod in observed.servers.values_mut() {
        if let Heard::Answer(status) = &mut pod.heard {
            status.address_revision = 7;
        }
    }
    let Step::Record { placement, why, .. } = step(&observed) else {
        panic!("nothing is recorded");
    };
    assert_eq!(why, Why::Addresses);
    assert_eq!(placement.parts().address_revision, 8);
    for pod in observed.servers.values_mut() {
        if let Heard::Answer(status) = &mut pod.heard {
            status.address_revision = u64::MAX;
        }
    }
    assert_eq!(stalls(&observed), "NoPlacement");
}
