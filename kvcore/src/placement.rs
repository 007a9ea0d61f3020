//! A placement: which members hold which slot, under which epoch, with which quorums.
//!
//! A [`Placement`] is checked when it is made and cannot be changed afterwards, so that every
//! holder of one may index its tables without a doubt. [`planner`] makes the first one.

mod address;
mod binary;
mod json;
pub mod planner;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};
use uuid::Uuid;

pub use self::{
    address::{AddressError, addresses},
    binary::DecodeError,
};
use crate::{
    limits::{COPIES_MAX, MEMBERS_MAX, SLOTS, WEIGHT_MAX, ZONE_BYTES_MAX},
    slot::{Slot, SlotSet},
};

/// Names a cluster; lives on its disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub Uuid);

/// Names a member: one data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(pub Uuid);

/// Names who decides placements of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorId(pub Uuid);

/// Number of a placement; only ever grows. Zero is "no placement yet".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Names the content of a placement: 64 bits over everything but the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub u64);

macro_rules! display_inner {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_inner!(ClusterId MemberId AuthorId Epoch);

impl From<MemberId> for Uuid {
    fn from(id: MemberId) -> Self {
        id.0
    }
}

/// One data directory that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its own name, made once with the directory.
    pub id: MemberId,
    /// Where its peer server is: `host:port`, or up to [`crate::limits::ADDRESSES_MAX`] of them with
    /// commas between, which are tried in their order.
    pub address: String,
    /// Failure domain; members of one zone are expected to fail together.
    pub zone: String,
    /// Share of slots relative to others, 1 to [`WEIGHT_MAX`].
    pub weight: u32,
}

impl Member {
    /// Where it is, for people: one address, or `one or another`.
    pub fn shown_address(&self) -> String {
        address::shown(&self.address)
    }
}

/// A member's place in [`Placement::members`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberIndex(pub u16);

impl MemberIndex {
    /// The index as a subscript.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

/// The distinct members that hold one slot, in ascending order.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaSet(SmallVec<[MemberIndex; 4]>);

impl ReplicaSet {
    /// A set of these members; order and repetition do not matter.
    pub fn new(members: impl IntoIterator<Item = MemberIndex>) -> Self {
        let mut members: SmallVec<_> = members.into_iter().collect();
        members.sort_unstable();
        members.dedup();
        Self(members)
    }

    /// The members in ascending order.
    pub fn members(&self) -> &[MemberIndex] {
        &self.0
    }

    /// Whether the member is in the set.
    pub fn contains(&self, member: MemberIndex) -> bool {
        self.0.binary_search(&member).is_ok()
    }
}

impl fmt::Debug for ReplicaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|member| member.0))
            .finish()
    }
}

/// How far the change of one replica of a slot has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum MoveStage {
    /// The joiner copies; reads stay with `current`.
    Copying = 1,
    /// Reads go to `next`; writes still need both.
    Switching = 2,
    /// Only `next` counts; the leaver hands over what others lack.
    Leaving = 3,
}

/// Who holds a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotPlacement {
    /// No move is open.
    Stable {
        /// The members that hold the slot.
        current: ReplicaSet,
    },
    /// One replica is being changed.
    Moving {
        /// How far the move has come.
        stage: MoveStage,
        /// The set before the move.
        current: ReplicaSet,
        /// The set after the move.
        next: ReplicaSet,
    },
}

impl SlotPlacement {
    /// The set before any open move.
    pub fn current(&self) -> &ReplicaSet {
        match self {
            Self::Stable { current } | Self::Moving { current, .. } => current,
        }
    }

    /// The set after the open move, if there is one.
    pub fn next(&self) -> Option<&ReplicaSet> {
        match self {
            Self::Stable { .. } => None,
            Self::Moving { next, .. } => Some(next),
        }
    }

    /// The sets in which a write needs its quorum.
    pub fn write_sets(&self) -> SmallVec<[&ReplicaSet; 2]> {
        match self {
            Self::Stable { current } => smallvec![current],
            Self::Moving {
                stage: MoveStage::Leaving,
                next,
                ..
            } => smallvec![next],
            Self::Moving { current, next, .. } => smallvec![current, next],
        }
    }

