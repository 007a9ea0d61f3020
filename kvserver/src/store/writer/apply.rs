//! Making committed writes visible.

use std::sync::Arc;

use bytes::Bytes;
use kvcore::{
    key::Key,
    planted::{self, Bug},
    record::{Body, Payload, Record, UploadId, ValueMeta},
    status::StorageMode,
    version::UnixMillis,
    wire::Reply,
};

use super::{
    super::{
        held::{Content, Held, Large},
        shelf::{Shelf, Shelves},
        staging::StagedChunk,
    },
    Write, Writer,
};
use crate::log::{Location, disk::Disk};

impl<D: Disk> Writer<D> {
    /// Makes a committed write visible.
    pub(super) fn apply(&mut self, write: Write, location: Location, now: UnixMillis) -> Reply {
        match write {
            Write::Put { key, record } => self.apply_put(&key, record, location),
            Write::Chunk {
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

    fn apply_put(&mut self, key: &Key, record: Record, location: Location) -> Reply {
        let shelves = Arc::clone(&self.shelves);
        let mut shelf = shelves.write(key.slot());
        let held = shelf.trie.get(key.as_bytes());
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
        let content = match record.body {
            Body::Tombstone => Content::Tombstone,
            Body::Value {
                meta,
                payload: Payload::Whole(bytes),
            } => match self.options.mode {
                StorageMode::Memory => Content::InMemory(meta, bytes.as_ref().into()),
                StorageMode::Disk => Content::OnDisk(meta),
            },
            Body::Value {
                meta,
                payload: Payload::Chunked(upload),
            } => {
                let Some(large) = self.take_chunks(&shelves, &mut shelf, key, upload, &meta) else {
                    // A read has found one of them damaged since the write was let in.
                    self.log.release(location);
                    return Reply::Uncertain("the value's chunks are damaged".to_owned());
                };
                self.large.insert(upload, key.clone());
                Content::Large(meta, Box::new(large))
            }
        };
        if planted::is(Bug::DeleteWithoutVersion) && matches!(content, Content::Tombstone) {
            shelves.take(&mut shelf, key.as_bytes());
            return Reply::Stored {
                standing: shelf.standing,
            };
        }
        let upload = match &content {
            Content::Large(_, large) => Some(large.upload),
            _ => None,
        };
        let new = Held {
            version: record.version,
            location,
            content,
        };
        if let Some(old) = shelves.replace(&mut shelf, key.as_bytes(), new) {
            self.release(&old);
            if let Content::Large(_, large) = &old.content
                && upload != Some(large.upload)
            {
                self.large.remove(&large.upload);
            }
        }
        Reply::Stored {
            standing: shelf.standing,
        }
    }

    /// The chunks of a record about to become visible, out of the uploads or out of the record
    /// it replaces. Their bytes count again with the new record.
    fn take_chunks(
        &mut self,
        shelves: &Shelves,
        shelf: &mut Shelf,
        key: &Key,
        upload: UploadId,
        meta: &ValueMeta,
    ) -> Option<Large> {
        if self.staging.is_whole(upload, key.slot(), meta) {
            let large = self.staging.take(upload)?;
            let bytes = large.bytes.iter().flatten().map(Bytes::len).sum();
            shelves.grow(0, bytes);
            return Some(large);
        }
        let held = shelf.trie.get_mut(key.as_bytes())?;
        let before = held.heap_bytes();
        let large = take_large(held, upload);
        shelves.grow(held.heap_bytes(), before);
        large
    }
}

/// Moves the chunks of this upload out of a record that is about to be replaced; nothing is left
/// to release.
fn take_large(held: &mut Held, upload: UploadId) -> Option<Large> {
    match &mut held.content {
        Content::Large(_, large) if large.upload == upload => Some(Large {
            upload,
            locations: std::mem::take(&mut large.locations),
            bytes: large.bytes.take(),
        }),
        _ => None,
    }
}
