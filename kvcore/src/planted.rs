//! Bugs that can be planted, so that the simulation can show that it finds them.
//!
//! Without the feature `planted`, which only the simulation's own check turns on, [`is`] is
//! constantly false and nothing of this is left in a program.

use std::{fmt, str::FromStr};

/// A bug, of the kinds that stores of this sort have had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A member acknowledges what it has not synced.
    AckBeforeSync,
    /// A read writes back what it found under a version of its own.
    RepairWithNewVersion,
    /// A member forgets a key that is deleted, rather than keep a tombstone.
    DeleteWithoutVersion,
    /// A write is acknowledged by one member fewer than a quorum.
    QuorumOffByOne,
    /// Recovery takes the bytes at the end of a log without their checksums.
    TornTailUnchecked,
    /// A broker issues versions under the writer id that it had before it was restarted.
    VersionReused,
    /// A write that was given up goes on with the members that are still being sent to.
    GivenUpGoesOn,
    /// A member that may lack what it acknowledged counts in quorums at once.
    DoubtfulVotes,
    /// A read answers what one member has, known to others or not.
    ReadUnconfirmed,
    /// A read spreads a value without its end.
    ExpiryDropped,
    /// A read takes values for expired a minute before their end.
    ExpiryEarly,
    /// A read that finds a value expired deletes it under a version of its own.
    ExpiryAsDelete,
    /// A delete of which an answer was lost is reported as not done.
    LostDeleteNotDone,
    /// A page leaves out values that have an end.
    PageWithoutEnding,
    /// A page goes on behind the key that did not fit on the one before.
    PageSkipsKey,
    /// A broker whose clock was set back goes on with versions from where the clock had been.
    ClockStaysAhead,
    /// A member that catches up forgets the flags of what it is brought.
    CatchUpAlters,
    /// A slot votes again only once its member has compared it with every other.
    VoteNeedsEveryone,
}

impl Bug {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 18] = [
        ("ack-before-sync", Self::AckBeforeSync),
        ("repair-with-new-version", Self::RepairWithNewVersion),
        ("delete-without-version", Self::DeleteWithoutVersion),
        ("quorum-off-by-one", Self::QuorumOffByOne),
        ("torn-tail-unchecked", Self::TornTailUnchecked),
        ("version-reused", Self::VersionReused),
        ("given-up-goes-on", Self::GivenUpGoesOn),
        ("doubtful-votes", Self::DoubtfulVotes),
        ("read-unconfirmed", Self::ReadUnconfirmed),
        ("expiry-dropped", Self::ExpiryDropped),
        ("expiry-early", Self::ExpiryEarly),
        ("expiry-as-delete", Self::ExpiryAsDelete),
        ("lost-delete-not-done", Self::LostDeleteNotDone),
        ("page-without-ending", Self::PageWithoutEnding),
        ("page-skips-key", Self::PageSkipsKey),
        ("clock-stays-ahead", Self::ClockStaysAhead),
        ("catch-up-alters", Self::CatchUpAlters),
        ("vote-needs-everyone", Self::VoteNeedsEveryone),
    ];
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, bug)| bug == self);
        f.write_str(name.map_or("unknown", |(name, _)| name))
    }
}

impl FromStr for Bug {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, bug)| *bug).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name);
            format!("no such bug; there are {}", names.join(", "))
        })
    }
}

#[cfg(feature = "planted")]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    std::thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants a bug in everything that this thread runs from now on.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether this bug is planted.
    pub fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(not(feature = "planted"))]
mod switch {
    use super::Bug;

    /// Whether this bug is planted: never, in this build.
    #[inline]
    pub const fn is(_: Bug) -> bool {
        false
    }
}

pub use switch::*;
