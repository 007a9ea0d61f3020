//! Entries: what the store puts into the log.

use bytes::Bytes;
use kvcore::{
    key::Key,
    record::{Record, UploadId},
    slot::Slot,
};

/// What one log record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A record of a key. `Payload::Whole` holds at most [`kvcore::limits::CHUNK_BYTES`];
    /// `Payload::Chunked` makes the chunks of that upload a value.
    Record {
        /// The key.
        key: Key,
        /// Its record.
        record: Record,
    },
    /// A piece of a value, meaningless until a record names its upload.
    Chunk {
        /// The chunks it belongs to.
        upload: UploadId,
        /// The slot of the key whose value it is.
        slot: Slot,
        /// Its place in the value.
        index: u32,
        /// Its bytes, at most [`kvcore::limits::CHUNK_BYTES`].
        bytes: Bytes,
    },
}
