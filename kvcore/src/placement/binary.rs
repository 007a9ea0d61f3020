//! The compact encoding of a placement, and its digest.
//!
//! ```text
//! magic "KVP2" · cluster 16 · epoch 8 · author 16 · address revision 8 · copies 1
//! read quorum 1 (0: majority) · write quorum 1 (0: majority) · members 2
//!   member: id 16 · weight 2 · zone length 1 · zone · address length 2 · address
//! slots 1,024 times:
//!   head 1 = stage (2 bits) << 6 | size of next (3 bits) << 3 | size of current (3 bits)
//!   epochs since its last change 1..10 (LEB128)
//!   current: quorums 1 · size x 2 bytes, then next likewise
//!     quorums = read (4 bits) << 4 | write (4 bits), 0: majority
//! crc32 4, of everything before
//! ```
//!
//! All numbers are little endian. A set size in the head is the size minus one. With three
//! copies the slot table is 9 KiB.

use uuid::Uuid;

use super::{
    AuthorId, ClusterId, Digest, Epoch, Holders, Member, MemberId, MemberIndex, MoveStage, Parts,
    Placement, PlacementError, Quorums, ReplicaSet, SlotPlacement,
};
use crate::{
    limits::{COPIES_MAX, PLACEMENT_BYTES_MAX, SLOTS},
    wire::read::{Reader, Truncated},
};

const MAGIC: [u8; 4] = *b"KVP2";

// A set has at most one member more than the copies, and its size less one has three bits.
const _: () = assert!(COPIES_MAX < 8);

/// Why bytes are no placement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Larger than any placement can be.
    #[error("a placement has at most {PLACEMENT_BYTES_MAX} bytes, this one has {0}")]
    TooLarge(usize),
    /// Another format, or no placement at all.
    #[error("these bytes do not start like a placement")]
    Magic,
    /// Damaged on the way or on the disk.
    #[error("the placement's checksum does not match its bytes")]
    Checksum,
    /// Ends early or goes on after its end.
    #[error("the placement's length does not match its content")]
    Length,
    /// A name that is not UTF-8, or a stage that does not exist.
    #[error("the placement holds {0}")]
    Content(&'static str),
    /// Well formed, but breaks a rule.
    #[error(transparent)]
    Rule(#[from] PlacementError),
}

impl From<Truncated> for DecodeError {
    fn from(_: Truncated) -> Self {
        Self::Length
    }
}

/// Whether member addresses are part of the bytes; the digest leaves them out, since a changed
/// address is not a new placement.
#[derive(Clone, Copy, PartialEq)]
enum Addresses {
    Written,
    LeftOut,
}

pub(super) fn encode(parts: &Parts) -> Vec<u8> {
    let mut out = write(parts, Addresses::Written);
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

pub(super) fn digest(parts: &Parts) -> Digest {
    Digest(xxhash_rust::xxh3::xxh3_64(&write(
        parts,
        Addresses::LeftOut,
    )))
}

fn write(parts: &Parts, addresses: Addresses) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 * 1024 + parts.members.len() * 64);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(parts.cluster.0.as_bytes());
    out.extend_from_slice(&parts.epoch.0.to_le_bytes());
    out.extend_from_slice(parts.author.0.as_bytes());
    if addresses == Addresses::Written {
        out.extend_from_slice(&parts.address_revision.to_le_bytes());
    }
    out.push(parts.copies);
    out.push(parts.quorums.read.unwrap_or(0));
    out.push(parts.quorums.write.unwrap_or(0));
    put_u16(&mut out, parts.members.len());
    for member in &parts.members {
        out.extend_from_slice(member.id.0.as_bytes());
        put_u16(&mut out, member.weight as usize);
        out.push(u8::try_from(member.zone.len()).expect("zones are limited"));
        out.extend_from_slice(member.zone.as_bytes());
        if addresses == Addresses::Written {
            put_u16(&mut out, member.address.len());
            out.extend_from_slice(member.address.as_bytes());
        }
    }
    for slot in &parts.slots {
        write_slot(&mut out, slot, parts.epoch);
    }
    out
}

fn put_u16(out: &mut Vec<u8>, number: usize) {
    let number = u16::try_from(number).expect("counts of a checked placement fit 16 bits");
    out.extend_from_slice(&number.to_le_bytes());
}

