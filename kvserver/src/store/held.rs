//! What a trie holds for one key.

use bytes::Bytes;
use kvcore::{
    record::{Body, Payload, Record, UploadId, ValueMeta},
    version::Version,
    wire::Found,
};

use crate::log::Location;

/// The newest record of a key, as far as it is in memory.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) version: Version,
    /// Where the log has the record.
    pub(super) location: Location,
    pub(super) content: Content,
}

/// A tombstone or a value.
#[derive(Debug)]
pub(super) enum Content {
    Tombstone,
    /// The payload is read from the log.
    OnDisk(ValueMeta),
    /// The payload is here; an exact allocation, since most values are small.
    InMemory(ValueMeta, Box<[u8]>),
    /// The payload is in chunks.
    Large(ValueMeta, Box<Large>),
}

/// A value in chunks.
#[derive(Debug)]
pub(super) struct Large {
    pub(super) upload: UploadId,
    /// Where the log has each chunk.
    pub(super) locations: Vec<Location>,
    /// The chunks' bytes, where values live in memory.
    pub(super) bytes: Option<Vec<Bytes>>,
}

impl Held {
    pub(super) fn found(&self) -> Found {
        match self.content {
            Content::Tombstone => Found::Tombstone(self.version),
            _ => Found::Value(self.version),
        }
    }

    pub(super) fn is_tombstone(&self) -> bool {
        matches!(self.content, Content::Tombstone)
    }

    pub(super) fn meta(&self) -> Option<&ValueMeta> {
        match &self.content {
            Content::Tombstone => None,
            Content::OnDisk(meta) | Content::InMemory(meta, _) | Content::Large(meta, _) => {
                Some(meta)
            }
        }
    }

    /// Heap bytes beside the trie's own.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.content {
            Content::Tombstone | Content::OnDisk(_) => 0,
            Content::InMemory(_, payload) => payload.len(),
            Content::Large(_, large) => {
                let bytes = large.bytes.iter().flatten().map(Bytes::len).sum::<usize>();
                size_of::<Large>() + large.locations.len() * size_of::<Location>() + bytes
            }
        }
    }

    /// The record, where memory has all of it.
    pub(super) fn record(&self) -> Option<Record> {
        let body = match &self.content {
            Content::Tombstone => Body::Tombstone,
            Content::OnDisk(_) => return None,
            Content::InMemory(meta, payload) => {
                let payload = Payload::Whole(Bytes::copy_from_slice(payload));
                Body::Value {
                    meta: *meta,
                    payload,
                }
            }
            Content::Large(meta, large) => Body::Value {
                meta: *meta,
                payload: Payload::Chunked(large.upload),
            },
        };
        Some(Record {
            version: self.version,
            body,
        })
    }

    /// Everything in the log that is dead once this is replaced.
    pub(super) fn locations(&self) -> impl Iterator<Item = Location> + '_ {
        let chunks = match &self.content {
            Content::Large(_, large) => large.locations.as_slice(),
            _ => &[],
        };
        std::iter::once(self.location).chain(chunks.iter().copied())
    }
}
