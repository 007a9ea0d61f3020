//! Values in chunks: copied one chunk after the other, and only a few values at once.

use std::collections::VecDeque;

use kvcore::{
    key::Key,
    limits::{CHUNK_BYTES, VALUE_BYTES_MAX},
    planted::{self, Bug},
    record::{Body, Payload, Record, UploadId},
    wire::{Refusal, Reply, Request},
};

use super::{Asked, Pass, not_done};
use crate::limits::UPLOAD_BYTES_MAX;

/// Bytes of values in chunks that are on their way at once, unless one alone has more. Of the room
/// for uploads most is left to brokers; with more values than room none would ever be whole.
const COPYING_BYTES_MAX: u64 = UPLOAD_BYTES_MAX as u64 / 4;

const _: () = assert!(COPYING_BYTES_MAX >= VALUE_BYTES_MAX as u64);

/// A value on its way.
#[derive(Debug, Clone)]
pub(super) struct Copying {
    key: Key,
    record: Record,
    upload: UploadId,
    bytes: u32,
}

impl Copying {
    pub(super) fn slot(&self) -> kvcore::slot::Slot {
        self.key.slot()
    }

    pub(super) fn bytes(&self) -> u32 {
        self.bytes
    }
}

/// The values on their way, and those that wait for room.
#[derive(Debug, Default)]
pub(super) struct LargeWindow {
    bytes: u64,
    waiting: VecDeque<Copying>,
}

impl Pass {
    pub(super) fn on_record(&mut self, key: Key, mut record: Record) {
        if planted::is(Bug::CatchUpAlters)
            && let Body::Value { meta, .. } = &mut record.body
        {
            meta.flags = 0;
        }
        let Body::Value {
            meta,
            payload: Payload::Chunked(upload),
        } = record.body
        else {
            return self.put(key, record, 0);
        };
        self.large.waiting.push_back(Copying {
            key,
            record,
            upload,
            bytes: meta.length,
        });
        self.begin_copies();
    }

    fn begin_copies(&mut self) {
        while let Some(next) = self.large.waiting.front() {
            let bytes = u64::from(next.bytes);
            if self.large.bytes > 0 && self.large.bytes + bytes > COPYING_BYTES_MAX {
                return;
            }
            self.large.bytes += bytes;
            if let Some(next) = self.large.waiting.pop_front() {
                self.copy_on(next, 0);
            }
        }
    }

    /// One chunk after the other: many values are on their way at once, and memory is bounded.
    fn copy_on(&mut self, copying: Copying, index: u32) {
        if u64::from(index) * CHUNK_BYTES as u64 >= u64::from(copying.bytes) {
            return self.put(copying.key, copying.record, copying.bytes);
        }
        let request = Request::GetChunk {
            scope: self.scope(copying.key.slot()),
            key: copying.key.clone(),
            version: copying.record.version,
            index,
        };
        self.ask(Asked::Chunk(copying, index), request);
    }

    pub(super) fn on_chunk(&mut self, copying: Copying, index: u32, reply: Reply) {
        match reply {
            Reply::Chunk(bytes) => {
                let (scope, upload) = (self.scope(copying.key.slot()), copying.upload);
                let request = Request::PutChunk {
                    scope,
                    upload,
                    index,
                    bytes,
                };
                self.apply(Asked::ChunkKept(copying, index), request);
            }
            // Overwritten or found damaged meanwhile: the next pass brings what is newer.
            Reply::Refused(Refusal::Gone | Refusal::Damaged(_)) => {
                self.give_up(&copying, not_done("a value changed there", &reply));
            }
            other => self.on_refusal(&Asked::Chunk(copying, index), other),
        }
    }

    pub(super) fn on_chunk_kept(&mut self, copying: Copying, index: u32, reply: Reply) {
        match reply {
            Reply::ChunkStored => self.copy_on(copying, index + 1),
            other => self.give_up(&copying, not_done("not stored here", &other)),
        }
    }

    fn give_up(&mut self, copying: &Copying, why: String) {
        self.fetching -= 1;
        self.leave_out(copying.key.slot(), || why);
        self.copied(copying.bytes);
    }

    /// Notes that these bytes are uploads no more, or not to be.
    pub(super) fn copied(&mut self, bytes: u32) {
        self.large.bytes -= u64::from(bytes);
        self.begin_copies();
    }
}