fn write_slot(out: &mut Vec<u8>, slot: &SlotPlacement, epoch: Epoch) {
    let size = |holders: &Holders| u8::try_from(holders.copies() - 1).expect("sets are small");
    let stage = slot.stage().map_or(0, |stage| stage as u8);
    out.push(stage << 6 | slot.next().map_or(0, size) << 3 | size(slot.current()));
    put_number(out, epoch.0 - slot.since().0);
    for holders in [Some(slot.current()), slot.next()].into_iter().flatten() {
        let quorum = |quorum: Option<u8>| quorum.unwrap_or(0);
        out.push(quorum(holders.quorums.read) << 4 | quorum(holders.quorums.write));
        for member in holders.members() {
            out.extend_from_slice(&member.0.to_le_bytes());
        }
    }
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

pub(super) fn decode(bytes: &[u8]) -> Result<Placement, DecodeError> {
    if bytes.len() > PLACEMENT_BYTES_MAX {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    if !bytes.starts_with(&MAGIC) {
        return Err(DecodeError::Magic);
    }
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or(DecodeError::Length)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(DecodeError::Checksum);
    }
    let mut reader = Reader::new(&body[MAGIC.len()..]);
    let cluster = ClusterId(Uuid::from_bytes(reader.array()?));
    let epoch = Epoch(reader.u64()?);
    let author = AuthorId(Uuid::from_bytes(reader.array()?));
    let address_revision = reader.u64()?;
    let copies = reader.u8()?;
    let quorum = |number: u8| (number != 0).then_some(number);
    let quorums = Quorums {
        read: quorum(reader.u8()?),
        write: quorum(reader.u8()?),
    };
    let count = reader.u16()?;
    let members = (0..count)
        .map(|_| read_member(&mut reader))
        .collect::<Result<_, _>>()?;
    let slots = (0..SLOTS)
        .map(|_| read_slot(&mut reader, epoch))
        .collect::<Result<_, _>>()?;
    if !reader.is_empty() {
        return Err(DecodeError::Length);
    }
    let parts = Parts {
        cluster,
        epoch,
        author,
        address_revision,
        copies,
        quorums,
        members,
        slots,
    };
    Ok(Placement::new(parts)?)
}

fn read_member(reader: &mut Reader<'_>) -> Result<Member, DecodeError> {
    let id = MemberId(Uuid::from_bytes(reader.array()?));
    let weight = u32::from(reader.u16()?);
    let zone_bytes = usize::from(reader.u8()?);
    let zone = text(reader.take(zone_bytes)?)?;
    let address_bytes = usize::from(reader.u16()?);
    let address = text(reader.take(address_bytes)?)?;
    Ok(Member {
        id,
        address,
        zone,
        weight,
    })
}

fn text(bytes: &[u8]) -> Result<String, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Content("a name not UTF-8"))?;
    Ok(text.to_owned())
}

fn read_slot(reader: &mut Reader<'_>, epoch: Epoch) -> Result<SlotPlacement, DecodeError> {
    let head = reader.u8()?;
    let since = epoch.0.checked_sub(read_number(reader)?);
    let since = Epoch(since.ok_or(DecodeError::Content(
        "a slot that changed before all epochs",
    ))?);
    let current = read_holders(reader, head & 7)?;
    let stage = match head >> 6 {
        0 if head >> 3 == 0 => return Ok(SlotPlacement::stable(since, current)),
        0 => return Err(DecodeError::Content("a stable slot with a next set")),
        1 => MoveStage::Copying,
        2 => MoveStage::Switching,
        _ => MoveStage::Leaving,
    };
    let next = read_holders(reader, head >> 3 & 7)?;
    Ok(SlotPlacement::moving(since, stage, current, next))
}

fn read_number(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = reader.u8()?;
        let bits = u64::from(byte & 0x7f);
        // One number has one form, so that one placement has one.
        if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
            break;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(DecodeError::Content("a number too large or too long"))
}

fn read_holders(reader: &mut Reader<'_>, size_less_one: u8) -> Result<Holders, DecodeError> {
    let quorums = reader.u8()?;
    let quorum = |number: u8| (number != 0).then_some(number);
    let quorums = Quorums {
        read: quorum(quorums >> 4),
        write: quorum(quorums & 0xf),
    };
    Ok(Holders::new(read_set(reader, size_less_one)?, quorums))
}

fn read_set(reader: &mut Reader<'_>, size_less_one: u8) -> Result<ReplicaSet, DecodeError> {
    let members = (0..=size_less_one)
        .map(|_| Ok(MemberIndex(reader.u16()?)))
        .collect::<Result<_, Truncated>>()?;
    // Kept as it came: the check refuses a set out of order, so that one placement has one form.
    Ok(ReplicaSet(members))
}
