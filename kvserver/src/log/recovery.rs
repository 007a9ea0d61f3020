//! Recovery: from the files that are there to the log as it was, and what is missing of it.

use std::{fmt, ops::Range};

use bytes::Bytes;
use kvcore::{
    key::Key,
    record::{Body, Payload, Record, UploadId, ValueMeta},
    slot::{Slot, SlotSet},
    version::Version,
};

use super::{Location, options::SegmentId};

mod inventory;
mod order;
mod plan;
mod renew;
mod replay;
mod survey;
mod tail;

pub(super) use order::open;

/// What opening a log hands to its visitor for every record in it: borrowed from what was read,
/// since a log has millions.
#[derive(Debug, Clone, Copy)]
pub enum Recovered<'b> {
    /// A record of a key.
    Record {
        /// The key: as many bytes as one may have.
        key: &'b [u8],
        /// Its slot.
        slot: Slot,
        /// The record's version.
        version: Version,
        /// What the record says.
        content: RecoveredContent<'b>,
    },
    /// A chunk of a value.
    Chunk {
        /// The chunks it belongs to.
        upload: UploadId,
        /// The slot of the key whose value it is.
        slot: Slot,
        /// Its place in the value.
        index: u32,
        /// Its bytes' number.
        length: u32,
        /// Its bytes, where values are loaded.
        bytes: Option<&'b [u8]>,
    },
}

/// What a recovered record says.
#[derive(Debug, Clone, Copy)]
pub enum RecoveredContent<'b> {
    /// The key was deleted.
    Tombstone,
    /// A value, and its payload if that was loaded or is empty.
    Whole(ValueMeta, Option<&'b [u8]>),
    /// A value in chunks.
    Chunked(ValueMeta, UploadId),
}

/// The same, to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveredEntry {
    /// A record of a key.
    Record {
        /// The key.
        key: Key,
        /// The record; its `Payload::Whole` is empty when the payload was not loaded.
        record: Record,
        /// Whether the record carries its payload (always so if it has none).
        payload_loaded: bool,
    },
    /// A chunk of a value.
    Chunk {
        /// The chunks it belongs to.
        upload: UploadId,
        /// The slot of the key whose value it is.
        slot: Slot,
        /// Its place in the value.
        index: u32,
        /// Its bytes' number.
        length: u32,
        /// Its bytes, where values are loaded.
        bytes: Option<Bytes>,
    },
}

/// What recovery found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Segments of the log, the one being written included.
    pub segments: usize,
    /// Records handed to the visitor.
    pub records: u64,
    /// Bytes cut from the end: written, but never known to be durable.
    pub torn_bytes: u64,
    /// Where they were cut.
    pub torn_at: Option<(SegmentId, u32)>,
    /// Whether some of those bytes were room that was made ahead: what should have been written
    /// there was never durable.
    pub is_unwritten: bool,
    /// The slots that may have lost records which were durable once.
    pub damage: Damage,
    /// The damage in detail, also such that touches no slot.
    pub damaged: Vec<DamagedRange>,
    /// Whether the log was closed properly.
    pub clean_shutdown: bool,
    /// Whether every byte that a commit ever acknowledged is known to be there, so that the member
    /// may vote at once. Once false, it stays false over restarts until [`super::Log::repaired`].
    pub intact: bool,
    /// Segments that were read from their hint files.
    pub from_hints: usize,
}

/// Slots that damage may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// None.
    None,
    /// These.
    Slots(SlotSet),
    /// It cannot be told: any slot.
    All,
}

/// Bytes of the log that are not what was written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRange {
    /// The segment.
    pub segment: SegmentId,
    /// The bytes; empty when it is not known how many are missing.
    pub range: Range<u64>,
    /// The slots whose records they may have held.
    pub slots: Damage,
    /// What is wrong with them.
    pub reason: &'static str,
}

impl Recovered<'_> {
    /// The slot it belongs to.
    pub fn slot(&self) -> Slot {
        match *self {
            Self::Record { slot, .. } | Self::Chunk { slot, .. } => slot,
        }
    }

    /// A copy to keep.
    pub fn to_entry(&self) -> RecoveredEntry {
        match *self {
            Self::Record {
                key,
                version,
                content,
                ..
            } => RecoveredEntry::Record {
                key: Key::copy_from(key).expect("recovery checks keys"),
                record: Record {
                    version,
                    body: content.to_body(Bytes::copy_from_slice),
                },
                payload_loaded: !matches!(content, RecoveredContent::Whole(_, None)),
            },
            Self::Chunk {
                upload,
                slot,
                index,
                length,
                bytes,
            } => RecoveredEntry::Chunk {
                upload,
                slot,
                index,
                length,
                bytes: bytes.map(Bytes::copy_from_slice),
            },
        }
    }
}

impl RecoveredContent<'_> {
    /// As the body of a record, empty where the payload was not loaded.
    pub(super) fn to_body(self, keep: impl FnOnce(&[u8]) -> Bytes) -> Body {
        match self {
            Self::Tombstone => Body::Tombstone,
            Self::Whole(meta, payload) => Body::Value {
                meta,
                payload: Payload::Whole(payload.map_or_else(Bytes::new, keep)),
            },
            Self::Chunked(meta, upload) => Body::Value {
                meta,
                payload: Payload::Chunked(upload),
            },
        }
    }
}

impl Damage {
    /// The damage of this and that.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (this, Self::None) => this,
            (Self::None, that) => that.clone(),
            (Self::Slots(mut slots), Self::Slots(more)) => {
                for slot in more.iter() {
                    slots.insert(slot);
                }
                Self::Slots(slots)
            }
        }
    }

    /// The damage of one slot.
    pub fn of(slot: Slot) -> Self {
        Self::Slots(std::iter::once(slot).collect())
    }

    /// Whether records of `slot` may be lost.
    pub fn touches(&self, slot: Slot) -> bool {
        match self {
            Self::None => false,
            Self::Slots(slots) => slots.contains(slot),
            Self::All => true,
        }
    }
}

impl fmt::Display for DamagedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range;
        write!(
            f,
            "segment {}, bytes {start} to {end}: {}",
            self.segment, self.reason
        )
    }
}
