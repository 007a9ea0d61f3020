//! What passes are worth when damage is met between them.

use kvcore::placement::{
    AuthorId, ClusterId, Epoch, Member, Parts, Quorums, SlotPlacement, planner::plan,
};
use uuid::Uuid;

use super::*;

fn member(number: u128) -> MemberId {
    MemberId(Uuid::from_u128(number))
}

/// Three members, three copies.
fn placement() -> Placement {
    let placed = (1..=3).map(|number| Member {
        id: member(number),
        address: format!("host-{number}:7400"),
        zone: String::new(),
        weight: 1,
    });
    let members: Vec<_> = placed.collect();
    let sets = plan(&members, 3, None).expect("possible");
    Placement::new(Parts {
        cluster: ClusterId(Uuid::from_u128(7)),
        epoch: Epoch(1),
        author: AuthorId(Uuid::from_u128(8)),
        address_revision: 0,
        copies: 3,
        quorums: Quorums::default(),
        members,
        slots: SlotPlacement::all_stable(sets, Epoch(1), Quorums::default()),
    })
    .expect("valid")
}

fn slot() -> Slot {
    Slot::of(b"key")
}

fn whole_pass() -> Passed {
    let all: SlotSet = std::iter::once(slot()).collect();
    Passed {
        from_voter: all,
        from_silent: SlotSet::empty(),
        differed: SlotSet::empty(),
        left_out: None,
        newer: None,
    }
}

fn may_vote(tracker: &Tracker) -> Option<u32> {
    tracker.may_vote(&placement(), member(1), slot(), Standing::Damaged)
}

#[test]
fn a_slot_votes_after_passes_with_enough_voters() {
    let mine: SlotSet = std::iter::once(slot()).collect();
    let mut tracker = Tracker::default();
    tracker.observe(&placement(), &mine, &|_| 1);
    assert_eq!(may_vote(&tracker), None);
    tracker.passed(member(2), &whole_pass(), &|_| 1);
    assert_eq!(
        may_vote(&tracker),
        None,
        "with W = 2 of 3, both others are needed"
    );
    tracker.passed(member(3), &whole_pass(), &|_| 1);
    assert_eq!(may_vote(&tracker), Some(1));
}

#[test]
fn damage_met_later_undoes_what_was_synced_before() {
    let mine: SlotSet = std::iter::once(slot()).collect();
    let mut tracker = Tracker::default();
    tracker.observe(&placement(), &mine, &|_| 1);
    tracker.passed(member(2), &whole_pass(), &|_| 1);
    tracker.passed(member(3), &whole_pass(), &|_| 1);
    // A second record turns out to be damaged, after both passes had compared it as sound.
    tracker.observe(&placement(), &mine, &|_| 2);
    assert_eq!(may_vote(&tracker), None);
    // And one more while a pass runs: that pass compared before.
    tracker.passed(member(2), &whole_pass(), &|_| 3);
    tracker.passed(member(3), &whole_pass(), &|_| 2);
    assert_eq!(may_vote(&tracker), None);
}
