//! Which placements and requests are taken.

use kvcore::placement::{AuthorId, Member, Parts, Quorums, SlotPlacement, planner::plan};
use kvcore::version::{HybridTime, WriterId};
use uuid::Uuid;

use super::*;

fn placement(epoch: u64, change: impl FnOnce(&mut Parts)) -> Placement {
    let members: Vec<_> = (1..=3)
        .map(|number| Member {
            id: MemberId(Uuid::from_u128(number)),
            address: format!("host-{number}:7400"),
            zone: String::new(),
            weight: 1,
        })
        .collect();
    let sets = plan(&members, 2, None).expect("possible");
    let mut parts = Parts {
        cluster: ClusterId(Uuid::from_u128(7)),
        epoch: Epoch(epoch),
        author: AuthorId(Uuid::from_u128(8)),
        address_revision: 0,
        copies: 2,
        quorums: Quorums::default(),
        members,
        slots: SlotPlacement::all_stable(sets, Epoch(epoch), Quorums::default()),
    };
    change(&mut parts);
    Placement::new(parts).expect("valid")
}

const NOW: UnixMillis = UnixMillis(1_000_000_000);

fn member() -> MemberId {
    MemberId(Uuid::from_u128(1))
}

#[test]
fn only_newer_placements_of_the_same_cluster_and_author_are_taken() {
    let authority = Authority::new(member(), Some(placement(5, |_| {})));
    let refused = |offer| match offer {
        Offer::Refuse(refusal) => refusal.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(authority.judge(&placement(6, |_| {})), Offer::Take);
    assert_eq!(authority.judge(&placement(5, |_| {})), Offer::Known);
    assert_eq!(
        authority.judge(&placement(5, |parts| parts.address_revision = 1)),
        Offer::Take
    );
    assert!(matches!(
        authority.judge(&placement(4, |_| {})),
        Offer::Refuse(Refusal::StaleEpoch(_))
    ));
    let other = authority.judge(&placement(5, |parts| parts.members[0].weight = 2));
    assert!(refused(other).contains("epoch 5 is known here with another content"));
    let other = placement(6, |parts| parts.cluster = ClusterId(Uuid::from_u128(1)));
    assert!(refused(authority.judge(&other)).contains("this member belongs to"));
    let other = placement(6, |parts| parts.author = AuthorId(Uuid::from_u128(1)));
    assert!(refused(authority.judge(&other)).contains("this member follows"));
}

#[test]
fn requests_need_the_epoch_in_force_a_held_slot_and_youth() {
    let in_force = placement(5, |_| {});
    let authority = Authority::new(member(), Some(in_force.clone()));
    let held = authority.slots().iter().next().expect("holds some");
    let foreign = Slot::all()
        .find(|&slot| !authority.slots().contains(slot))
        .expect("not all");
    let scope = |slot, epoch, began_at| Scope {
        slot,
        epoch: Epoch(epoch),
        began_at,
    };
    let admitted = Admitted::Slot(held, Epoch(5));
    assert_eq!(authority.admit(&scope(held, 5, NOW), NOW), Ok(admitted));
    assert_eq!(
        authority.admit(&scope(foreign, 5, NOW), NOW),
        Err(Refusal::NotHeld(foreign))
    );
    assert_eq!(
        authority.admit(&scope(held, 4, NOW), NOW),
        Err(Refusal::StaleEpoch(in_force))
    );
    let behind = Refusal::BehindEpoch { have: Epoch(5) };
    assert_eq!(authority.admit(&scope(held, 6, NOW), NOW), Err(behind));
    let late = NOW.plus(REQUEST_AGE_MS_MAX + 1);
    assert!(matches!(
        authority.admit(&scope(held, 5, NOW), late),
        Err(Refusal::TooOld { .. })
    ));
    let blank = Authority::new(member(), None);
    let behind = Refusal::BehindEpoch { have: Epoch(0) };
    assert_eq!(blank.admit(&scope(held, 5, NOW), NOW), Err(behind));
}

#[test]
fn a_request_is_refused_for_changes_of_its_own_slots_alone() {
    let authority = Authority::new(member(), Some(placement(5, |_| {})));
    let mut held = authority.slots().iter().collect::<Vec<_>>().into_iter();
    let (moved, other) = (held.next().expect("several"), held.next().expect("several"));
    let next = placement(7, |parts| {
        for slot in &mut parts.slots {
            *slot = slot.again(Epoch(5));
        }
        let placed = &mut parts.slots[moved.index()];
        *placed = placed.again(Epoch(6));
    });
    let mut authority = authority;
    let of = |slot, epoch| Scope {
        slot,
        epoch: Epoch(epoch),
        began_at: NOW,
    };
    let both = ScopedSlots {
        slots: [moved, other].into_iter().collect(),
        epoch: Epoch(5),
        began_at: NOW,
    };
    let before = authority.admit_slots(&both, NOW).expect("in force");
    let one = authority.admit(&of(other, 5), NOW).expect("in force");
    authority.put_in_force(next.clone());
    let stale = Err(Refusal::StaleEpoch(next));
    assert_eq!(authority.admit(&of(moved, 5), NOW), stale.clone());
    assert_eq!(authority.admit_slots(&both, NOW), stale.clone());
    assert_eq!(authority.admits_still(&before), stale.map(|_: Admitted| ()));
    assert_eq!(authority.admits_still(&one), Ok(()));
    assert!(authority.admit(&of(moved, 6), NOW).is_ok());
    assert!(authority.admit(&of(other, 5), NOW).is_ok());
    let behind = Refusal::BehindEpoch { have: Epoch(7) };
    assert_eq!(authority.admit(&of(other, 8), NOW), Err(behind));
}

#[test]
fn only_fresh_versions_are_held_against_the_clock() {
    let version = |ahead| Version::new(HybridTime::at(NOW.plus(ahead)), WriterId::from_random(4));
    let far = version(CLOCK_SKEW_MS_MAX + 1);
    assert!(matches!(
        admit_version(far, Intent::Fresh, NOW),
        Err(Refusal::TooFarAhead { .. })
    ));
    assert_eq!(
        admit_version(version(CLOCK_SKEW_MS_MAX), Intent::Fresh, NOW),
        Ok(())
    );
    assert_eq!(admit_version(far, Intent::Successor, NOW), Ok(()));
    assert_eq!(admit_version(far, Intent::Repair, NOW), Ok(()));
}
