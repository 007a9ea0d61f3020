//! What a request for data comes to: a refusal, something to read, or something to write. Pure.
//!
//! The socket's task and the simulation run the same judgement; they differ in where a read may
//! block and in who owns the writer.

use kvcore::{
    key::Key,
    record::Record,
    slot::{Slot, SlotSet},
    status::StorageMode,
    version::{UnixMillis, Version},
    wire::{BucketSet, Intent, Refusal, Reply, Request, Scope, Want},
};

use crate::{
    authority::{Admitted, Authority, admit_version},
    log::disk::Disk,
    store::{ReadFailure, ScanRequest, Store, writer::Write},
};

/// What there is to do.
#[derive(Debug)]
pub enum Work {
    /// Look something up, and answer it if what it was let in for is still so.
    Read(Read, Admitted),
    /// Hand this to the writer, before a newer placement is put in force.
    Write(Write),
}

/// Something to look up.
#[derive(Debug)]
pub enum Read {
    /// A record.
    Record(Key),
    /// A record's version.
    Version(Key),
    /// One chunk of a value in chunks.
    Chunk(Key, Version, u32),
    /// A page of keys.
    Page {
        /// Of these slots.
        slots: SlotSet,
        /// That start with this.
        prefix: bytes::Bytes,
        /// Above this one.
        after: Option<Key>,
        /// At most this many.
        limit: u16,
        /// With their values, or not.
        want: Want,
    },
    /// The digests of these slots.
    Digests(SlotSet),
    /// The digests of a slot's buckets.
    Buckets(Slot),
    /// Keys and versions in some buckets.
    Versions(Slot, BucketSet, Option<Key>),
}

/// Holds a request against the placement in force and the clock.
pub fn judge(authority: &Authority, request: Request, now: UnixMillis) -> Result<Work, Refusal> {
    let admit = |scope: &Scope| authority.admit(scope, now);
    let admit_key = |scope: &Scope, key: &Key| {
        check_slot(scope, key)?;
        authority.admit(scope, now)
    };
    let (read, admitted) = match request {
        Request::Get { scope, key } => {
            let admitted = admit_key(&scope, &key)?;
            (Read::Record(key), admitted)
        }
        Request::GetVersion { scope, key } => {
            let admitted = admit_key(&scope, &key)?;
            (Read::Version(key), admitted)
        }
        Request::GetChunk {
            scope,
            key,
            version,
            index,
        } => {
            let admitted = admit_key(&scope, &key)?;
            (Read::Chunk(key, version, index), admitted)
        }
        Request::Put {
            scope,
            key,
            record,
            intent,
        } => {
            admit_key(&scope, &key)?;
            return put(key, record, intent, now);
        }
        Request::PutChunk {
            scope,
            upload,
            index,
            bytes,
        } => {
            admit(&scope)?;
            let slot = scope.slot;
            return Ok(Work::Write(Write::Chunk {
                upload,
                slot,
                index,
                bytes,
            }));
        }
        Request::Scan {
            scope,
            prefix,
            after,
            limit,
            want,
        } => {
            let admitted = authority.admit_slots(&scope, now)?;
            let read = Read::Page {
                slots: scope.slots,
                prefix,
                after,
                limit,
                want,
            };
            (read, admitted)
        }
        Request::Digests { scope } => {
            let admitted = authority.admit_slots(&scope, now)?;
            (Read::Digests(scope.slots), admitted)
        }
        Request::Buckets { scope } => {
            let admitted = admit(&scope)?;
            (Read::Buckets(scope.slot), admitted)
        }
        Request::Versions {
            scope,
            buckets,
            after,
        } => {
            let admitted = admit(&scope)?;
            (Read::Versions(scope.slot, buckets, after), admitted)
        }
        Request::Ping | Request::FetchPlacement | Request::Adopt(_) => {
            return Err(Refusal::Invalid("not a request for data".to_owned()));
        }
    };
    Ok(Work::Read(read, admitted))
}

fn put(key: Key, record: Record, intent: Intent, now: UnixMillis) -> Result<Work, Refusal> {
    admit_version(record.version, intent, now)?;
    Ok(Work::Write(Write::Put { key, record }))
}

fn check_slot(scope: &Scope, key: &Key) -> Result<(), Refusal> {
    let slot = key.slot();
    if slot == scope.slot {
        Ok(())
    } else {
        Err(Refusal::Invalid(format!(
            "key {key} lies in slot {slot}, not in {}",
            scope.slot
        )))
    }
}

impl Read {
    /// Whether looking it up may wait for the disk of a store in this mode.
    pub fn may_block(&self, mode: StorageMode) -> bool {
        let values = match self {
            Self::Record(_) | Self::Chunk(..) => true,
            Self::Page { want, .. } => *want == Want::Values,
            Self::Version(_) | Self::Digests(_) | Self::Buckets(_) | Self::Versions(..) => false,
        };
        values && mode == StorageMode::Disk
    }

    /// Looks it up.
    pub fn carry_out<D: Disk>(self, store: &Store<D>) -> Result<Reply, Refusal> {
        Ok(match self {
            Self::Record(key) => {
                let (standing, record) = store.get(&key)?;
                Reply::Record { standing, record }
            }
            Self::Version(key) => {
                let (standing, found) = store.version(&key)?;
                Reply::Version { standing, found }
            }
            Self::Chunk(key, version, index) => Reply::Chunk(store.chunk(&key, version, index)?),
            Self::Page {
                slots,
                prefix,
                after,
                limit,
                want,
            } => Reply::Page(store.scan(&ScanRequest {
                slots: &slots,
                prefix: &prefix,
                after: after.as_ref().map(Key::as_bytes),
                limit: usize::from(limit),
                want,
            })),
            Self::Digests(slots) => {
                Reply::Digests(slots.iter().map(|slot| store.digest(slot)).collect())
            }
            Self::Buckets(slot) => Reply::Buckets(store.buckets(slot)),
            Self::Versions(slot, buckets, after) => {
                let after = after.as_ref().map(Key::as_bytes);
                Reply::Versions(store.versions(slot, &buckets, after))
            }
        })
    }
}

impl From<ReadFailure> for Refusal {
    fn from(failure: ReadFailure) -> Self {
        match failure {
            ReadFailure::Damaged(slot) => Self::Damaged(slot),
            ReadFailure::Emptied(slot) => Self::NotHeld(slot),
            ReadFailure::Replaced => Self::Gone,
            ReadFailure::Disk(why) => Self::NotServing(format!("unable to read: {why}")),
        }
    }
}
