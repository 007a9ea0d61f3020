//! Recovery: from the files that are there to the log as it was, and what is missing of it.

use std::{fmt, ops::Range};

use bytes::Bytes;
use kvcore::{
    key::Key,
    record::{Record, UploadId},
    slot::{Slot, SlotSet},
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

/// What opening a log hands to its visitor for every record in it.
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

impl RecoveredEntry {
    /// The slot it belongs to.
    pub fn slot(&self) -> Slot {
        match self {
            Self::Record { key, .. } => key.slot(),
            Self::Chunk { slot, .. } => *slot,
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
