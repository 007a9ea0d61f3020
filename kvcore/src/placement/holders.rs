//! The members that hold a slot, and how many of them must answer.

use std::fmt;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::MemberIndex;

/// Distinct members in ascending order.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaSet(pub(super) SmallVec<[MemberIndex; 4]>);

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

    /// The members that are not in the other set.
    pub fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = MemberIndex> + 'a {
        let members = self.0.iter().copied();
        members.filter(|&member| !other.contains(member))
    }
}

impl fmt::Debug for ReplicaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|member| member.0))
            .finish()
    }
}

/// How many members of a set must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
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

/// A set of members that hold a slot together, with its own quorums: while those of a cluster
/// change, slot by slot, the sets of one placement differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holders {
    /// Who they are.
    pub set: ReplicaSet,
    /// How many of them must answer.
    pub quorums: Quorums,
}

impl Holders {
    /// These members with these quorums.
    pub fn new(set: ReplicaSet, quorums: Quorums) -> Self {
        Self { set, quorums }
    }

    /// The members in ascending order.
    pub fn members(&self) -> &[MemberIndex] {
        self.set.members()
    }

    /// Whether the member is one of them.
    pub fn contains(&self, member: MemberIndex) -> bool {
        self.set.contains(member)
    }

    /// How many they are.
    pub fn copies(&self) -> usize {
        self.members().len()
    }

    /// R: how many of them must answer a read.
    pub fn read_quorum(&self) -> usize {
        self.quorums.read_of(self.copies())
    }

    /// W: how many of them must have a write durable.
    pub fn write_quorum(&self) -> usize {
        self.quorums.write_of(self.copies())
    }

    /// S: every acknowledged write is on at least one of so many of them.
    pub fn sources(&self) -> usize {
        self.copies() - self.write_quorum() + 1
    }

    /// Whether every read quorum meets every write quorum.
    pub fn reads_meet_writes(&self) -> bool {
        self.read_quorum() + self.write_quorum() > self.copies()
    }
}
