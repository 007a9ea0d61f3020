//! What was promised, held against every answer as it is given.
//!
//! Versions order all writes of a key, so the whole history need not be searched: a read that
//! begins after a version was acknowledged or returned must return that version or a higher one.
//! Every value names the operation that wrote it and fills the rest with bytes derived from that
//! name, so that corrupt, mixed or invented data is recognised.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use kvcore::version::{UnixMillis, Version};
use rand::{Rng, SeedableRng, rngs::StdRng};

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
    /// Something that certainly did not happen is there.
    NotDoneYetDone,
    /// One version, two contents.
    VersionTwice,
    /// A value came back under a higher version than it was written with.
    Reversioned,
    /// A write was acknowledged below what it should have overwritten.
    WriteBelow,
    /// A value was returned after its time.
    ExpiredServed,
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

/// What is known of the operation behind a value.
#[derive(Debug)]
struct Written {
    key: u16,
    not_done: bool,
    seen: bool,
    /// The version under which it was acknowledged.
    done: Option<Version>,
    /// The highest version under which it was seen.
    highest: Option<Version>,
}

/// What a version stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Value(u64),
    Tombstone,
}

/// What may not be read any more below.
#[derive(Debug, Clone, Copy, Default)]
struct KeyFacts {
    floor: Option<Version>,
    /// A delete or an expiry was asked for.
    may_vanish: bool,
}

/// The history so far.
#[derive(Debug)]
pub struct Checker {
    /// Whether read and write quorums meet.
    meets: bool,
    keys: Vec<KeyFacts>,
    writes: BTreeMap<u64, Written>,
    versions: BTreeMap<(u16, Version), Stands>,
}

/// Bytes before the filler: the number of the operation.
const HEAD_BYTES: usize = 8;

/// The value that an operation writes, at least eight bytes.
pub fn payload(operation: u64, bytes: u32) -> Bytes {
    let length = (bytes as usize).max(HEAD_BYTES);
    let mut value = vec![0; length];
    value[..HEAD_BYTES].copy_from_slice(&operation.to_le_bytes());
    StdRng::seed_from_u64(operation).fill_bytes(&mut value[HEAD_BYTES..]);
    value.into()
}

impl Checker {
    /// Nothing happened yet.
    pub fn new(keys: u16, meets: bool) -> Self {
        Self {
            meets,
            keys: vec![KeyFacts::default(); usize::from(keys)],
            writes: BTreeMap::new(),
            versions: BTreeMap::new(),
        }
    }

    /// What a read of the key that begins now must not fall below.
    pub fn floor(&self, key: u16) -> Option<Version> {
        self.keys[usize::from(key)].floor.filter(|_| self.meets)
    }

    /// Notes that a write of a value begins.
    pub fn write_begins(&mut self, operation: u64, key: u16, expires: bool) {
        let written = Written {
            key,
            not_done: false,
            seen: false,
            done: None,
            highest: None,
        };
        self.writes.insert(operation, written);
        self.keys[usize::from(key)].may_vanish |= expires;
    }

    /// Notes that a delete begins.
    pub fn delete_begins(&mut self, key: u16) {
        self.keys[usize::from(key)].may_vanish = true;
    }

    /// Notes that a write certainly did not happen.
    pub fn write_not_done(&mut self, operation: u64) -> Result<(), Finding> {
        let Some(written) = self.writes.get_mut(&operation) else {
            return Ok(());
        };
        written.not_done = true;
        if written.seen {
            let what = format!("operation {operation} ended as not done and was read before");
            return Err((Kind::NotDoneYetDone, what));
        }
        Ok(())
    }

