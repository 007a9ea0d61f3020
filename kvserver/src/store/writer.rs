//! Writing: batches of writes, one commit each.
//!
//! The writer is owned by one thread (or by the simulation). A batch is held against what is
//! there, appended to the log, committed once, then made visible, in that order.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    record::{Body, Payload, Record, UploadId, ValueMeta},
    slot::Slot,
    status::{StorageMode, SyncMode},
    version::UnixMillis,
    wire::{Refusal, Reply},
};

use super::{
    StoreOptions,
    compaction::Compaction,
    held::{Content, Held, Large},
    shelf::Shelves,
    staging::{StagedChunk, Staging},
};
use crate::log::{
    AppendError, CommitError, Entry, Location, Log, LogStats, SegmentId, SyncNow, disk::Disk,
};

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
}

/// The writing side of a store.
#[derive(Debug)]
pub struct Writer<D: Disk> {
    pub(super) shelves: Arc<Shelves>,
    pub(super) log: Log<D>,
    pub(super) staging: Staging,
    /// The key of every value in chunks, for compaction.
    pub(super) large: HashMap<UploadId, Key>,
    pub(super) compaction: Option<Compaction<D>>,
    /// Segments that cannot be compacted: damage was met in them.
    pub(super) uncompactable: Vec<SegmentId>,
    pub(super) options: StoreOptions,
    /// Whether something was committed that is not known to be durable, or not marked so.
    pub(super) unmarked: bool,
}

/// A write on its way through the log.
struct Pending {
    at: usize,
    write: Write,
    location: Location,
}

impl<D: Disk> Writer<D> {
    /// Carries out a batch; gives one reply a write, in order.
    pub fn commit(&mut self, writes: Vec<Write>, now: UnixMillis) -> Vec<Reply> {
        let mut replies: Vec<Option<Reply>> = Vec::with_capacity(writes.len());
        let mut pending = Vec::with_capacity(writes.len());
        for (at, write) in writes.into_iter().enumerate() {
            replies.push(match self.admit(&write) {
                Some(reply) => Some(reply),
                None => match self.log.append(&entry_of(&write)) {
                    Ok(location) => {
                        pending.push(Pending {
                            at,
                            write,
                            location,
                        });
                        None
                    }
                    Err(error) => Some(Reply::Refused(append_refusal(&error))),
                },
            });
        }
        if !pending.is_empty() {
            match self.log.commit(self.sync_for(&pending)) {
                Ok(()) => {
                    self.unmarked = true;
                    for Pending {
                        at,
                        write,
                        location,
                    } in pending
                    {
                        replies[at] = Some(self.apply(write, location, now));
                    }
                }
                Err(error) => {
                    tracing::error!(%error, writes = pending.len(), "a commit failed");
                    for Pending { at, .. } in pending {
                        replies[at] = Some(commit_reply(&error));
                    }
                }
            }
        }
        replies
            .into_iter()
            .map(|reply| reply.expect("every write has its reply"))
            .collect()
    }

    /// Chunks alone need no sync: the record that makes them visible brings it.
    fn sync_for(&self, pending: &[Pending]) -> SyncNow {
        let has_record = pending.iter().any(|p| matches!(p.write, Write::Put { .. }));
        match self.options.sync {
            SyncMode::Always if has_record => SyncNow::Yes,
            _ => SyncNow::No,
        }
    }

