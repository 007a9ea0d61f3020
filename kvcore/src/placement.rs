//! A placement: which members hold which slot, under which epoch, with which quorums.
//!
//! A [`Placement`] is checked when it is made and cannot be changed afterwards, so that every
//! holder of one may index its tables without a doubt. [`planner`] makes the first one.

mod address;
mod binary;
mod check;
pub mod conductor;
mod holders;
mod json;
pub mod moves;
pub mod planner;
mod slot_placement;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    address::{AddressError, addresses},
    binary::DecodeError,
    check::PlacementError,
    holders::{Holders, Quorums, ReplicaSet, majority},
    slot_placement::{Move, MoveStage, SlotPlacement},
};
use crate::slot::{Slot, SlotSet};

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
    /// Share of slots relative to others, 1 to [`crate::limits::WEIGHT_MAX`].
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
    /// Members that are to hold each slot, 1 to [`crate::limits::COPIES_MAX`].
    pub copies: u8,
    /// Read and write quorums that are asked for; those in force are each set's own.
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

impl Placement {
    /// Checks the parts and makes them a placement.
    pub fn new(parts: Parts) -> Result<Self, PlacementError> {
        check::check(&parts)?;
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

    /// Read and write quorums that are asked for; those in force are each set's own.
    pub fn quorums(&self) -> Quorums {
        self.parts.quorums
    }

    /// Members that are to hold each slot.
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

#[cfg(test)]
mod tests;
