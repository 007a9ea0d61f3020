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
    pub(super) fn into_entry(self) -> Entry {
        match self {
            Self::Put { key, record } => Entry::Record { key, record },
            Self::Chunk {
                upload,
                slot,
                index,
                bytes,
            } => Entry::Chunk {
                upload,
                slot,
                index,
                bytes,
            },
        }
    }

    /// The upload it names, if any.
    fn upload(&self) -> Option<UploadId> {
        match self {
            Self::Chunk { upload, .. } => Some(*upload),
            Self::Put { record, .. } => upload_of(record),
        }
    }
}

/// The upload that the record names, if any.
pub(super) fn upload_of(record: &Record) -> Option<UploadId> {
    match &record.body {
        Body::Value {
            payload: Payload::Chunked(upload),
            ..
        } => Some(*upload),
        _ => None,
    }
}

/// Writes that were appended to the log and wait for its commit.
#[derive(Debug, Default)]
pub(in crate::store) struct Pending {
    pub(super) writes: Vec<PendingWrite>,
    has_record: bool,
    uploads: HashSet<UploadId>,
    /// Uploads that records name, rather than chunks alone.
    claimed: HashSet<UploadId>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct PendingWrite {
    /// Its place among the writes that were asked for.
    pub(super) at: usize,
    pub(super) entry: Entry,
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
            Write::Put { key, .. } => self.uploads.contains(&upload) || self.writes_to(key),
            Write::Chunk { .. } => self.claimed.contains(&upload),
        }
    }

    /// Searched: only values in chunks ask, which are large and few.
    fn writes_to(&self, wanted: &Key) -> bool {
        let mut entries = self.writes.iter().map(|write| &write.entry);
        entries.any(|entry| matches!(entry, Entry::Record { key, .. } if key == wanted))
    }

    pub(super) fn push(&mut self, write: PendingWrite) {
        match &write.entry {
            Entry::Record { record, .. } => {
                self.has_record = true;
                if let Some(upload) = upload_of(record) {
                    self.uploads.insert(upload);
                    self.claimed.insert(upload);
                }
            }
            Entry::Chunk { upload, .. } => {
                self.uploads.insert(*upload);
            }
        }
        self.writes.push(write);
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.writes.clear();
        self.has_record = false;
        self.uploads.clear();
        self.claimed.clear();
    }

    pub(super) fn has_record(&self) -> bool {
        self.has_record
    }
}
