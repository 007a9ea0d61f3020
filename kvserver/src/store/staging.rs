//! Chunks whose record has not come yet.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use kvcore::{
    limits::CHUNK_BYTES,
    record::{UploadId, ValueMeta},
    slot::Slot,
    version::UnixMillis,
    wire::Refusal,
};

use super::held::Large;
use crate::{
    limits::{UPLOAD_BYTES_MAX, UPLOADS_MAX},
    log::Location,
};

/// One chunk, durable with the next synced commit.
#[derive(Debug)]
pub(super) struct StagedChunk {
    pub(super) location: Location,
    pub(super) length: usize,
    /// Where values live in memory.
    pub(super) bytes: Option<Bytes>,
}

impl StagedChunk {
    /// Heap bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.as_ref().map_or(0, Bytes::len)
    }
}

#[derive(Debug)]
struct Upload {
    slot: Slot,
    chunks: BTreeMap<u32, StagedChunk>,
    touched: UnixMillis,
}

/// All uploads under way.
#[derive(Debug, Default)]
pub(super) struct Staging {
    uploads: HashMap<UploadId, Upload>,
    bytes: usize,
}

impl Staging {
    /// Bytes of a chunk that is kept; zero if it is not.
    pub(super) fn length_of(&self, upload: UploadId, index: u32) -> usize {
        let chunk = self.uploads.get(&upload).and_then(|u| u.chunks.get(&index));
        chunk.map_or(0, |chunk| chunk.length)
    }

    /// Whether a chunk of this size may be taken on, in the place of one of `kept` bytes.
    pub(super) fn admits(
        &self,
        upload: UploadId,
        slot: Slot,
        bytes: usize,
        kept: usize,
    ) -> Result<(), Refusal> {
        match self.uploads.get(&upload) {
            Some(known) if known.slot != slot => {
                return Err(Refusal::Invalid(
                    "the upload belongs to another slot".to_owned(),
                ));
            }
            None if self.uploads.len() >= UPLOADS_MAX => {
                return Err(Refusal::Overloaded(format!(
                    "{UPLOADS_MAX} uploads are under way"
                )));
            }
            _ => {}
        }
        if self.bytes - kept + bytes > UPLOAD_BYTES_MAX {
            let why = format!("{UPLOAD_BYTES_MAX} bytes of uploads are under way");
            return Err(Refusal::Overloaded(why));
        }
        Ok(())
    }

    /// Keeps a chunk; gives back the one it replaces.
    pub(super) fn keep(
        &mut self,
        id: UploadId,
        slot: Slot,
        index: u32,
        chunk: StagedChunk,
        now: UnixMillis,
    ) -> Option<StagedChunk> {
        let upload = self.uploads.entry(id).or_insert_with(|| Upload {
            slot,
            chunks: BTreeMap::new(),
            touched: now,
        });
        upload.touched = now;
        self.bytes += chunk.length;
        let replaced = upload.chunks.insert(index, chunk)?;
        self.bytes -= replaced.length;
        Some(replaced)
    }

    /// Whether all chunks of a value of this length are here.
    pub(super) fn is_whole(&self, id: UploadId, slot: Slot, meta: &ValueMeta) -> bool {
        let Some(upload) = self.uploads.get(&id) else {
            return false;
        };
        upload.slot == slot && is_whole(&upload.chunks, meta)
    }

    /// Takes a whole upload out, as the chunks of a value.
    pub(super) fn take(&mut self, id: UploadId) -> Option<Large> {
        let upload = self.uploads.remove(&id)?;
        self.bytes -= upload
            .chunks
            .values()
            .map(|chunk| chunk.length)
            .sum::<usize>();
        Some(large(upload.chunks))
    }

    /// Whether the log record at this location is a chunk kept here; for compaction.
    pub(super) fn chunk_mut(&mut self, id: UploadId, index: u32) -> Option<&mut StagedChunk> {
        self.uploads.get_mut(&id)?.chunks.get_mut(&index)
    }

    /// Whether any chunk of this upload is here.
    pub(super) fn has(&self, id: UploadId) -> bool {
        self.uploads.contains_key(&id)
    }

    /// Every chunk: its upload, slot and place.
    pub(super) fn chunks(&self) -> impl Iterator<Item = (UploadId, Slot, u32, &StagedChunk)> {
        self.uploads.iter().flat_map(|(&id, upload)| {
            let chunks = upload.chunks.iter();
            chunks.map(move |(&index, chunk)| (id, upload.slot, index, chunk))
        })
    }

    /// Whether there is hardly room for another upload.
    pub(super) fn is_crowded(&self) -> bool {
        self.uploads.len() >= UPLOADS_MAX || self.bytes + CHUNK_BYTES > UPLOAD_BYTES_MAX
    }

    /// Drops an upload; gives back its chunks.
    pub(super) fn drop_upload(&mut self, id: UploadId) -> Vec<StagedChunk> {
        let upload = self.uploads.remove(&id);
        let chunks = upload.map(|upload| upload.chunks.into_values().collect());
        let chunks: Vec<StagedChunk> = chunks.unwrap_or_default();
        self.bytes -= chunks.iter().map(|chunk| chunk.length).sum::<usize>();
        chunks
    }

    /// Drops the uploads of a slot; gives back their chunks.
    pub(super) fn drop_slot(&mut self, slot: Slot) -> Vec<StagedChunk> {
        self.drop_all(|upload| upload.slot == slot)
    }

    /// Drops uploads without news for longer than so many milliseconds; gives back their chunks.
    pub(super) fn sweep(&mut self, now: UnixMillis, idle_ms: u64) -> Vec<StagedChunk> {
        self.drop_all(|upload| now.since(upload.touched) > idle_ms)
    }

    fn drop_all(&mut self, is_unwanted: impl Fn(&Upload) -> bool) -> Vec<StagedChunk> {
        let dropped = self.uploads.extract_if(|_, upload| is_unwanted(upload));
        let chunks: Vec<_> = dropped
            .flat_map(|(_, upload)| upload.chunks.into_values())
            .collect();
        self.bytes -= chunks.iter().map(|chunk| chunk.length).sum::<usize>();
        chunks
    }
}

/// Whether chunks 0 to the last are all here, each of its right size.
pub(super) fn is_whole(chunks: &BTreeMap<u32, StagedChunk>, meta: &ValueMeta) -> bool {
    let length = meta.length as usize;
    let count = length.div_ceil(CHUNK_BYTES);
    chunks.len() == count
        && chunks.iter().enumerate().all(|(at, (index, chunk))| {
            *index as usize == at && chunk.length == CHUNK_BYTES.min(length - at * CHUNK_BYTES)
        })
}

/// Chunks as a value in chunks.
pub(super) fn large(chunks: BTreeMap<u32, StagedChunk>) -> Large {
    let locations = chunks.values().map(|chunk| chunk.location).collect();
    let bytes = chunks.into_values().map(|chunk| chunk.bytes).collect();
    Large { locations, bytes }
}
