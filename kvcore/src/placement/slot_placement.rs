//! Who holds a slot, before, during and after a move.

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::{Epoch, Holders, MemberIndex, Quorums, ReplicaSet};

/// How far the change of one replica of a slot has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// A change of who holds a slot, under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Move {
    /// How far it has come.
    pub stage: MoveStage,
    /// Who holds the slot when it is over.
    pub next: Holders,
}

/// Who holds a slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SlotPlacement {
    since: Epoch,
    current: Holders,
    open: Option<Move>,
}

impl SlotPlacement {
    /// No move is open.
    pub fn stable(since: Epoch, current: Holders) -> Self {
        let open = None;
        Self {
            since,
            current,
            open,
        }
    }

    /// These sets in the order of slots, without moves.
    pub fn all_stable(
        sets: impl IntoIterator<Item = ReplicaSet>,
        since: Epoch,
        quorums: Quorums,
    ) -> Vec<Self> {
        let sets = sets.into_iter();
        sets.map(|set| Self::stable(since, Holders::new(set, quorums)))
            .collect()
    }

    /// A move is open.
    pub fn moving(since: Epoch, stage: MoveStage, current: Holders, next: Holders) -> Self {
        let open = Some(Move { stage, next });
        Self {
            since,
            current,
            open,
        }
    }

    /// The epoch of the slot's last change: requests of older ones are refused, and it names the
    /// session of a move's stage.
    pub fn since(&self) -> Epoch {
        self.since
    }

    /// The same under another epoch.
    #[must_use]
    pub fn again(&self, since: Epoch) -> Self {
        Self {
            since,
            ..self.clone()
        }
    }

    /// Who held the slot before any open move.
    pub fn current(&self) -> &Holders {
        &self.current
    }

    /// The open move.
    pub fn open(&self) -> Option<&Move> {
        self.open.as_ref()
    }

    /// How far the open move has come.
    pub fn stage(&self) -> Option<MoveStage> {
        self.open.as_ref().map(|open| open.stage)
    }

    /// Who holds the slot after the open move.
    pub fn next(&self) -> Option<&Holders> {
        self.open.as_ref().map(|open| &open.next)
    }

    /// Who holds the slot when what is under way is over.
    pub fn last(&self) -> &Holders {
        self.next().unwrap_or(&self.current)
    }

    /// The member that the open move brings in, if it brings one in.
    pub fn joiner(&self) -> Option<MemberIndex> {
        self.next()?.set.without(&self.current.set).next()
    }

    /// The member that the open move takes out, if it takes one out.
    pub fn leaver(&self) -> Option<MemberIndex> {
        self.current.set.without(&self.next()?.set).next()
    }

    /// The sets in which a write needs its quorum.
    pub fn write_sets(&self) -> SmallVec<[&Holders; 2]> {
        match &self.open {
            None => smallvec![&self.current],
            Some(open) if open.stage == MoveStage::Leaving => smallvec![&open.next],
            Some(open) => smallvec![&self.current, &open.next],
        }
    }

    /// The set in which a read needs its quorum.
    pub fn read_set(&self) -> &Holders {
        match &self.open {
            Some(open) if open.stage != MoveStage::Copying => &open.next,
            _ => &self.current,
        }
    }

    /// The set that the member compares its copy with, to have all that was acknowledged. While a
    /// joiner copies that is the set before it, of which a leaver is still one; later a leaver gets
    /// nothing more.
    pub fn compared_with(&self, member: MemberIndex) -> Option<&Holders> {
        let is_kept = match self.stage() {
            Some(MoveStage::Copying) => self.names(member),
            _ => self.last().contains(member),
        };
        is_kept.then(|| self.read_set())
    }

    /// Whether the member copies what it has not held before.
    pub fn is_joining(&self, member: MemberIndex) -> bool {
        self.stage() == Some(MoveStage::Copying) && self.joiner() == Some(member)
    }

    /// Whether the member is the one that hands the slot over.
    pub fn is_leaving(&self, member: MemberIndex) -> bool {
        self.stage() == Some(MoveStage::Leaving) && self.leaver() == Some(member)
    }

    /// Whether the member is named at all.
    pub fn names(&self, member: MemberIndex) -> bool {
        self.current.contains(member) || self.next().is_some_and(|next| next.contains(member))
    }
}
