//! What brokers and trie servers say to each other after the handshake.

use bytes::Bytes;

use crate::{
    key::Key,
    placement::{Digest, Epoch, Placement},
    record::{Record, UploadId, ValueMeta},
    slot::{Slot, SlotSet},
    version::{UnixMillis, Version},
};

/// Digest buckets of one slot.
pub const BUCKETS: usize = 256;

/// A set of digest buckets, one bit each; bucket `n` is bit `n % 8` of byte `n / 8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketSet(pub [u8; BUCKETS / 8]);

/// A digest bucket of a slot: bits 10 to 17 of the key's XXH3-64, those just above the slot's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(pub u8);

impl Bucket {
    /// The bucket of a key.
    pub fn of(key: &[u8]) -> Self {
        let bits = xxhash_rust::xxh3::xxh3_64(key) >> crate::limits::SLOTS.trailing_zeros();
        Self((bits & 0xFF) as u8)
    }
}

impl BucketSet {
    /// The empty set.
    pub const EMPTY: Self = Self([0; BUCKETS / 8]);
    /// The set of all buckets.
    pub const FULL: Self = Self([0xFF; BUCKETS / 8]);

    /// Adds a bucket.
    pub fn insert(&mut self, bucket: Bucket) {
        self.0[usize::from(bucket.0 / 8)] |= 1 << (bucket.0 % 8);
    }

    /// Whether the bucket is in the set.
    pub fn contains(&self, bucket: Bucket) -> bool {
        self.0[usize::from(bucket.0 / 8)] & (1 << (bucket.0 % 8)) != 0
    }
}

/// What every request for data of one slot carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The slot; the server refuses it where it does not hold it.
    pub slot: Slot,
    /// The placement the sender acts on.
    pub epoch: Epoch,
    /// When the client's operation began, by the sender's clock.
    pub began_at: UnixMillis,
}

/// The same for requests that span slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopedSlots {
    /// The slots asked for.
    pub slots: SlotSet,
    /// The placement the sender acts on.
    pub epoch: Epoch,
    /// When the client's operation began, by the sender's clock.
    pub began_at: UnixMillis,
}

/// Why a record is being written; decides whether its version is held against the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Intent {
    /// A new write with a version off the sender's clock: refused when too far ahead.
    Fresh = 0,
    /// A new write above a stored version.
    Successor = 1,
    /// An existing record, or the expiry of one, brought to a member that lacks it.
    Repair = 2,
}

/// What a scan wants of each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Want {
    /// Values, where they are small enough for a page.
    Values = 0,
    /// Versions alone.
    Versions = 1,
}

/// What a broker, another server or an author asks of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Are you there?
    Ping,
    /// Which placement do you have?
    FetchPlacement,
    /// Take this placement if it is newer.
    Adopt(Placement),
    /// The record of a key; a large value comes as [`crate::record::Payload::Chunked`].
    Get {
        /// Slot, epoch and age.
        scope: Scope,
        /// Which key.
        key: Key,
    },
    /// The version of a key's record.
    GetVersion {
        /// Slot, epoch and age.
        scope: Scope,
        /// Which key.
        key: Key,
    },
    /// One chunk of a large value.
    GetChunk {
        /// Slot, epoch and age.
        scope: Scope,
        /// Which key.
        key: Key,
        /// The version the other chunks came from.
        version: Version,
        /// Which chunk, from 0.
        index: u32,
    },
    /// Store this record if it is newer than what is there.
    Put {
        /// Slot, epoch and age.
        scope: Scope,
        /// Which key.
        key: Key,
        /// Its new record; a large value's chunks were sent before.
        record: Record,
        /// Why.
        intent: Intent,
    },
    /// Keep this chunk until a `Put` names its upload.
    PutChunk {
        /// Slot, epoch and age.
        scope: Scope,
        /// Which set of chunks.
        upload: UploadId,
        /// Which chunk, from 0; all but the last have [`crate::limits::CHUNK_BYTES`].
        index: u32,
        /// Its bytes.
        bytes: Bytes,
    },
    /// Keys in order, over several slots.
    Scan {
        /// Slots, epoch and age.
        scope: ScopedSlots,
        /// Only keys that start with this.
        prefix: Bytes,
        /// Only keys above this one.
        after: Option<Key>,
        /// At most this many entries.
        limit: u16,
        /// Values or versions.
        want: Want,
    },
    /// The digests of several slots.
    Digests {
        /// Slots, epoch and age.
        scope: ScopedSlots,
    },
    /// The digests of a slot's buckets.
    Buckets {
        /// Slot, epoch and age.
        scope: Scope,
    },
    /// Keys and versions in some buckets of a slot, in key order.
    Versions {
        /// Slot, epoch and age.
        scope: Scope,
        /// Which buckets.
        buckets: BucketSet,
        /// Only keys above this one.
        after: Option<Key>,
    },
}

/// Whether an answer counts in a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// It does.
    Voter = 0,
    /// It does not: the member may lack writes that it acknowledged before it restarted.
    Unsynced = 1,
    /// It does not: the slot's data on this member is damaged.
    Damaged = 2,
}

/// A version and what it is the version of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Of a value.
    Value(Version),
    /// Of a tombstone.
    Tombstone(Version),
}

