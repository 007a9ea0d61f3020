//! Which writes go to the log, and what is said of the others.

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    record::{Body, Payload, Record, UploadId, ValueMeta},
    slot::Slot,
    status::StorageMode,
    wire::{Refusal, Reply},
};

use super::{
    super::held::{Content, Held},
    Write, Writer,
};
use crate::log::disk::Disk;

/// Whether a chunk belongs to a value that is visible.
enum InValue {
    /// No visible value has the upload.
    No,
    /// It does, and has a chunk of this length there.
    Chunk { length: usize },
    /// It does, without such a chunk or in another slot.
    Elsewhere,
}

impl<D: Disk> Writer<D> {
    /// The reply to a write that need not go to the log.
    pub(super) fn admit(&self, write: &Write) -> Option<Reply> {
        match write {
            Write::Put { key, record } => self.admit_put(key, record),
            Write::Chunk {
                upload,
                slot,
                index,
                bytes,
            } => match self.admit_chunk(*upload, *slot, *index, bytes) {
                Ok(Chunk::New) => None,
                Ok(Chunk::Visible) => Some(Reply::ChunkStored),
                Err(refusal) => Some(Reply::Refused(refusal)),
            },
        }
    }

    fn admit_put(&self, key: &Key, record: &Record) -> Option<Reply> {
        let shelf = self.shelves.read(key.slot());
        let held = shelf.trie.get(key.as_bytes());
        if let Some(held) = held {
            if held.version > record.version {
                return Some(Reply::Superseded { by: held.version });
            }
            if held.version == record.version {
                return Some(Reply::Stored {
                    standing: shelf.standing,
                });
            }
        }
        let Body::Value { meta, payload } = &record.body else {
            return None;
        };
        let refusal = match payload {
            Payload::Whole(bytes) if bytes.len() != meta.length as usize => Some(Refusal::Invalid(
                "the value has not the length that it announces".to_owned(),
            )),
            Payload::Whole(bytes) if bytes.len() > CHUNK_BYTES => Some(Refusal::Invalid(format!(
                "values beyond {CHUNK_BYTES} bytes come in chunks"
            ))),
            Payload::Whole(bytes) => self.has_memory(bytes.len()).err(),
            Payload::Chunked(upload) => {
                let here = self.staging.is_whole(*upload, key.slot(), meta)
                    || held.is_some_and(|held| is_same_upload(held, *upload, meta));
                (!here).then_some(Refusal::ChunksMissing)
            }
        };
        refusal.map(Reply::Refused)
    }

    fn admit_chunk(
        &self,
        upload: UploadId,
        slot: Slot,
        index: u32,
        bytes: &Bytes,
    ) -> Result<Chunk, Refusal> {
        // One upload names the same bytes for ever: after a restart a second copy of a chunk may be
        // the one that is read.
        match self.visible_chunk(upload, slot, index) {
            InValue::No => {}
            InValue::Chunk { length } if length == bytes.len() => return Ok(Chunk::Visible),
            InValue::Chunk { .. } | InValue::Elsewhere => {
                let why = "the upload has other chunks already".to_owned();
                return Err(Refusal::Invalid(why));
            }
        }
        let kept = self.staging.length_of(upload, index);
        self.staging.admits(upload, slot, bytes.len(), kept)?;
        self.has_memory(bytes.len().saturating_sub(kept))?;
        Ok(Chunk::New)
    }

    /// What a visible value says of this chunk of the upload.
    fn visible_chunk(&self, upload: UploadId, slot: Slot, index: u32) -> InValue {
        let Some(key) = self.large.get(&upload) else {
            return InValue::No;
        };
        let shelf = self.shelves.read(key.slot());
        match shelf.trie.get(key.as_bytes()).map(|held| &held.content) {
            Some(Content::Large(meta, large)) if large.upload == upload => {
                let start = index as usize * CHUNK_BYTES;
                match (meta.length as usize).checked_sub(start) {
                    Some(left) if left > 0 && key.slot() == slot => InValue::Chunk {
                        length: left.min(CHUNK_BYTES),
                    },
                    _ => InValue::Elsewhere,
                }
            }
            _ => InValue::No,
        }
    }

    fn has_memory(&self, more: usize) -> Result<(), Refusal> {
        let more = match self.options.mode {
            StorageMode::Memory => more as u64,
            StorageMode::Disk => 0,
        };
        match self.options.memory_limit {
            Some(limit_bytes) if self.shelves.bytes() + more > limit_bytes => {
                Err(Refusal::MemoryLimit { limit_bytes })
            }
            _ => Ok(()),
        }
    }
}

/// What is to be done with a chunk that is not refused.
enum Chunk {
    /// It is kept.
    New,
    /// Nothing: a visible value has it.
    Visible,
}

/// The same bytes under a higher version: a write that was tried again.
fn is_same_upload(held: &Held, upload: UploadId, meta: &ValueMeta) -> bool {
    match &held.content {
        Content::Large(held, large) => large.upload == upload && held.length == meta.length,
        _ => false,
    }
}
