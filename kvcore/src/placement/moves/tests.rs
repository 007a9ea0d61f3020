//! When a stage ends, and when it does not: each row of the rules, at its edge.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::placement::Quorums;

/// What is known, member by member.
#[derive(Default)]
struct Facts {
    acked: BTreeSet<u16>,
    pulled: BTreeMap<u16, Vec<u16>>,
    handed_to: BTreeMap<u16, Vec<u16>>,
    destroyed: BTreeSet<u16>,
    given_up: BTreeSet<u16>,
}

impl Evidence for Facts {
    fn has_acked(&self, member: MemberIndex) -> bool {
        self.acked.contains(&member.0)
    }
    fn pulled_from(&self, member: MemberIndex) -> ReplicaSet {
        set(self.pulled.get(&member.0).map_or(&[], Vec::as_slice))
    }
    fn handed_to(&self, member: MemberIndex) -> ReplicaSet {
        set(self.handed_to.get(&member.0).map_or(&[], Vec::as_slice))
    }
    fn is_destroyed(&self, member: MemberIndex) -> bool {
        self.destroyed.contains(&member.0)
    }
    fn is_given_up(&self, member: MemberIndex) -> bool {
        self.given_up.contains(&member.0)
    }
}

fn set(members: &[u16]) -> ReplicaSet {
    ReplicaSet::new(members.iter().copied().map(MemberIndex))
}

/// Members, R and W.
fn holders(members: &[u16], quorums: Option<(u8, u8)>) -> Holders {
    let quorums = quorums.map_or(Quorums::default(), |(read, write)| Quorums {
        read: Some(read),
        write: Some(write),
    });
    Holders::new(set(members), quorums)
}

fn moving(stage: MoveStage, current: Holders, next: Holders) -> SlotPlacement {
    SlotPlacement::moving(Epoch(5), stage, current, next)
}

fn decide(slot: &SlotPlacement, facts: &Facts) -> Result<Step, Awaited> {
    go_on(slot, slot.open().expect("a move"), facts)
}

fn pulls(pulled: &[(u16, &[u16])]) -> Facts {
    Facts {
        pulled: pulled
            .iter()
            .map(|&(who, from)| (who, from.to_vec()))
            .collect(),
        ..Facts::default()
    }
}

fn copying(current: Holders, next: Holders) -> SlotPlacement {
    moving(MoveStage::Copying, current, next)
}

