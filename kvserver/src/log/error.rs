//! The log's errors, by what the caller must do.

use std::io;

use super::{options::SegmentId, recovery::DamagedRange};

/// Why a log could not be opened. Nothing was changed that a second attempt would miss.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The options contradict a limit: correct the configuration.
    #[error("segment size {segment_bytes} is not between {min} and {max} bytes",
        min = super::LogOptions::SEGMENT_BYTES_MIN, max = super::LogOptions::SEGMENT_BYTES_MAX)]
    Options {
        /// The size that was asked for.
        segment_bytes: u32,
    },
    /// The disk failed: look at it, try again.
    #[error("cannot {action} {name}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file, or the directory.
        name: String,
        /// What the disk said.
        source: io::Error,
    },
    /// A file that the log did not write has a name like the log's own: move it away.
    #[error("{name} is not a file of this log: {reason}")]
    Foreign {
        /// The file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another release wrote the file: run that one.
    #[error("{name} has log format {found}; this program reads format {known}")]
    UnknownFormat {
        /// The file.
        name: String,
        /// The format it declares.
        found: u32,
        /// The format this program knows.
        known: u32,
    },
    /// No segment can be told to belong to this log: the directory has to be given up, and the
    /// member be replaced by a new one.
    #[error(
        "no head of any log segment can be read, first of all that of {name}, nor any record without them"
    )]
    Unreadable {
        /// The first file that should have a head.
        name: String,
    },
}

/// Why an entry was not taken. The batch is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The pending batch is full: commit it, then append again.
    #[error("the pending batch has {pending} bytes, a commit must come first")]
    BatchFull {
        /// Bytes pending.
        pending: usize,
    },
    /// The entry breaks a limit; it can never be stored.
    #[error("the entry cannot be stored: {reason}")]
    Invalid {
        /// Which limit.
        reason: &'static str,
    },
    /// The log stopped taking writes for good: reopen it.
    #[error("the log takes no writes until it is opened again: {reason}")]
    Poisoned {
        /// What happened.
        reason: String,
    },
}

/// Why a batch was not committed. None of its entries are in the log, and the locations that
/// [`super::Log::append`] returned for them are void.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// No room: the batch was taken back. Later commits succeed once there is room.
    #[error("the disk is full: {reason}")]
    DiskFull {
        /// What the disk said.
        reason: String,
    },
    /// The log stopped taking writes for good: reopen it. Whether the batch became durable is
    /// unknown.
    #[error("the log takes no writes until it is opened again: {reason}")]
    Poisoned {
        /// What happened.
        reason: String,
    },
    /// The segment is unknown, still being written to, or damaged and not yet repaired.
    #[error("segment {segment} cannot be retired: {reason}")]
    NotRetirable {
        /// The segment.
        segment: SegmentId,
        /// Why not.
        reason: &'static str,
    },
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The segment was retired meanwhile: look the location up again.
    #[error("segment {0} is no longer part of the log")]
    Gone(SegmentId),
    /// The bytes are not what was written: the record is lost here, other copies have it.
    #[error("damage in the log: {0}")]
    Damaged(Box<DamagedRange>),
    /// The disk failed.
    #[error("cannot read segment {segment}: {source}")]
    Io {
        /// The segment.
        segment: SegmentId,
        /// What the disk said.
        source: io::Error,
    },
}