    /// The set in which a read needs its quorum.
    pub fn read_set(&self) -> &ReplicaSet {
        match self {
            Self::Stable { current }
            | Self::Moving {
                stage: MoveStage::Copying,
                current,
                ..
            } => current,
            Self::Moving { next, .. } => next,
        }
    }

    /// Whether the member is named at all.
    pub fn names(&self, member: MemberIndex) -> bool {
        self.current().contains(member) || self.next().is_some_and(|next| next.contains(member))
    }
}

/// How many members of a set must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Quorums {
    /// For a read; `None` is the set's majority.
    pub read: Option<u8>,
    /// For a write; `None` is the set's majority.
    pub write: Option<u8>,
}

impl Quorums {
    /// Members of a set of `copies` that must answer a read.
    pub fn read_of(self, copies: usize) -> usize {
        self.read.map_or(majority(copies), usize::from).min(copies)
    }

    /// Members of a set of `copies` that must have a write durable.
    pub fn write_of(self, copies: usize) -> usize {
        self.write.map_or(majority(copies), usize::from).min(copies)
    }
}

/// More than half.
pub fn majority(copies: usize) -> usize {
    copies / 2 + 1
}

/// What a placement is made of; [`Placement::new`] checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its number, at least 1.
    pub epoch: Epoch,
    /// Who decided it.
    pub author: AuthorId,
    /// Grows with every change of an address under one epoch.
    pub address_revision: u64,
    /// Members that hold each slot, 1 to [`COPIES_MAX`].
    pub copies: u8,
    /// Read and write quorums.
    pub quorums: Quorums,
    /// Everyone who takes part.
    pub members: Vec<Member>,
    /// One entry for every slot.
    pub slots: Vec<SlotPlacement>,
}

/// A checked placement; cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Placement {
    parts: Arc<Parts>,
    digest: Digest,
}

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

impl Placement {
    /// Checks the parts and makes them a placement.
    pub fn new(parts: Parts) -> Result<Self, PlacementError> {
        check(&parts)?;
        let digest = binary::digest(&parts);
        Ok(Self {
            parts: Arc::new(parts),
            digest,
        })
    }

    /// What it is made of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Its number.
    pub fn epoch(&self) -> Epoch {
        self.parts.epoch
    }

    /// The cluster it belongs to.
    pub fn cluster(&self) -> ClusterId {
        self.parts.cluster
    }

    /// Names its content.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Everyone who takes part.
    pub fn members(&self) -> &[Member] {
        &self.parts.members
    }

    /// The member with this index.
    pub fn member(&self, index: MemberIndex) -> &Member {
        &self.parts.members[index.get()]
    }

    /// Where the member with this id stands, if it takes part.
    pub fn index_of(&self, id: MemberId) -> Option<MemberIndex> {
        let position = self
            .parts
            .members
            .iter()
            .position(|member| member.id == id)?;
        Some(MemberIndex(
            u16::try_from(position).expect("members are counted"),
        ))
    }

    /// Who holds the slot.
    pub fn slot(&self, slot: Slot) -> &SlotPlacement {
        &self.parts.slots[slot.index()]
    }

    /// The slots that name the member.
    pub fn slots_of(&self, member: MemberIndex) -> SlotSet {
        Slot::all()
            .filter(|&slot| self.slot(slot).names(member))
            .collect()
    }

    /// Read and write quorums.
    pub fn quorums(&self) -> Quorums {
        self.parts.quorums
    }

    /// Members that hold each slot.
    pub fn copies(&self) -> usize {
        usize::from(self.parts.copies)
    }

    /// The compact encoding, at most [`crate::limits::PLACEMENT_BYTES_MAX`] bytes.
    pub fn encode(&self) -> Vec<u8> {
        binary::encode(&self.parts)
    }

    /// Reads what [`Placement::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        binary::decode(bytes)
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement")
            .field("epoch", &self.parts.epoch.0)
            .field("digest", &self.digest.0)
            .field("members", &self.parts.members.len())
            .finish_non_exhaustive()
    }
}

fn check(parts: &Parts) -> Result<(), PlacementError> {
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
        for set in [Some(placed.current()), placed.next()]
            .into_iter()
            .flatten()
        {
            check_set(set, parts.members.len()).map_err(|reason| PlacementError::Set {
                slot: slot.number(),
                reason,
            })?;
        }
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

#[cfg(test)]
mod tests;