/// Who pulled from whom, and whether that is enough.
type Pulls<'a> = (&'a [(u16, &'a [u16])], bool);

fn each_is_enough_or_not(slot: &SlotPlacement, cases: &[Pulls<'_>]) {
    for &(pulled, is_enough) in cases {
        let decided = decide(slot, &pulls(pulled));
        assert_eq!(
            decided == Ok(Step::Switch),
            is_enough,
            "{slot:?} {pulled:?}"
        );
    }
}

#[test]
fn a_joiner_pulls_from_enough_sources() {
    let replaced = copying(holders(&[0, 1, 2], None), holders(&[0, 1, 3], None));
    each_is_enough_or_not(
        &replaced,
        &[
            (&[(3, &[0, 2])], true),
            (&[(3, &[0])], false),
            (&[(3, &[0, 4])], false),
            (&[(0, &[0, 1]), (1, &[0, 1])], false),
            // A survivor more does no harm.
            (&[(3, &[0, 1]), (0, &[0, 1])], true),
        ],
    );
    let all_write = Some((1, 3));
    let all_write = copying(
        holders(&[0, 1, 2], all_write),
        holders(&[0, 1, 3], all_write),
    );
    each_is_enough_or_not(&all_write, &[(&[(3, &[0])], true)]);
    let one_writes = Some((3, 1));
    let one_writes = copying(
        holders(&[0, 1, 2], one_writes),
        holders(&[0, 1, 3], one_writes),
    );
    each_is_enough_or_not(
        &one_writes,
        &[(&[(3, &[0, 1])], false), (&[(3, &[0, 1, 2])], true)],
    );
}

#[test]
fn survivors_pull_where_too_few_of_them_have_each_write() {
    // Three of five have a write; if one of them leaves, two of four do, and three are needed.
    let current = holders(&[0, 1, 2, 3, 4], None);
    let fifth_goes = copying(current, holders(&[0, 1, 2, 3], None));
    each_is_enough_or_not(
        &fifth_goes,
        &[
            (&[], false),
            (&[(0, &[0, 1, 2]), (1, &[0, 1, 2])], false),
            (&[(0, &[0, 1, 2]), (1, &[0, 1, 2]), (2, &[0, 1, 2])], true),
            (&[(0, &[0, 1]), (1, &[0, 1]), (2, &[0, 1])], false),
        ],
    );
    // Three of four, less one, are two of three.
    let fourth_goes = copying(holders(&[0, 1, 2, 3], None), holders(&[0, 1, 2], None));
    each_is_enough_or_not(&fourth_goes, &[(&[], true)]);
}

#[test]
fn fewer_readers_need_more_that_have_each_write() {
    let with = |quorums| holders(&[0, 1, 2], Some(quorums));
    each_is_enough_or_not(
        &copying(with((2, 2)), with((1, 3))),
        &[
            (&[(0, &[0, 1]), (1, &[0, 1])], false),
            (&[(0, &[0, 1]), (1, &[0, 1]), (2, &[0, 2])], true),
        ],
    );
    each_is_enough_or_not(&copying(with((2, 2)), with((3, 1))), &[(&[], true)]);
}

#[test]
fn destroyed_sources_are_not_waited_for_and_give_nothing() {
    let slot = moving(
        MoveStage::Copying,
        holders(&[0, 1, 2], None),
        holders(&[0, 1, 3], None),
    );
    let mut facts = pulls(&[(3, &[0])]);
    facts.destroyed = [2].into();
    assert!(
        decide(&slot, &facts).is_err(),
        "what it lost may be on 1 alone now"
    );
    facts.destroyed = [1, 2].into();
    assert_eq!(
        decide(&slot, &facts),
        Ok(Step::Switch),
        "nobody else is left"
    );
    let nothing = Facts {
        pulled: [(3, Vec::new())].into(),
        destroyed: [0, 1, 2].into(),
        ..Facts::default()
    };
    assert!(
        decide(&slot, &nothing).is_err(),
        "a copy of nothing is none"
    );
    let mut gone = pulls(&[(3, &[0, 1])]);
    gone.destroyed = [3].into();
    assert!(decide(&slot, &gone).is_err(), "the joiner itself is gone");
}

#[test]
fn switching_ends_when_no_read_quorum_of_current_is_left() {
    for (quorums, needed) in [(None, 2), (Some((1, 3)), 3), (Some((3, 1)), 1)] {
        let current = holders(&[0, 1, 2], quorums);
        let slot = moving(MoveStage::Switching, current, holders(&[0, 1, 3], quorums));
        let acks = |acked: &[u16]| Facts {
            // Acknowledgements of the joiner do not count.
            acked: acked.iter().copied().chain([3]).collect(),
            ..Facts::default()
        };
        let few: Vec<u16> = (0..needed - 1).collect();
        assert!(decide(&slot, &acks(&few)).is_err(), "{quorums:?}");
        let enough: Vec<u16> = (0..needed).collect();
        assert_eq!(
            decide(&slot, &acks(&enough)),
            Ok(Step::Leave),
            "{quorums:?}"
        );
        let mut destroyed = acks(&few);
        destroyed.destroyed = [2].into();
        assert_eq!(decide(&slot, &destroyed), Ok(Step::Leave), "{quorums:?}");
        let mut away = acks(&few);
        away.given_up = [2].into();
        assert!(
            decide(&slot, &away).is_err(),
            "who is away may still answer reads"
        );
    }
    let added = moving(
        MoveStage::Switching,
        holders(&[0, 1], None),
        holders(&[0, 1, 2], None),
    );
    let acks = Facts {
        acked: [0].into(),
        ..Facts::default()
    };
    assert_eq!(decide(&added, &acks), Ok(Step::Settle), "nobody leaves");
}

#[test]
fn a_leaver_is_given_up_only_where_others_have_what_it_holds() {
    let leaving = |quorums| {
        let (current, next) = (holders(&[0, 1, 2], quorums), holders(&[0, 1, 3], quorums));
        moving(MoveStage::Leaving, current, next)
    };
    let given_up = Facts {
        given_up: [2].into(),
        ..Facts::default()
    };
    let waits = Err(Awaited::HandOver(MemberIndex(2)));
    for (quorums, may_be_given_up) in [
        (None, true),
        (Some((1, 3)), true),
        (Some((3, 1)), false),
        (Some((1, 1)), false),
        (Some((1, 2)), false),
    ] {
        let slot = leaving(quorums);
        assert_eq!(decide(&slot, &Facts::default()), waits);
        let expected = if may_be_given_up {
            Ok(Step::Settle)
        } else {
            waits.clone()
        };
        assert_eq!(decide(&slot, &given_up), expected, "{quorums:?}");
        let handed_to = |owners: &[u16]| Facts {
            handed_to: [(2, owners.to_vec())].into(),
            ..Facts::default()
        };
        assert_eq!(decide(&slot, &handed_to(&[0, 1, 3])), Ok(Step::Settle));
        let too_few = handed_to(&[3, 4][slot.last().write_quorum().min(2) - 1..]);
        assert_eq!(decide(&slot, &too_few), waits);
        let mut all_that_is_left = handed_to(&[0, 3]);
        all_that_is_left.destroyed = [1].into();
        assert_eq!(decide(&slot, &all_that_is_left), Ok(Step::Settle));
        let destroyed = Facts {
            destroyed: [2].into(),
            ..Facts::default()
        };
        assert_eq!(decide(&slot, &destroyed), Ok(Step::Settle));
    }
}

#[test]
fn steps_lead_from_stage_to_stage() {
    let (current, next) = (holders(&[0, 1, 2], None), holders(&[0, 1, 3], None));
    let mut slot = moving(MoveStage::Copying, current.clone(), next.clone());
    assert_eq!(
        slot.stepped(Step::Revert, Epoch(6)),
        SlotPlacement::stable(Epoch(6), current)
    );
    for (step, stage) in [
        (Step::Switch, Some(MoveStage::Switching)),
        (Step::Leave, Some(MoveStage::Leaving)),
        (Step::Settle, None),
    ] {
        slot = slot.stepped(step, Epoch(slot.since().0 + 1));
        assert_eq!(slot.stage(), stage);
    }
    assert_eq!(slot, SlotPlacement::stable(Epoch(8), next));
}

#[test]
#[should_panic(expected = "Revert does not follow from Switching")]
fn what_is_past_copying_is_not_reverted() {
    let slot = moving(
        MoveStage::Switching,
        holders(&[0, 1], None),
        holders(&[0, 2], None),
    );
    let _ = slot.stepped(Step::Revert, Epoch(6));
}
