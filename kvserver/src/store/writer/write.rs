//! What is written.

use std::collections::HashSet;

use bytes::Bytes;
use kvcore::{
    key::Key,
    record::{Body, Payload, Record, UploadId},
    slot::Slot,
};

use crate::log::{Entry, Location};

/// One write.
#[derive(Debug)]
pub enum Write {
    /// Store a record if it is newer.
    Put {
        /// The key.
        key: Key,
        /// Its record.
        record: Record,
    },
    /// Keep a chunk until a record names its upload.
    Chunk {
        /// The chunks it belongs to.
        upload: UploadId,
        /// The slot of the value's key.
        slot: Slot,
        /// Its place in the value.
        index: u32,
        /// Its bytes.
        bytes: Bytes,
    },
}

impl Write {
    /// About what it adds to a batch, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Put { key, record } => {
                let payload = match &record.body {
                    Body::Value {
                        payload: Payload::Whole(bytes),
                        ..
                    } => bytes.len(),
                    _ => 0,
                };
                64 + key.as_bytes().len() + payload
            }
            Self::Chunk { bytes, .. } => 64 + bytes.len(),
        }
    }

    /// Its entry of the log.
    pub(super) fn entry(&self) -> Entry {
        match self {
            Self::Put { key, record } => Entry::Record {
                key: key.clone(),
                record: record.clone(),
            },
            Self::Chunk {
                upload,
                slot,
                index,
                bytes,
            } => Entry::Chunk {
                upload: *upload,
                slot: *slot,
                index: *index,
                bytes: bytes.clone(),
            },
        }
    }

    /// The upload it names, if any.
    fn upload(&self) -> Option<UploadId> {
        match self {
            Self::Chunk { upload, .. } => Some(*upload),
            Self::Put { record, .. } => match &record.body {
                Body::Value {
                    payload: Payload::Chunked(upload),
                    ..
                } => Some(*upload),
                _ => None,
            },
        }
    }
}

/// Writes that were appended to the log and wait for its commit.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) writes: Vec<PendingWrite>,
    keys: HashSet<Key>,
    uploads: HashSet<UploadId>,
    /// Uploads that records name, rather than chunks alone.
    claimed: HashSet<UploadId>,
}

/// One of them.
pub(super) struct PendingWrite {
    /// Its place among the writes that were asked for.
    pub(super) at: usize,
    pub(super) write: Write,
    pub(super) location: Location,
}

impl Pending {
    /// Whether what becomes of `write` can only be told once these are visible: where a value in
    /// chunks meets another write of its chunks or of its key. A record that is in the log can
    /// not be refused any more, so it has to be known before.
    pub(super) fn bear_on(&self, write: &Write) -> bool {
        let Some(upload) = write.upload() else {
            return false;
        };
        match write {
            Write::Put { key, .. } => self.uploads.contains(&upload) || self.keys.contains(key),
            Write::Chunk { .. } => self.claimed.contains(&upload),
        }
    }

    pub(super) fn push(&mut self, write: PendingWrite) {
        if let Some(upload) = write.write.upload() {
            self.uploads.insert(upload);
            if let Write::Put { .. } = write.write {
                self.claimed.insert(upload);
            }
        }
        if let Write::Put { key, .. } = &write.write {
            self.keys.insert(key.clone());
        }
        self.writes.push(write);
    }

    pub(super) fn has_record(&self) -> bool {
        !self.keys.is_empty()
    }
}
