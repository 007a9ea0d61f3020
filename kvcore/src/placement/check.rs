//! What makes parts a placement, and what is wrong where they make none.

use super::{
    Holders, Member, MemberId, Parts, ReplicaSet, SlotPlacement,
    address::{self, AddressError},
};
use crate::{
    limits::{COPIES_MAX, MEMBERS_MAX, SLOTS, WEIGHT_MAX, ZONE_BYTES_MAX},
    slot::Slot,
};

/// Why parts make no placement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// Epoch zero means "none".
    #[error("a placement's epoch is at least 1")]
    NoEpoch,
    /// Not one entry a slot.
    #[error("a placement names all {SLOTS} slots, this one names {0}")]
    SlotCount(usize),
    /// No members, or too many.
    #[error("a placement has 1 to {MEMBERS_MAX} members, this one has {0}")]
    MemberCount(usize),
    /// Copies out of range.
    #[error("a placement keeps 1 to {COPIES_MAX} copies, this one asks for {0}")]
    Copies(u8),
    /// A quorum no set could reach, or of nobody.
    #[error("a quorum is 1 to the number of copies ({copies}), this one is {quorum}")]
    Quorum {
        /// The rejected quorum.
        quorum: u8,
        /// Copies of each slot.
        copies: u8,
    },
    /// A member that breaks a limit.
    #[error("member {member}: {reason}")]
    Member {
        /// Which one.
        member: MemberId,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A member that nobody could connect to.
    #[error("member {member}: {error}")]
    Address {
        /// Which one.
        member: MemberId,
        /// What is wrong with its address.
        error: AddressError,
    },
    /// A set that is empty, too large, or names a member that is not there.
    #[error("slot {slot}: {reason}")]
    Set {
        /// Which slot.
        slot: u16,
        /// What is wrong with its set.
        reason: &'static str,
    },
}

pub(super) fn check(parts: &Parts) -> Result<(), PlacementError> {
    if parts.epoch.0 == 0 {
        return Err(PlacementError::NoEpoch);
    }
    if parts.slots.len() != SLOTS {
        return Err(PlacementError::SlotCount(parts.slots.len()));
    }
    if parts.members.is_empty() || parts.members.len() > MEMBERS_MAX {
        return Err(PlacementError::MemberCount(parts.members.len()));
    }
    let copies = parts.copies;
    if copies == 0 || usize::from(copies) > COPIES_MAX {
        return Err(PlacementError::Copies(copies));
    }
    for quorum in [parts.quorums.read, parts.quorums.write]
        .into_iter()
        .flatten()
    {
        if quorum == 0 || quorum > copies {
            return Err(PlacementError::Quorum { quorum, copies });
        }
    }
    check_members(&parts.members)?;
    for (slot, placed) in Slot::all().zip(&parts.slots) {
        check_slot(placed, parts).map_err(|reason| PlacementError::Set {
            slot: slot.number(),
            reason,
        })?;
    }
    Ok(())
}

fn check_slot(placed: &SlotPlacement, parts: &Parts) -> Result<(), &'static str> {
    if placed.since().0 == 0 || placed.since() > parts.epoch {
        return Err("it changed last at an epoch that is not there yet");
    }
    check_holders(placed.current(), parts.members.len())?;
    let Some(next) = placed.next() else {
        return Ok(());
    };
    check_holders(next, parts.members.len())?;
    // One replica at a time: what moves are proved for.
    let more = |one: &Holders, other: &Holders| one.set.without(&other.set).count() > 1;
    if more(next, placed.current()) || more(placed.current(), next) {
        return Err("its move changes more than one replica");
    }
    Ok(())
}

fn check_holders(holders: &Holders, members: usize) -> Result<(), &'static str> {
    check_set(&holders.set, members)?;
    let quorums = [holders.quorums.read, holders.quorums.write];
    let is_off = |quorum: u8| quorum == 0 || usize::from(quorum) > holders.copies();
    if quorums.into_iter().flatten().any(is_off) {
        return Err("a quorum of it is zero, or more than its members");
    }
    Ok(())
}

fn check_members(members: &[Member]) -> Result<(), PlacementError> {
    let mut seen = std::collections::HashSet::new();
    for member in members {
        let reason = if !seen.insert(member.id) {
            "it is named twice"
        } else if member.zone.len() > ZONE_BYTES_MAX {
            "its zone name is too long"
        } else if member.weight == 0 || member.weight > WEIGHT_MAX {
            "its weight is zero or too large"
        } else {
            address::check(&member.address).map_err(|error| PlacementError::Address {
                member: member.id,
                error,
            })?;
            continue;
        };
        return Err(PlacementError::Member {
            member: member.id,
            reason,
        });
    }
    Ok(())
}

fn check_set(set: &ReplicaSet, members: usize) -> Result<(), &'static str> {
    if set.members().is_empty() {
        return Err("nobody holds it");
    }
    // One more than the copies while a move is open.
    if set.members().len() > COPIES_MAX + 1 {
        return Err("too many members hold it");
    }
    if set.members().iter().any(|member| member.get() >= members) {
        return Err("it names a member that is not there");
    }
    if !set.members().is_sorted_by(|a, b| a < b) {
        return Err("its set is out of order or names a member twice");
    }
    Ok(())
}
