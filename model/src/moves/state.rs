//! What there is: placements, members, two writers, a reader, one stream in flight.

use std::sync::Arc;

use super::era::{Era, Mask, small};

/// Orders what is written to the key; zero is "nothing".
pub type Version = u8;

/// Members that a state has room for.
pub const MEMBERS_MAX: usize = 5;

/// Writes that a state has room for.
pub const WRITES_MAX: usize = 3;

/// Every placement that was published, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct History(Arc<[Arc<Era>]>);

impl History {
    /// A first placement.
    pub fn new(first: Era) -> Self {
        Self(Arc::new([Arc::new(first)]))
    }

    /// The placement in this place.
    pub fn at(&self, place: u8) -> &Era {
        &self.0[usize::from(place)]
    }

    /// The newest.
    pub fn last(&self) -> &Era {
        self.at(self.end() - 1)
    }

    /// One more than the newest one's place.
    pub fn end(&self) -> u8 {
        small(self.0.len())
    }

    /// With another one.
    #[must_use]
    pub fn with(&self, era: Era) -> Self {
        let eras = self.0.iter().cloned();
        Self(eras.chain([Arc::new(era)]).collect())
    }
}

/// One data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Member {
    /// Place of the placement that it has adopted.
    pub era: u8,
    /// What it holds of the key.
    pub record: Version,
    /// In the session of its placement: from whom it has pulled, or who has what it hands over.
    pub marks: Mask,
    /// Whether its disk is gone.
    pub is_destroyed: bool,
}

/// One write, under one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Write {
    /// How far it has come.
    pub phase: Phase,
    /// Place of the placement that its broker goes by.
    pub era: u8,
    /// Who acknowledged it under that placement.
    pub acks: Mask,
    /// The highest version that was done when it began.
    pub floor: Version,
    /// Who has let it in without having executed it; only with a bug.
    pub entered: Mask,
}

/// How far a write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// Nobody has heard of it.
    #[default]
    Idle,
    /// Not acknowledged.
    Running,
    /// Acknowledged.
    Done,
}

/// One read; after it the reader begins another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Read {
    /// Whether there is one.
    pub is_running: bool,
    /// Place of the placement that its broker goes by.
    pub era: u8,
    /// Who has answered.
    pub replied: Mask,
    /// The highest version among the answers.
    pub best: Version,
    /// Who is known to have exactly that.
    pub holders: Mask,
    /// Whether it has begun to write it back.
    pub is_writing: bool,
    /// The highest version that was done or read when it began.
    pub floor: Version,
    /// Who has let it in without having looked; only with a bug.
    pub entered: Mask,
}

/// A copy on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stream {
    /// Whose copy it is.
    pub from: u8,
    /// Who pulls it.
    pub to: u8,
    /// The epoch of the change that it is pulled for.
    pub session: u8,
    /// What the source had when it took its snapshot.
    pub version: Version,
}

/// What the author has left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Author {
    /// Place in the plan.
    pub position: u8,
    /// Copies that it may still give up.
    pub reverts: u8,
    /// Changes of other slots that it may still make.
    pub others: u8,
    /// Times that another author may still take over.
    pub successions: u8,
    /// Whether a second author has published what does not follow; only with a bug.
    pub has_forked: bool,
}

/// What must never happen, and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A read missed what had been done or read before it began.
    Lost,
    /// The same, and what it missed was a delete.
    Back,
    /// A write is done below one that was done before it began.
    Order,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// Placements.
    pub history: History,
    /// Members.
    pub members: [Member; MEMBERS_MAX],
    /// Writers.
    pub writes: [Write; WRITES_MAX],
    /// The reader.
    pub read: Read,
    /// A copy on its way, perhaps of long ago.
    pub stream: Option<Stream>,
    /// The author.
    pub author: Author,
    /// The highest version that was acknowledged, or answered to a reader.
    pub floor: Version,
    /// Whether the tombstone was collected.
    pub is_collected: bool,
    /// Disks that may still be lost.
    pub losses: u8,
    /// What must never happen.
    pub broken: Option<Broken>,
}

impl State {
    /// The placement that a member has adopted.
    pub fn era_of(&self, member: usize) -> &Era {
        self.history.at(self.members[member].era)
    }

    /// Whether a member lets in a request of this placement: neither older than the slot's last
    /// change that it knows, nor newer than what it knows.
    pub fn admits(&self, member: usize, era: &Era) -> bool {
        let known = self.era_of(member);
        (known.since..=known.number).contains(&era.number)
    }
}
