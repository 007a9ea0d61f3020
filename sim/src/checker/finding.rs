//! Promises that were broken, by kind.

use std::fmt;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When, in microseconds of simulated time.
    pub at_us: u64,
    /// Which kind: shrinking looks for the same.
    pub kind: Kind,
    /// What happened.
    pub what: String,
}

/// Kinds of broken promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A read, a scan or a copy has less than was acknowledged or returned before.
    Lost,
    /// Bytes nobody wrote, or of another key.
    Corrupt,
    /// A value came back with another end, or other flags, than it was written with.
    Altered,
    /// Something that certainly did not happen is there.
    NotDoneYetDone,
    /// One version, two contents.
    VersionTwice,
    /// A value came back under a version that no write of it had.
    Reversioned,
    /// A write was acknowledged below what it should have overwritten.
    WriteBelow,
    /// A value was returned after its time.
    ExpiredServed,
    /// A value was taken for expired that has no end, or before its end.
    ExpiredEarly,
    /// A key is deleted although nobody asked for it.
    DeletedUnasked,
    /// A page has keys that it was not asked for, or does not go on behind the one before.
    PageWrong,
    /// An operation outlived its deadline.
    Deadline,
    /// Copies differ although all faults are over.
    NotConverged,
    /// Something that is run panicked.
    Panicked,
    /// What should have been possible without faults was not.
    Unavailable,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at_us as f64 / 1e6;
        write!(f, "{:?} at {seconds:.3} s: {}", self.kind, self.what)
    }
}

/// Kind and words of what is wrong, before it is given its time.
pub type Finding = (Kind, String);
