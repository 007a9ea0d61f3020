//! What a trie holds for one key: its newest record, packed into bytes.
//!
//! ```text
//!  bytes   what
//!  16      version
//!  4, 4    where the log has the record: segment, offset
//!  1       tag: 2 bits what it is, 2 bits format, flags follow, an expiry follows
//!  1..3    how long it is in the log         (LEB128)
//!  0 or 4  flags
//!  0 or 8  expires at
//!
//!  then, of a tombstone            nothing
//!        of a payload in memory    the payload
//!        of a payload on disk      its length    1..4, LEB128
//!        of a value in chunks      its length    1..4, LEB128 | upload 16
//! ```
//!
//! Most values are small, and a server is full when its memory is: hence no field that says what
//! is usual or known. Segment and offset stand at a fixed place in a fixed width, since compaction
//! changes them and nothing else. The bytes never leave the process.

use bytes::Bytes;
use kvcore::{
    limits::CHUNK_BYTES,
    record::{Body, Format, Payload, Record, UploadId, ValueMeta},
    version::{UnixMillis, Version},
    wire::Found,
};

use crate::{
    log::{Location, SegmentId},
    trie,
};

/// The newest record of a key, as far as its trie has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held<'t> {
    pub(super) version: Version,
    /// Where the log has the record.
    pub(super) location: Location,
    pub(super) content: Content<'t>,
}

/// A tombstone or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content<'t> {
    Tombstone,
    /// The payload is read from the log.
    OnDisk(ValueMeta),
    /// The payload is here.
    InMemory(ValueMeta, &'t [u8]),
    /// The payload is in chunks, which the shelf has beside its trie.
    Large(ValueMeta, UploadId),
}

/// A value in chunks.
#[derive(Debug)]
pub(super) struct Large {
    /// Where the log has each chunk.
    pub(super) locations: Vec<Location>,
    /// The chunks' bytes, where values live in memory.
    pub(super) bytes: Option<Vec<Bytes>>,
}

/// A record's packed form without a payload in memory.
pub(super) struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    length: usize,
}

const VERSION: std::ops::Range<usize> = 0..Version::BYTES;
const SEGMENT: std::ops::Range<usize> = VERSION.end..VERSION.end + 4;
const OFFSET: std::ops::Range<usize> = SEGMENT.end..SEGMENT.end + 4;
const TAG: usize = OFFSET.end;

/// The longest head: that of a value in chunks with flags and an expiry.
const HEAD_BYTES_MAX: usize = TAG + 1 + 5 + 4 + 8 + 5 + 16;
const _: () = assert!(HEAD_BYTES_MAX + CHUNK_BYTES <= trie::VALUE_BYTES_MAX);

const KIND_MASK: u8 = 0b11;
const TOMBSTONE: u8 = 0;
const ON_DISK: u8 = 1;
const IN_MEMORY: u8 = 2;
const LARGE: u8 = 3;
const FORMAT_SHIFT: u32 = 2;
const FORMAT_MASK: u8 = 0b11;
const HAS_FLAGS: u8 = 1 << 4;
const HAS_EXPIRY: u8 = 1 << 5;

impl<'t> Held<'t> {
    /// The record in a trie's bytes.
    pub(super) fn unpack(bytes: &'t [u8]) -> Self {
        let mut reader = Reader(bytes);
        let version = Version::from_bytes(reader.array());
        let segment = SegmentId(u32::from_le_bytes(reader.array()));
        let offset = u32::from_le_bytes(reader.array());
        let [tag] = reader.array();
        let location = Location {
            segment,
            offset,
            length: reader.number(),
        };
        Self {
            version,
            location,
            content: reader.content(tag),
        }
    }

    /// The packed form up to [`Held::payload`], which goes behind it.
    pub(super) fn head(&self) -> Head {
        let mut head = Head {
            bytes: [0; HEAD_BYTES_MAX],
            length: 0,
        };
        head.bytes[VERSION].copy_from_slice(&self.version.to_bytes());
        head.bytes[SEGMENT].copy_from_slice(&self.location.segment.0.to_le_bytes());
        head.bytes[OFFSET].copy_from_slice(&self.location.offset.to_le_bytes());
        let (kind, meta) = match &self.content {
            Content::Tombstone => (TOMBSTONE, None),
            Content::OnDisk(meta) => (ON_DISK, Some(meta)),
            Content::InMemory(meta, _) => (IN_MEMORY, Some(meta)),
            Content::Large(meta, _) => (LARGE, Some(meta)),
        };
        head.bytes[TAG] = kind | meta.map_or(0, tag_of);
        head.length = TAG + 1;
        head.push_number(self.location.length);
        if let Some(flags) = meta.map(|meta| meta.flags).filter(|&flags| flags != 0) {
            head.push(&flags.to_le_bytes());
        }
        if let Some(at) = meta.and_then(|meta| meta.expires_at) {
            head.push(&at.0.to_le_bytes());
        }
        match &self.content {
            Content::Tombstone | Content::InMemory(..) => {}
            Content::OnDisk(meta) => head.push_number(meta.length),
            Content::Large(meta, upload) => {
                head.push_number(meta.length);
                head.push(&upload.0.to_le_bytes());
            }
        }
        head
    }