    /// Notes an acknowledged write, of a value or of a tombstone.
    pub fn write_done(
        &mut self,
        operation: Option<u64>,
        key: u16,
        version: Version,
        floor: Option<Version>,
    ) -> Result<(), Finding> {
        if let Some(written) = operation.and_then(|number| self.writes.get_mut(&number)) {
            written.done = Some(version);
        }
        self.name(key, version, operation)?;
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
        version: Option<Version>,
        value: Option<&[u8]>,
        floor: Option<Version>,
    ) -> Result<(), Finding> {
        self.content(key, version, value)?;
        Self::not_below(key, version, floor)?;
        if let Some(version) = version {
            self.raise(key, version);
        }
        Ok(())
    }

    /// Holds a version that was read against what was known when the read began.
    pub fn not_below(
        key: u16,
        version: Option<Version>,
        floor: Option<Version>,
    ) -> Result<(), Finding> {
        if version >= floor {
            return Ok(());
        }
        let what = format!("key {key}: read {version:?}, known before {floor:?}");
        Err((Kind::Lost, what))
    }

    /// Holds an answer's bytes against what was ever written.
    pub fn content(
        &mut self,
        key: u16,
        version: Option<Version>,
        value: Option<&[u8]>,
    ) -> Result<(), Finding> {
        let Some(value) = value else {
            return match version {
                Some(version) => self.name(key, version, None),
                None => Ok(()),
            };
        };
        let operation = self.author(key, value)?;
        let version = version.ok_or((Kind::Corrupt, format!("key {key}: value, no version")))?;
        self.name(key, version, Some(operation))
    }

    /// The operation that wrote these bytes under this key.
    fn author(&mut self, key: u16, value: &[u8]) -> Result<u64, Finding> {
        let corrupt = |what: &str| (Kind::Corrupt, format!("key {key}: {what}"));
        let head = value.first_chunk::<HEAD_BYTES>();
        let operation = u64::from_le_bytes(*head.ok_or_else(|| corrupt("a value too short"))?);
        let length = u32::try_from(value.len()).map_err(|_| corrupt("a value too long"))?;
        let Some(written) = self.writes.get_mut(&operation) else {
            return Err(corrupt("a value that nobody wrote"));
        };
        if written.key != key || payload(operation, length) != value {
            return Err(corrupt("not the bytes that were written"));
        }
        written.seen = true;
        if written.not_done {
            let what = format!("key {key}: operation {operation} was not done, yet it is there");
            return Err((Kind::NotDoneYetDone, what));
        }
        Ok(operation)
    }

    /// Whether a page without the key contradicts what was known when it began.
    pub fn left_out(&self, key: u16, floor: Option<Version>) -> Result<(), Finding> {
        match floor {
            Some(floor) if !self.keys[usize::from(key)].may_vanish => Err((
                Kind::Lost,
                format!("key {key}: a page leaves it out, known before {floor}"),
            )),
            _ => Ok(()),
        }
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

    fn name(&mut self, key: u16, version: Version, value: Option<u64>) -> Result<(), Finding> {
        let stands = value.map_or(Stands::Tombstone, Stands::Value);
        let known = *self.versions.entry((key, version)).or_insert(stands);
        if known == stands {
            return value.map_or(Ok(()), |operation| self.under(key, operation, version));
        }
        let what = format!("key {key}: {version} is {known:?} and {stands:?}");
        Err((Kind::VersionTwice, what))
    }

    /// A write that is tried again takes a higher version each time, and is acknowledged under the
    /// last. Above that one its value must not be seen: it would hide later writes.
    fn under(&mut self, key: u16, operation: u64, version: Version) -> Result<(), Finding> {
        let Some(written) = self.writes.get_mut(&operation) else {
            return Ok(());
        };
        written.highest = written.highest.max(Some(version));
        match (written.done, written.highest) {
            (Some(done), Some(highest)) if highest > done => {
                let what = format!("key {key}: operation {operation} done {done}, seen {highest}");
                Err((Kind::Reversioned, what))
            }
            _ => Ok(()),
        }
    }

    fn raise(&mut self, key: u16, version: Version) {
        let floor = &mut self.keys[usize::from(key)].floor;
        *floor = (*floor).max(Some(version));
    }
}
