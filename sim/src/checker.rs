//! What was promised, held against every answer as it is given.
//!
//! Versions order all writes of a key, so the whole history need not be searched: a read that
//! begins after a version was acknowledged or returned must return that version or a higher one.
//! The checker is told of every version under which a write or a delete is sent, and of every
//! value that a broker takes for expired: nothing else may ever be seen.
//!
//! Every value names the operation that wrote it and fills the rest with bytes derived from that
//! name, so that corrupt, mixed or invented data is recognised.

mod content;
mod finding;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use kvcore::{
    record::ValueMeta,
    version::{UnixMillis, Version},
};

pub use self::{
    content::{Content, payload},
    finding::{Finding, Kind, Violation},
};

/// What an operation asks to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A value, described so.
    Value(ValueMeta),
    /// A delete.
    Tombstone,
}

/// What is known of a write or a delete.
#[derive(Debug)]
struct Operation {
    key: u16,
    wanted: Wanted,
    state: State,
}

/// Whether it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody has seen it yet.
    Unseen,
    /// It was answered, or a copy has it.
    Seen,
    /// It ended as certainly not done.
    NotDone,
}

/// The history so far.
#[derive(Debug)]
pub struct Checker {
    /// Whether read and write quorums meet.
    meets: bool,
    /// The highest version of each key that was acknowledged or returned.
    known: Vec<Option<Version>>,
    operations: BTreeMap<u64, Operation>,
    /// Under which versions writes and deletes were sent, and by which operation.
    versions: BTreeMap<(u16, Version), u64>,
    /// The tombstones of values that a broker found expired.
    expiries: BTreeSet<(u16, Version)>,
}

impl Checker {
    /// Nothing happened yet.
    pub fn new(keys: u16, meets: bool) -> Self {
        Self {
            meets,
            known: vec![None; usize::from(keys)],
            operations: BTreeMap::new(),
            versions: BTreeMap::new(),
            expiries: BTreeSet::new(),
        }
    }

    /// The highest version of the key that was acknowledged or returned.
    pub fn known(&self, key: u16) -> Option<Version> {
        self.known[usize::from(key)]
    }

    /// What a read of the key that begins now must not fall below.
    pub fn floor(&self, key: u16) -> Option<Version> {
        self.known(key).filter(|_| self.meets)
    }

    /// Notes that a write or a delete begins.
    pub fn begins(&mut self, operation: u64, key: u16, wanted: Wanted) {
        let state = State::Unseen;
        let begun = Operation { key, wanted, state };
        self.operations.insert(operation, begun);
    }

    /// Notes that a write or a delete is sent under a version.
    pub fn issued(&mut self, operation: u64, version: Version) -> Result<(), Finding> {
        let Some(known) = self.operations.get(&operation) else {
            let what = format!("operation {operation} stores something and was not asked to");
            return Err((Kind::Corrupt, what));
        };
        let key = known.key;
        let first = *self.versions.entry((key, version)).or_insert(operation);
        if first != operation {
            let what = format!("key {key}: {version} is of operations {first} and {operation}");
            return Err((Kind::VersionTwice, what));
        }
        Ok(())
    }

    /// Notes that a write or a delete certainly did not happen.
    pub fn not_done(&mut self, operation: u64) -> Result<(), Finding> {
        let Some(known) = self.operations.get_mut(&operation) else {
            return Ok(());
        };
        if known.state == State::Seen {
            let what = format!("operation {operation} ended as not done and was seen before");
            return Err((Kind::NotDoneYetDone, what));
        }
        known.state = State::NotDone;
        Ok(())
    }

    /// Notes an acknowledged write or delete.
    pub fn done(
        &mut self,
        operation: u64,
        version: Version,
        floor: Option<Version>,
    ) -> Result<(), Finding> {
        let Some(known) = self.operations.get(&operation) else {
            return Ok(());
        };
        let key = known.key;
        if self.versions.get(&(key, version)) != Some(&operation) {
            let what = format!("key {key}: operation {operation} done {version}, never sent so");
            return Err((Kind::Reversioned, what));
        }
        if floor.is_some_and(|floor| version <= floor) {
            let what = format!("key {key}: acknowledged {version}, known before {floor:?}");
            return Err((Kind::WriteBelow, what));
        }
        self.raise(key, version);
        Ok(())
    }

    /// Holds the answer of a read by a quorum against what was known when it began.
    pub fn read_done(
        &mut self,
        key: u16,
        answer: Option<(Version, Content<'_>)>,
        floor: Option<Version>,
    ) -> Result<(), Finding> {
        let version = answer.map(|(version, _)| version);
        if let Some((version, content)) = answer {
            self.seen(key, version, content)?;
        }
        if version < floor {
            let what = format!("key {key}: read {version:?}, known before {floor:?}");
            return Err((Kind::Lost, what));
        }
        if let Some(version) = version {
            self.raise(key, version);
        }
        Ok(())
    }

    /// Whether a page without the key contradicts what was known when it began: from there on the
    /// key has to have been deleted, or its value found expired.
    pub fn left_out(&self, key: u16, floor: Option<Version>) -> Result<(), Finding> {
        let Some(floor) = floor else {
            return Ok(());
        };
        let from = (key, floor);
        let has_expired = self.expiries.range(from..).next();
        let has_expired = has_expired.is_some_and(|expiry| expiry.0 == key);
        let sent = self.versions.range(from..);
        let mut sent = sent.take_while(|(version, _)| version.0 == key);
        let was_deleted = sent.any(|(_, operation)| {
            let operation = &self.operations[operation];
            operation.wanted == Wanted::Tombstone && operation.state != State::NotDone
        });
        if has_expired || was_deleted {
            return Ok(());
        }
        let what = format!("key {key}: a page leaves it out, known before {floor}");
        Err((Kind::Lost, what))
    }

    /// Holds a value's end against the lowest reading of the clock while it was read.
    pub fn not_expired(
        key: u16,
        expires_at: Option<UnixMillis>,
        lowest: UnixMillis,
    ) -> Result<(), Finding> {
        match expires_at {
            Some(at) if at <= lowest => Err((
                Kind::ExpiredServed,
                format!("key {key}: expired at {at:?}, read from {lowest:?} on"),
            )),
            _ => Ok(()),
        }
    }

    fn raise(&mut self, key: u16, version: Version) {
        let known = &mut self.known[usize::from(key)];
        *known = (*known).max(Some(version));
    }
}