    /// The payload, where the packed form has it.
    pub(super) fn payload(&self) -> &'t [u8] {
        match self.content {
            Content::InMemory(_, payload) => payload,
            _ => &[],
        }
    }

    pub(super) fn found(&self) -> Found {
        match self.content {
            Content::Tombstone => Found::Tombstone(self.version),
            _ => Found::Value(self.version),
        }
    }

    pub(super) fn is_tombstone(&self) -> bool {
        matches!(self.content, Content::Tombstone)
    }

    pub(super) fn meta(&self) -> Option<ValueMeta> {
        match self.content {
            Content::Tombstone => None,
            Content::OnDisk(meta) | Content::InMemory(meta, _) | Content::Large(meta, _) => {
                Some(meta)
            }
        }
    }

    /// The upload that a value's chunks came under.
    pub(super) fn upload(&self) -> Option<UploadId> {
        match self.content {
            Content::Large(_, upload) => Some(upload),
            _ => None,
        }
    }

    /// The record, where memory has all of it.
    pub(super) fn record(&self) -> Option<Record> {
        let value = |meta, payload| Body::Value { meta, payload };
        let body = match self.content {
            Content::Tombstone => Body::Tombstone,
            Content::OnDisk(_) => return None,
            Content::InMemory(meta, payload) => {
                value(meta, Payload::Whole(Bytes::copy_from_slice(payload)))
            }
            Content::Large(meta, upload) => value(meta, Payload::Chunked(upload)),
        };
        Some(Record {
            version: self.version,
            body,
        })
    }
}

/// Notes in a trie's bytes that the same record now lies elsewhere in the log.
pub(super) fn relocate(packed: &mut [u8], segment: SegmentId, offset: u32) {
    packed[SEGMENT].copy_from_slice(&segment.0.to_le_bytes());
    packed[OFFSET].copy_from_slice(&offset.to_le_bytes());
}

impl Large {
    /// Heap bytes beside the trie's own.
    pub(super) fn heap_bytes(&self) -> usize {
        let bytes = self.bytes.iter().flatten().map(Bytes::len).sum::<usize>();
        size_of::<Self>() + self.locations.len() * size_of::<Location>() + bytes
    }
}

impl Head {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    fn push_number(&mut self, mut number: u32) {
        while number > 0x7f {
            self.push(&[number.to_le_bytes()[0] | 0x80]);
            number >>= 7;
        }
        self.push(&[number.to_le_bytes()[0]]);
    }
}

/// What a tag says of a value's description.
fn tag_of(meta: &ValueMeta) -> u8 {
    let mut tag = (meta.format as u8) << FORMAT_SHIFT;
    if meta.flags != 0 {
        tag |= HAS_FLAGS;
    }
    if meta.expires_at.is_some() {
        tag |= HAS_EXPIRY;
    }
    tag
}

/// The rest of a packed record.
struct Reader<'t>(&'t [u8]);

impl<'t> Reader<'t> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (array, rest) = self.0.split_first_chunk().expect("packed by `head`");
        self.0 = rest;
        *array
    }

    fn number(&mut self) -> u32 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let [byte] = self.array();
            number |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return number;
            }
            shift += 7;
        }
    }

    fn content(&mut self, tag: u8) -> Content<'t> {
        let kind = tag & KIND_MASK;
        if kind == TOMBSTONE {
            return Content::Tombstone;
        }
        let flags = if tag & HAS_FLAGS == 0 {
            0
        } else {
            u32::from_le_bytes(self.array())
        };
        let expires_at =
            (tag & HAS_EXPIRY != 0).then(|| UnixMillis(u64::from_le_bytes(self.array())));
        let length = match kind {
            IN_MEMORY => u32::try_from(self.0.len()).expect("a trie's values are limited"),
            _ => self.number(),
        };
        let format = tag >> FORMAT_SHIFT & FORMAT_MASK;
        let meta = ValueMeta {
            format: Format::try_from(format).expect("packed by `head`"),
            flags,
            expires_at,
            length,
        };
        match kind {
            IN_MEMORY => Content::InMemory(meta, self.0),
            LARGE => Content::Large(meta, UploadId(u128::from_le_bytes(self.array()))),
            _ => Content::OnDisk(meta),
        }
    }
}

#[cfg(test)]
mod tests;
