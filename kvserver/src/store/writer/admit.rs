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
        let held = shelf.get(key.as_bytes());
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
                    || held.is_some_and(|held| is_same_upload(&held, *upload, meta));
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
        if let Some(expected) = self.visible_chunk(upload, slot, index) {
            // One upload names the same bytes for ever: after a restart a second copy of a chunk
            // may be the one that is read.
            let is_same = expected > 0 && expected == bytes.len();
            let differs = || Refusal::Invalid("the upload has other chunks already".to_owned());
            return is_same.then_some(Chunk::Visible).ok_or_else(differs);
        }
        let kept = self.staging.length_of(upload, index);
        self.staging.admits(upload, slot, bytes.len(), kept)?;
        self.has_memory(bytes.len().saturating_sub(kept))?;
        Ok(Chunk::New)
    }

    /// Where a visible value has this upload: the length of that chunk in it, zero if it has no
    /// such chunk or lies in another slot.
    fn visible_chunk(&self, upload: UploadId, slot: Slot, index: u32) -> Option<usize> {
        let key = self.large.get(&upload)?;
        let shelf = self.shelves.read(key.slot());
        match shelf.get(key.as_bytes())?.content {
            Content::Large(meta, held) if held == upload => {
                let start = index as usize * CHUNK_BYTES;
                let left = (meta.length as usize).checked_sub(start);
                let left = left.filter(|&left| left > 0 && key.slot() == slot);
                Some(left.map_or(0, |left| left.min(CHUNK_BYTES)))
            }
            _ => None,
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
fn is_same_upload(held: &Held<'_>, upload: UploadId, meta: &ValueMeta) -> bool {
    match held.content {
        Content::Large(held, of) => of == upload && held.length == meta.length,
        _ => false,
    }
}