    /// The reply to a write that need not go to the log.
    fn admit(&self, write: &Write) -> Option<Reply> {
        match write {
            Write::Put { key, record } => self.admit_put(key, record),
            Write::Chunk {
                upload,
                slot,
                bytes,
                ..
            } => {
                let admitted = self
                    .staging
                    .admits(*upload, *slot, bytes.len())
                    .and_then(|()| self.has_memory(bytes.len()));
                admitted.err().map(Reply::Refused)
            }
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

    /// Makes a committed write visible.
    fn apply(&mut self, write: Write, location: Location, now: UnixMillis) -> Reply {
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
                if let Some(replaced) = self.staging.keep(upload, slot, index, chunk, now) {
                    self.log.release(replaced);
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
                let large = match self.staging.take(upload) {
                    Some(large) => Some(large),
                    None => shelf.trie.get_mut(key.as_bytes()).and_then(|held| {
                        let before = held.heap_bytes();
                        let large = take_large(held);
                        // Its bytes count again with the new record.
                        shelves.grow(held.heap_bytes(), before);
                        large
                    }),
                };
                let Some(large) = large else {
                    // Two records of one batch named one upload, for two keys.
                    self.log.release(location);
                    return Reply::Refused(Refusal::ChunksMissing);
                };
                self.large.insert(upload, key.clone());
                Content::Large(meta, Box::new(large))
            }
        };
        let new = Held {
            version: record.version,
            location,
            content,
        };
        if let Some(old) = shelves.replace(&mut shelf, key.as_bytes(), new) {
            self.release(&old);
            if let Content::Large(_, large) = &old.content
                && !large.locations.is_empty()
            {
                self.large.remove(&large.upload);
            }
        }
        Reply::Stored {
            standing: shelf.standing,
        }
    }

    pub(super) fn release(&mut self, held: &Held) {
        for location in held.locations() {
            self.log.release(location);
        }
    }

    /// Does what is due when nothing waits to be written: one step of compaction, stale uploads.
    /// True when there is more to do at once.
    pub fn tidy(&mut self, now: UnixMillis) -> bool {
        for location in self.staging.sweep(now) {
            self.log.release(location);
        }
        self.compact_step()
    }

    /// Makes everything committed durable, and marks it so.
    pub fn sync(&mut self) -> Result<(), CommitError> {
        if self.unmarked {
            self.log.sync()?;
            self.unmarked = false;
        }
        Ok(())
    }

    /// Notes that every slot was brought up to date from its other copies.
    pub fn repaired(&mut self) -> Result<(), CommitError> {
        self.log.repaired()
    }

    /// Commits and marks a clean shutdown.
    pub fn close(self) -> Result<(), CommitError> {
        self.log.close()
    }

    /// Figures of the log.
    pub fn log_stats(&self) -> LogStats {
        self.log.stats()
    }

    /// Why the log takes no writes, if so.
    pub fn poisoned(&self) -> Option<&str> {
        self.log.poisoned()
    }
}

fn entry_of(write: &Write) -> Entry {
    match write {
        Write::Put { key, record } => Entry::Record {
            key: key.clone(),
            record: record.clone(),
        },
        Write::Chunk {
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

/// The same bytes under a higher version: a write that was tried again.
fn is_same_upload(held: &Held, upload: UploadId, meta: &ValueMeta) -> bool {
    match &held.content {
        Content::Large(held, large) => {
            large.upload == upload
                && held.length == meta.length
                && large.locations.len() == (meta.length as usize).div_ceil(CHUNK_BYTES)
        }
        _ => false,
    }
}

/// Moves the chunks out of a record that is about to be replaced; nothing is left to release.
fn take_large(held: &mut Held) -> Option<Large> {
    match &mut held.content {
        Content::Large(_, large) => Some(Large {
            upload: large.upload,
            locations: std::mem::take(&mut large.locations),
            bytes: large.bytes.take(),
        }),
        _ => None,
    }
}

fn append_refusal(error: &AppendError) -> Refusal {
    match error {
        AppendError::BatchFull { .. } => Refusal::Overloaded(error.to_string()),
        AppendError::Invalid { reason } => Refusal::Invalid((*reason).to_owned()),
        AppendError::Poisoned { reason } => Refusal::LogFailed(reason.clone()),
    }
}

fn commit_reply(error: &CommitError) -> Reply {
    match error {
        // Taken back: nothing of it is in the log.
        CommitError::DiskFull { .. } => Reply::Refused(Refusal::DiskFull),
        // Whether it became durable is unknown until the log is opened again.
        CommitError::Poisoned { .. } | CommitError::NotRetirable { .. } => {
            Reply::Uncertain(error.to_string())
        }
    }
}