impl Found {
    /// The version.
    pub fn version(self) -> Version {
        match self {
            Self::Value(version) | Self::Tombstone(version) => version,
        }
    }
}

/// One key of a scan page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageEntry {
    /// The key.
    pub key: Key,
    /// Its version, and whether it is deleted.
    pub found: Found,
    /// The value, where it was asked for and fits a page.
    pub value: Option<(ValueMeta, Bytes)>,
}

/// A page of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Keys in ascending order, tombstones among them.
    pub entries: Vec<PageEntry>,
    /// Whether more keys may follow the last one.
    pub more: bool,
    /// Slots that were asked for and could not be answered for.
    pub unanswered: SlotSet,
}

/// One key of a version page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionEntry {
    /// The key.
    pub key: Key,
    /// Its version.
    pub version: Version,
}

/// What a member has in one slot, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotDigest {
    /// The slot.
    pub slot: Slot,
    /// Whether the member's answers for it count.
    pub standing: Standing,
    /// The sum of its buckets' digests.
    pub digest: u64,
}

/// A page of keys and versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionPage {
    /// Keys in ascending order.
    pub entries: Vec<VersionEntry>,
    /// Whether more may follow the last one.
    pub more: bool,
}

/// What a member answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// I am here, with this epoch.
    Pong {
        /// The member's epoch; zero while it is blank.
        epoch: Epoch,
    },
    /// The placement I have.
    Placement(Option<Placement>),
    /// Your placement is durable here and older requests are refused.
    Adopted {
        /// The epoch in force now.
        epoch: Epoch,
        /// Its digest.
        digest: Digest,
    },
    /// The record you asked for, or that there is none.
    Record {
        /// Whether it counts.
        standing: Standing,
        /// The record.
        record: Option<Record>,
    },
    /// The version you asked for, or that there is none.
    Version {
        /// Whether it counts.
        standing: Standing,
        /// The version.
        found: Option<Found>,
    },
    /// The chunk you asked for.
    Chunk(Bytes),
    /// Your record is durable here, now or already.
    Stored {
        /// Whether it counts.
        standing: Standing,
    },
    /// A newer record is here; yours was not stored.
    Superseded {
        /// Its version.
        by: Version,
    },
    /// Your chunk is kept.
    ChunkStored,
    /// Keys in order.
    Page(Page),
    /// One digest a slot, in the order of slots asked for.
    Digests(Vec<SlotDigest>),
    /// One digest a bucket.
    Buckets(Box<[u64; BUCKETS]>),
    /// Keys and versions in order.
    Versions(VersionPage),
    /// The write may or may not be durable here; the reason.
    Uncertain(String),
    /// No, and nothing was changed.
    Refused(Refusal),
}

/// Why a member did not do what it was asked. It did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request's placement is older than the member's.
    #[error("the member has a newer placement, epoch {}", .0.epoch())]
    StaleEpoch(Placement),
    /// The request's placement is newer than the member's: send it.
    #[error("the member has an older placement, epoch {have}")]
    BehindEpoch {
        /// The member's epoch.
        have: Epoch,
    },
    /// The member does not hold the slot.
    #[error("the member does not hold slot {0}")]
    NotHeld(Slot),
    /// The slot's data on this member is damaged and cannot be read until it is repaired.
    #[error("slot {0} is damaged on this member and waits for repair")]
    Damaged(Slot),
    /// A fresh version lies too far ahead of the member's clock.
    #[error(
        "the version is {ahead_ms} ms ahead of the member's clock, at most {limit_ms} are taken: check the clocks"
    )]
    TooFarAhead {
        /// How far.
        ahead_ms: u64,
        /// How far it may.
        limit_ms: u64,
    },
    /// The operation began too long ago to be carried out safely.
    #[error("the operation began {age_ms} ms ago, at most {limit_ms} are taken")]
    TooOld {
        /// How long ago.
        age_ms: u64,
        /// How long it may.
        limit_ms: u64,
    },
    /// The member's memory limit is reached; reads and deletes go on.
    #[error(
        "the member's memory limit of {limit_bytes} bytes is reached: delete keys or raise --memory-limit"
    )]
    MemoryLimit {
        /// The limit.
        limit_bytes: u64,
    },
    /// The member's disk is full; reads go on.
    #[error("the member's disk is full: reads go on, writes wait for room")]
    DiskFull,
    /// The member's log failed; reads go on, writes need a restart.
    #[error("the member takes no writes until it is restarted: {0}")]
    LogFailed(String),
    /// A `Put` named an upload whose chunks are not all here.
    #[error("chunks of the value are missing on the member")]
    ChunksMissing,
    /// The version whose chunk was asked for has been overwritten.
    #[error("the version was overwritten while it was being read")]
    Gone,
    /// A bounded queue or table is full.
    #[error("the member is overloaded: {0}")]
    Overloaded(String),
    /// The member is starting or stopping.
    #[error("the member is {0}")]
    NotServing(String),
    /// The placement offered is not taken.
    #[error("the placement is refused: {0}")]
    Placement(String),
    /// The request contradicts itself or breaks a limit.
    #[error("the request is invalid: {0}")]
    Invalid(String),
}
