//! Making committed writes visible.

use std::sync::Arc;

use bytes::Bytes;
use kvcore::{
    key::Key,
    planted::{self, Bug},
    record::{Body, Payload, Record, UploadId, ValueMeta},
    slot::Slot,
    status::StorageMode,
    version::UnixMillis,
    wire::Reply,
};

use super::{
    super::{
        held::{Content, Held, Large},
        staging::StagedChunk,
    },
    Writer,
};
use crate::log::{Entry, Location, disk::Disk};

impl<D: Disk> Writer<D> {
    /// Makes a committed write visible.
    pub(super) fn apply(&mut self, entry: Entry, location: Location, now: UnixMillis) -> Reply {
        match entry {
            Entry::Record { key, record } => self.apply_put(&key, &record, location),
            Entry::Chunk {
                upload,
                slot,
                index,
                bytes,
            } => {
                let length = bytes.len();
                let bytes = match self.options.mode {
                    // Copied, so that a chunk does not keep the frame it came in.
                    StorageMode::Memory => Some(Bytes::copy_from_slice(&bytes)),
                    StorageMode::Disk => None,
                };
                let chunk = StagedChunk {
                    location,
                    length,
                    bytes,
                };
                let heap_bytes = chunk.heap_bytes();
                let replaced = self.staging.keep(upload, slot, index, chunk, now);
                let before = replaced.as_ref().map_or(0, StagedChunk::heap_bytes);
                self.shelves.grow(heap_bytes, before);
                if let Some(replaced) = replaced {
                    self.log.release(replaced.location);
                }
                Reply::ChunkStored
            }
        }
    }

    fn apply_put(&mut self, key: &Key, record: &Record, location: Location) -> Reply {
        let shelves = Arc::clone(&self.shelves);
        let mut shelf = shelves.write(key.slot());
        let held = shelf.get(key.as_bytes());
        // Within one batch an earlier write may have been newer, or the same.
        if let Some(held) = held
            .map(|held| held.version)
            .filter(|&held| held >= record.version)
        {
            self.log.release(location);
            return if held == record.version {
                Reply::Stored {
                    standing: shelf.standing,
                }
            } else {
                Reply::Superseded { by: held }
            };
        }
        let mut chunks = None;
        let content = match &record.body {
            Body::Tombstone => Content::Tombstone,
            Body::Value {
                meta,
                payload: Payload::Whole(bytes),
            } => match self.options.mode {
                StorageMode::Memory => Content::InMemory(*meta, bytes),
                StorageMode::Disk => Content::OnDisk(*meta),
            },
            Body::Value {
                meta,
                payload: Payload::Chunked(upload),
            } => {
                chunks = self.take_chunks(*upload, key.slot(), meta);
                let is_here = held.is_some_and(|held| held.upload() == Some(*upload));
                if chunks.is_none() && !is_here {
                    // A read has found one of them damaged since the write was let in.
                    self.log.release(location);
                    return Reply::Uncertain("the value's chunks are damaged".to_owned());
                }
                self.large.insert(*upload, key.clone());
                Content::Large(*meta, *upload)
            }
        };
        if planted::is(Bug::DeleteWithoutVersion) && matches!(content, Content::Tombstone) {
            shelves.take(&mut shelf, key.as_bytes());
            return Reply::Stored {
                standing: shelf.standing,
            };
        }
        let new = Held {
            version: record.version,
            location,
            content,
        };
        if let Some(former) = shelves.replace(&mut shelf, key.as_bytes(), &new, chunks) {
            self.release(&former);
            if let Some(upload) = former.upload.filter(|&of| new.upload() != Some(of)) {
                self.large.remove(&upload);
            }
        }
        Reply::Stored {
            standing: shelf.standing,
        }
    }

    /// The chunks of a record about to become visible, out of the uploads. Their bytes count
    /// again with the record.
    fn take_chunks(&mut self, upload: UploadId, slot: Slot, meta: &ValueMeta) -> Option<Large> {
        if !self.staging.is_whole(upload, slot, meta) {
            return None;
        }
        let large = self.staging.take(upload)?;
        let bytes = large.bytes.iter().flatten().map(Bytes::len).sum();
        self.shelves.grow(0, bytes);
        Some(large)
    }
}
