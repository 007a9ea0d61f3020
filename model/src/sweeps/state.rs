//! What there is beside the slot: rounds, floors, a sweep, a record on its way.

use crate::moves::{
    self,
    era::Mask,
    state::{MEMBERS_MAX, State as Base, Version},
};

/// What a member keeps durably, beside what it does for moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fence {
    /// What began in an earlier round is refused.
    pub round: u8,
    /// Fresh writes of an absent key at or below this are refused.
    pub floor: Version,
}

/// A sweep under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sweep {
    /// Place of the placement that it is for.
    pub era: u8,
    /// The round that it asks for.
    pub round: u8,
    /// Who has the tombstone or more.
    pub confirmed: Mask,
    /// Who has made the round durable.
    pub fenced: Mask,
}

/// A record on its way from one member to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Exchange {
    /// Who pulls it.
    pub to: u8,
    /// What it is.
    pub version: Version,
    /// The slot's last change that the one who pulls knew.
    pub since: u8,
    /// That one's round.
    pub round: u8,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The slot.
    pub base: Base,
    /// Rounds and floors.
    pub fences: [Fence; MEMBERS_MAX],
    /// The sweep under way.
    pub sweep: Option<Sweep>,
    /// Sweeps that may still begin.
    pub sweeps: u8,
    /// The round that the read belongs to.
    pub read_round: u8,
    /// The round of the copy on its way, with what its source had.
    pub stream: Option<(u8, Fence)>,
    /// A record on its way.
    pub exchange: Option<Exchange>,
}

/// One step of anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// As without sweeps.
    Base(moves::Action),
    /// A read begins in this round.
    BeginRead {
        /// The first to answer.
        member: usize,
        /// The broker's placement.
        era: u8,
        /// The round that the broker knows.
        round: u8,
    },
    /// A sweep begins, in place of one that has not ended.
    Begin {
        /// For this placement, by its place.
        era: u8,
    },
    /// A member confirms.
    Confirm {
        /// Who.
        member: usize,
    },
    /// A member takes the round.
    Fence {
        /// Who.
        member: usize,
    },
    /// A member drops the tombstone.
    Collect {
        /// Who.
        member: usize,
    },
    /// A member asks another one for its record.
    Exchange {
        /// Who asks.
        to: usize,
        /// Whom.
        from: usize,
    },
    /// The answer arrives.
    Arrive,
    /// A member forgets its round; only with a bug.
    Forget {
        /// Who.
        member: usize,
    },
}
