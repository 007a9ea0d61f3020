//! Encodings of placements, and what is refused.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn members(count: u128) -> Vec<Member> {
    (1..=count)
        .map(|number| Member {
            id: MemberId(Uuid::from_u128(number)),
            address: format!("127.0.0.1:{}", 7400 + number),
            zone: format!("zone-{}", number % 3),
            weight: 1,
        })
        .collect()
}

fn parts() -> Parts {
    let members = members(5);
    let sets = planner::plan(&members, 3, None).expect("possible");
    let quorums = Quorums {
        read: Some(2),
        write: None,
    };
    Parts {
        cluster: ClusterId(Uuid::from_u128(77)),
        epoch: Epoch(3),
        author: AuthorId(Uuid::from_u128(78)),
        address_revision: 4,
        copies: 3,
        quorums,
        members,
        slots: SlotPlacement::all_stable(sets, Epoch(2), quorums),
    }
}

/// The first of these members gives way to one that is not among them, with quorums of its own.
fn moving(current: &Holders) -> SlotPlacement {
    let joiner = (0..9)
        .map(MemberIndex)
        .find(|&member| !current.contains(member));
    let stays = current.members().iter().skip(1).copied();
    let quorums = Quorums {
        read: Some(1),
        write: Some(3),
    };
    let next = Holders::new(ReplicaSet::new(stays.chain(joiner)), quorums);
    SlotPlacement::moving(Epoch(3), MoveStage::Switching, current.clone(), next)
}

#[test]
fn three_copies_of_all_slots_fit_sixteen_kibibytes() {
    let mut parts = parts();
    let bytes = Placement::new(parts.clone()).expect("valid").encode().len();
    assert!(bytes <= 16 * 1024, "{bytes} bytes");
    for slot in &mut parts.slots {
        *slot = moving(slot.current());
    }
    let placement = Placement::new(parts).expect("valid");
    let bytes = placement.encode().len();
    assert!(bytes <= 20 * 1024, "{bytes} bytes while all of them move");
    assert_eq!(
        Placement::decode(&placement.encode()).expect("just encoded"),
        placement
    );
    let json = serde_json::to_string(&placement).expect("serialises");
    assert_eq!(
        serde_json::from_str::<Placement>(&json).expect("just written"),
        placement
    );
}

#[test]
fn an_address_is_not_part_of_the_digest_but_a_zone_is() {
    let digest = |parts: &Parts| Placement::new(parts.clone()).expect("valid").digest();
    let mut changed = parts();
    changed.members[0].address = "10.0.0.1:7400,a-0.a:7400".to_owned();
    changed.address_revision += 1;
    assert_eq!(digest(&parts()), digest(&changed));
    changed.members[0].zone = "elsewhere".to_owned();
    assert_ne!(digest(&parts()), digest(&changed));
}

#[test]
fn broken_rules_are_named() {
    let refuse = |change: fn(&mut Parts)| {
        let mut parts = parts();
        change(&mut parts);
        Placement::new(parts).unwrap_err().to_string()
    };
    assert!(refuse(|parts| parts.epoch = Epoch(0)).contains("at least 1"));
    assert!(refuse(|parts| parts.slots.truncate(3)).contains("names 3"));
    assert!(refuse(|parts| parts.members.clear()).contains("has 0"));
    assert!(refuse(|parts| parts.copies = 8).contains("asks for 8"));
    assert!(refuse(|parts| parts.quorums.write = Some(4)).contains("this one is 4"));
    assert!(refuse(|parts| parts.members[1] = parts.members[0].clone()).contains("twice"));
    assert!(refuse(|parts| parts.members[1].zone = "z".repeat(64)).contains("zone"));
    for (address, wrong) in [
        ("", "is empty"),
        ("10.0.0.7:7400,", "is empty"),
        ("10.0.0.7:7400,a-0", "`a-0` is no `host:port`"),
        ("a:1,b:1,c:1", "it has 3 addresses, at most 2"),
    ] {
        let mut parts = parts();
        parts.members[1].address = address.to_owned();
        let error = Placement::new(parts).unwrap_err().to_string();
        let member = Uuid::from_u128(2).to_string();
        assert!(error.contains(wrong) && error.contains(&member), "{error}");
    }
}

#[test]
fn broken_rules_of_slots_are_named() {
    let of = |members: &[u16]| {
        let set = ReplicaSet::new(members.iter().copied().map(MemberIndex));
        Holders::new(set, Quorums::default())
    };
    let refuse_slot = |slot: SlotPlacement| {
        let mut parts = parts();
        parts.slots[5] = slot;
        Placement::new(parts).unwrap_err().to_string()
    };
    let moving = |next| SlotPlacement::moving(Epoch(3), MoveStage::Copying, of(&[0, 1, 2]), next);
    let mut impossible = of(&[0, 1]);
    impossible.quorums.write = Some(3);
    for (slot, wrong) in [
        (
            SlotPlacement::stable(Epoch(1), of(&[5])),
            "that is not there",
        ),
        (
            SlotPlacement::stable(Epoch(4), of(&[1])),
            "an epoch that is not there yet",
        ),
        (
            SlotPlacement::stable(Epoch(0), of(&[1])),
            "an epoch that is not there yet",
        ),
        (
            SlotPlacement::stable(Epoch(1), impossible),
            "more than its members",
        ),
        (moving(of(&[0, 3, 4])), "more than one replica"),
        (moving(of(&[0])), "more than one replica"),
    ] {
        let error = refuse_slot(slot);
        assert!(error.contains("slot 5") && error.contains(wrong), "{error}");
    }
    for next in [
        of(&[0, 1, 3]),
        of(&[0, 1]),
        of(&[0, 1, 2, 3]),
        of(&[0, 1, 2]),
    ] {
        let mut parts = parts();
        parts.slots[5] = moving(next);
        Placement::new(parts).expect("a move of one replica at most");
    }
}

proptest! {
    /// Damage anywhere is noticed, and arbitrary bytes are refused without a panic.
    #[test]
    fn damaged_bytes_are_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = Placement::new(parts()).expect("valid").encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Placement::decode(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Placement::decode(&bytes).is_err());
        // The same behind a right start and a right checksum.
        bytes.splice(0..0, *b"KVP2");
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        prop_assert!(Placement::decode(&bytes).is_err());
    }
}
