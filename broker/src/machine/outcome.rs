//! How operations end.

use std::fmt;

use kvcore::{
    placement::{MemberId, MemberIndex, Placement},
    slot::Slot,
};

/// The three ends of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<T> {
    /// It was carried out.
    Done(T),
    /// It was not, and never will be.
    NotDone(Failure),
    /// It may have been carried out, now or a little later.
    Unknown(Failure),
}

/// A member that could not help, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// Its id.
    pub member: MemberId,
    /// Its address.
    pub address: String,
    /// Why.
    pub why: String,
}

impl Absent {
    pub(crate) fn new(placement: &Placement, index: MemberIndex, why: impl Into<String>) -> Self {
        let member = placement.member(index);
        Self {
            member: member.id,
            address: member.shown_address(),
            why: why.into(),
        }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.address, self.member, self.why)
    }
}

/// Why an operation was not, or not certainly, carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Too few members of the slot could answer.
    #[error(
        "slot {slot} needs {needed} of its {copies} members and has {able}; the others: {}",
        Listed(.absent)
    )]
    TooFew {
        /// The slot.
        slot: Slot,
        /// Members that have to answer.
        needed: usize,
        /// Members that hold it.
        copies: usize,
        /// Members that answered or still can.
        able: usize,
        /// The others, with their reasons.
        absent: Vec<Absent>,
    },
    /// Time ran out.
    #[error("slot {slot}: no {needed} answers within {limit_ms} ms; not heard from: {}", Listed(.absent))]
    Deadline {
        /// The slot.
        slot: Slot,
        /// Answers that were needed.
        needed: usize,
        /// The operation's time limit.
        limit_ms: u64,
        /// Members that did not answer.
        absent: Vec<Absent>,
    },
    /// Other writers kept being faster.
    #[error("the key was overwritten by others {0} times in a row: try again")]
    Contended(u32),
    /// The placement kept changing.
    #[error("the placement changed {0} times during the operation: try again")]
    PlacementChanges(u32),
    /// The stored version leaves no room above it.
    #[error("no version lies above the stored one: the key cannot be written any more")]
    NoVersion,
    /// A strict delete with a member down.
    #[error("a strict delete needs every copy's server up; down: {}", Listed(.0))]
    NotAllUp(Vec<Absent>),
    /// Other large values took all the room there is.
    #[error(
        "no room for a value of {bytes} bytes within {waited_ms} ms: other large values hold it; try again"
    )]
    NoRoom {
        /// The value's length.
        bytes: usize,
        /// How long room was waited for.
        waited_ms: u64,
    },
    /// The broker works on as many operations as it may.
    #[error("the broker is overloaded: no turn within {waited_ms} ms")]
    NoTurn {
        /// How long a turn was waited for.
        waited_ms: u64,
    },
    /// The broker refused before it began.
    #[error("{0}")]
    Refused(String),
}

/// Members separated by semicolons.
struct Listed<'a>(&'a [Absent]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (at, absent) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{absent}")?;
        }
        Ok(())
    }
}
