//! What is seen of a key, held against what was asked for.
//!
//! A value names the operation that wrote it. A tombstone does not, but its version does: either a
//! delete sent it under that version, or it is the expiry of the value just below.

use bytes::Bytes;
use kvcore::{
    record::ValueMeta,
    version::{UnixMillis, Version},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{Checker, Finding, Kind, State, Wanted};

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

/// What an answer or a copy says of a key.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// A value and its bytes.
    Value(&'a ValueMeta, &'a [u8]),
    /// That there is a value.
    Present(&'a ValueMeta),
    /// That there is none.
    Tombstone,
}

impl Checker {
    /// Holds what an answer or a copy says against what was ever asked for.
    pub fn seen(
        &mut self,
        key: u16,
        version: Version,
        content: Content<'_>,
    ) -> Result<(), Finding> {
        let operation = match content {
            Content::Value(meta, bytes) => {
                let operation = self.author(key, bytes)?;
                self.under(key, version, operation)?;
                self.unaltered(key, operation, meta)?;
                operation
            }
            Content::Present(meta) => {
                let issued = self.versions.get(&(key, version)).copied();
                let operation = issued.ok_or_else(|| {
                    let what = format!("key {key}: a value under {version}, which no write had");
                    (Kind::Reversioned, what)
                })?;
                self.unaltered(key, operation, meta)?;
                operation
            }
            Content::Tombstone => self.who_deleted(key, version)?,
        };
        self.happened(key, operation)
    }

    /// Notes that a broker takes the value just below this version for expired, at a time by its
    /// clock; `None` stands for somebody who has to have it from a broker.
    pub fn expired(
        &mut self,
        key: u16,
        version: Version,
        now: Option<UnixMillis>,
    ) -> Result<(), Finding> {
        let early = |why: String| Err((Kind::ExpiredEarly, format!("key {key}: {why}")));
        if self.expiries.contains(&(key, version)) {
            return Ok(());
        }
        let Some(operation) = self.expiring(key, version) else {
            return early(format!(
                "{version} is the expiry of nothing that was written"
            ));
        };
        match (&self.operations[&operation].wanted, now) {
            (Wanted::Value(meta), Some(now)) if meta.is_expired(now) => {
                self.expiries.insert((key, version));
                Ok(())
            }
            (Wanted::Value(meta), Some(now)) => {
                let end = meta.expires_at;
                early(format!("operation {operation} ends {end:?}, gone {now:?}"))
            }
            _ => early(format!("no broker found operation {operation} expired")),
        }
    }

    /// The operation whose version this is the expiry of.
    fn expiring(&self, key: u16, version: Version) -> Option<u64> {
        let below = version.expired()?;
        self.versions.get(&(key, below)).copied()
    }

    /// The delete behind a tombstone, or the write of what expired.
    fn who_deleted(&mut self, key: u16, version: Version) -> Result<u64, Finding> {
        if version.is_expiry() {
            self.expired(key, version, None)?;
            let operation = self.expiring(key, version);
            return Ok(operation.expect("it was found expired"));
        }
        let Some(&operation) = self.versions.get(&(key, version)) else {
            let what = format!("key {key}: a tombstone {version} that no delete sent");
            return Err((Kind::DeletedUnasked, what));
        };
        match self.operations[&operation].wanted {
            Wanted::Tombstone => Ok(operation),
            Wanted::Value(_) => {
                let what = format!("key {key}: {version} is operation {operation}'s, and a delete");
                Err((Kind::VersionTwice, what))
            }
        }
    }

    /// The operation that wrote these bytes under this key.
    fn author(&self, key: u16, value: &[u8]) -> Result<u64, Finding> {
        let corrupt = |what: &str| (Kind::Corrupt, format!("key {key}: {what}"));
        let head = value.first_chunk::<HEAD_BYTES>();
        let operation = u64::from_le_bytes(*head.ok_or_else(|| corrupt("a value too short"))?);
        let length = u32::try_from(value.len()).map_err(|_| corrupt("a value too long"))?;
        let Some(written) = self.operations.get(&operation) else {
            return Err(corrupt("a value that nobody wrote"));
        };
        if written.key != key || payload(operation, length) != value {
            return Err(corrupt("not the bytes that were written"));
        }
        Ok(operation)
    }

    /// A write that is tried again takes another version each time. Under any other its value must
    /// not be seen: it would hide later writes.
    fn under(&self, key: u16, version: Version, operation: u64) -> Result<(), Finding> {
        match self.versions.get(&(key, version)) {
            Some(&issued) if issued == operation => Ok(()),
            Some(issued) => {
                let what =
                    format!("key {key}: {version} is of operations {issued} and {operation}");
                Err((Kind::VersionTwice, what))
            }
            None => {
                let what = format!("key {key}: operation {operation} never had {version}");
                Err((Kind::Reversioned, what))
            }
        }
    }

    fn unaltered(&self, key: u16, operation: u64, meta: &ValueMeta) -> Result<(), Finding> {
        match &self.operations[&operation].wanted {
            Wanted::Value(wanted) if wanted == meta => Ok(()),
            wanted => {
                let what = format!("key {key}: operation {operation} is {meta:?}, was {wanted:?}");
                Err((Kind::Altered, what))
            }
        }
    }

    /// Notes that what an operation asked for is there.
    fn happened(&mut self, key: u16, operation: u64) -> Result<(), Finding> {
        let Some(known) = self.operations.get_mut(&operation) else {
            return Ok(());
        };
        match known.state {
            State::NotDone => {
                let what =
                    format!("key {key}: operation {operation} was not done, yet it is there");
                Err((Kind::NotDoneYetDone, what))
            }
            State::Unseen | State::Seen => {
                known.state = State::Seen;
                Ok(())
            }
        }
    }
}
