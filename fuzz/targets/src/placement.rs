//! Placements, in binary and in JSON: what decodes is valid, and encodes to the same again.

use kvcore::{
    limits::{COPIES_MAX, PLACEMENT_BYTES_MAX, SLOTS},
    placement::{
        AuthorId, ClusterId, Epoch, Holders, Member, MemberId, MemberIndex, MoveStage, Parts,
        Placement, Quorums, ReplicaSet, SlotPlacement,
    },
    slot::Slot,
};
use uuid::Uuid;

use crate::input::Input;

/// Bytes as they are, bytes with a right checksum, and placements that are made and then changed.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 5 {
        0 => binary(input.rest()),
        1 => binary(&sealed(input.rest().to_vec())),
        2 => json(input.rest()),
        3 => changed_binary(&mut input),
        _ => changed_json(&mut input),
    }
}

/// One placement has one form.
fn binary(bytes: &[u8]) {
    match Placement::decode(bytes) {
        Ok(placement) => {
            assert_eq!(placement.encode(), bytes, "a placement has two forms");
            is_kept(&placement);
        }
        Err(error) => drop(error.to_string()),
    }
}

fn json(text: &[u8]) {
    match serde_json::from_slice::<Placement>(text) {
        Ok(placement) => is_kept(&placement),
        Err(error) => drop(error.to_string()),
    }
}

fn changed_binary(input: &mut Input<'_>) {
    let Some(placement) = make(input) else { return };
    is_kept(&placement);
    let mut bytes = placement.encode();
    bytes.truncate(bytes.len() - 4);
    change(&mut bytes, input);
    binary(&sealed(bytes));
}

fn changed_json(input: &mut Input<'_>) {
    let Some(placement) = make(input) else { return };
    let mut value = serde_json::to_value(&placement).expect("a placement is JSON");
    // Without it, since it would only say that something has changed.
    if let Some(fields) = value.as_object_mut() {
        fields.remove("digest");
    }
    let mut text = value.to_string().into_bytes();
    json(&text);
    change(&mut text, input);
    json(&text);
}

/// Puts a few pieces into the place of others.
fn change(bytes: &mut Vec<u8>, input: &mut Input<'_>) {
    for _ in 0..8 {
        if input.is_empty() {
            return;
        }
        let at = input.index(bytes.len() + 1);
        let end = bytes.len().min(at + usize::from(input.byte()));
        bytes.splice(at..end, input.piece().iter().copied());
    }
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn make(input: &mut Input<'_>) -> Option<Placement> {
    let members: Vec<Member> = (0..=input.byte() % 12).map(|_| member(input)).collect();
    let copies = input.byte() % 10;
    let quorum = |number: u8| number.checked_sub(1);
    let quorums = Quorums {
        read: quorum(input.byte()),
        write: quorum(input.byte()),
    };
    // A few bytes make all slots: each is made from the ones where the slot's number leads to.
    let pattern = input.piece();
    let slots = (0..SLOTS + usize::from(input.byte() == 1))
        .map(|slot| placed(pattern, slot, members.len()))
        .collect();
    let placement = Placement::new(Parts {
        cluster: ClusterId(Uuid::from_u128(u128::from(input.long()))),
        epoch: Epoch(u64::from(input.long())),
        author: AuthorId(Uuid::from_u128(u128::from(input.byte()))),
        address_revision: u64::from(input.byte()),
        copies,
        quorums,
        members,
        slots,
    });
    placement.ok()
}

fn member(input: &mut Input<'_>) -> Member {
    let (id, weight) = (u128::from(input.byte()), u32::from(input.short()));
    let mut text = |repeated: usize| {
        let text = String::from_utf8_lossy(input.piece()).into_owned();
        text.repeat(repeated)
    };
    let (zone, host) = (text(1), text(2));
    // Hardly any text is an address, and placements should come about.
    let address = if host.contains(':') {
        host
    } else {
        format!("{host}:{weight}")
    };
    Member {
        id: MemberId(Uuid::from_u128(id)),
        zone,
        address,
        weight,
    }
}

fn placed(pattern: &[u8], slot: usize, members: usize) -> SlotPlacement {
    let byte = |at: usize| {
        let place = (slot * 5 + at) % pattern.len().max(1);
        usize::from(pattern.get(place).copied().unwrap_or(0))
    };
    let set = |from: usize| {
        let size = 1 + byte(from) % (COPIES_MAX + 2);
        let names = (0..size).map(|at| (byte(from + 1 + at) + at) % (members + members / 8));
        let names = names.map(|name| MemberIndex(u16::try_from(name).expect("few members")));
        let quorum = |at: usize| u8::try_from(byte(from + at) % 12).ok().filter(|&q| q < 9);
        let quorums = Quorums {
            read: quorum(2),
            write: quorum(3),
        };
        Holders::new(ReplicaSet::new(names), quorums)
    };
    let since = Epoch(byte(4) as u64 % 5);
    let stage = match byte(0) % 7 {
        1 => MoveStage::Copying,
        2 => MoveStage::Switching,
        3 => MoveStage::Leaving,
        _ => return SlotPlacement::stable(since, set(1)),
    };
    let current = set(1);
    let stays = current.members().iter().skip(byte(2) % 2).copied();
    let joiner = MemberIndex(u16::try_from(byte(3)).expect("a byte"));
    let joiner = Some(joiner).filter(|_| byte(3) % 3 > 0);
    let next = Holders::new(ReplicaSet::new(stays.chain(joiner)), set(3).quorums);
    SlotPlacement::moving(since, stage, current, next)
}

/// Both forms give it back, and every table can be looked up in.
fn is_kept(placement: &Placement) {
    let bytes = placement.encode();
    assert!(bytes.len() <= PLACEMENT_BYTES_MAX, "{} bytes", bytes.len());
    let again = Placement::decode(&bytes).expect("it was just encoded");
    assert_eq!((&again, again.digest()), (placement, placement.digest()));
    let text = serde_json::to_string(placement).expect("a placement is JSON");
    let again: Placement = serde_json::from_str(&text).expect("it was just written");
    assert_eq!((&again, again.digest()), (placement, placement.digest()));
    for slot in Slot::all() {
        let placed = placement.slot(slot);
        for set in placed.write_sets().into_iter().chain([placed.read_set()]) {
            for &member in set.members() {
                assert_eq!(
                    placement.index_of(placement.member(member).id),
                    Some(member)
                );
            }
            let copies = set.copies();
            assert!((1..=copies).contains(&set.read_quorum()));
            assert!((1..=copies).contains(&set.write_quorum()));
        }
    }
}
