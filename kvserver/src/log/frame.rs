//! The frame of a record: a header that can be found and trusted by itself, and a checked body.
//!
//! ```text
//!  0       2      3      4      6          8        12         16         20           24
//!  +-------+------+------+------+----------+--------+----------+----------+------------+------
//!  | magic | kind | zero | slot | slot of  | bytes  | bytes of | CRC-32   | CRC-32 of  | body
//!  |       |      |      |      | previous | of body| previous | of body  | the header |
//!  +-------+------+------+------+----------+--------+----------+----------+------------+------
//! ```
//!
//! Numbers are little endian. A record without a slot carries [`NO_SLOT`]. "Previous" is the
//! record just before in the segment, header included: it tells which slot a record belonged to
//! whose own header is lost.
//!
//! The CRC of the header also covers the log's id, the segment's and the offset. So a value that
//! contains a copy of a segment never passes for records when recovery searches behind damage.

use std::ops::Range;

use kvcore::{
    limits::{CHUNK_BYTES, KEY_BYTES_MAX},
    slot::Slot,
};

use super::SegmentId;

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 24;

/// The same, to add to a body's length.
const HEADER_BYTES_U32: u32 = 24;

/// Where in a header its own CRC stands.
const CRC_AT: usize = 20;

/// Starts every header.
pub(super) const MAGIC: [u8; 2] = [0xB7, 0x4C];

/// Stands for the slot of a record that belongs to none.
pub(super) const NO_SLOT: u16 = u16::MAX;

/// Most segments of one log: their numbers fill one record. At the default size of a segment that
/// is 4 TiB.
pub(super) const SEGMENTS_MAX: usize = CHUNK_BYTES / 4;

/// Largest body, in bytes: a payload, a key and the fixed fields beside them.
pub(super) const BODY_BYTES_MAX: usize = CHUNK_BYTES + KEY_BYTES_MAX + 64;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A record of a key.
    Record = 1,
    /// A piece of a value.
    Chunk = 2,
    /// How far the log was durable.
    Mark = 3,
    /// A segment left the log.
    Retired = 4,
    /// The segments of the log when this one was made.
    Roster = 5,
    /// The end of a sealed segment.
    Footer = 6,
}

/// A header that passed its checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// What the body is.
    pub kind: Kind,
    /// The slot, for kinds that have one.
    pub slot: Option<Slot>,
    /// The record just before.
    pub previous: Previous,
    /// Bytes of the body.
    pub body_bytes: u32,
    body_crc: u32,
}

/// What a header says of the record before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Previous {
    /// Its slot.
    pub slot: Option<Slot>,
    /// Its bytes, header included; zero for the first record.
    pub bytes: u32,
}

/// What the header CRCs of one segment start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt(u32);

impl Salt {
    /// The salt of a segment.
    pub(super) fn new(log: u128, segment: SegmentId) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&log.to_le_bytes());
        hasher.update(&segment.0.to_le_bytes());
        Self(hasher.finalize())
    }

    /// The same as a number.
    pub(super) fn number(self) -> u32 {
        self.0
    }

    fn header_crc(self, offset: u64, header: &[u8; CRC_AT]) -> u32 {
        // Not joined first: to read at once what was just written in pieces takes longer.
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(&offset.to_le_bytes());
        hasher.update(header);
        hasher.finalize()
    }
}

impl Kind {
    /// The lengths its bodies may have.
    fn body_range(self) -> Range<usize> {
        match self {
            Self::Record => 20..BODY_BYTES_MAX + 1,
            Self::Chunk => 20..CHUNK_BYTES + 21,
            Self::Mark => 8..9,
            Self::Roster => 4..SEGMENTS_MAX * 4 + 1,
            Self::Retired | Self::Footer => 4..5,
        }
    }

    /// Whether it is an entry's, which belongs to a slot.
    pub(super) fn has_slot(self) -> bool {
        matches!(self, Self::Record | Self::Chunk)
    }

    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Record,
            2 => Self::Chunk,
            3 => Self::Mark,
            4 => Self::Retired,
            5 => Self::Roster,
            6 => Self::Footer,
            _ => return None,
        })
    }
}

impl Header {
    /// The header at the start of `bytes`, which lie at `offset`; `None` if there is none to trust.
    pub(super) fn parse(bytes: &[u8], salt: Salt, offset: u64) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
        let (summed, _) = bytes.split_first_chunk::<CRC_AT>()?;
        if bytes[..2] != MAGIC || u32_at(bytes, CRC_AT) != salt.header_crc(offset, summed) {
            return None;
        }
        let kind = Kind::from_number(bytes[2])?;
        let slot = Slot::new(u16_at(bytes, 4)).ok();
        let body_bytes = u32_at(bytes, 8);
        let fits = kind.body_range().contains(&(body_bytes as usize));
        (fits && slot.is_some() == kind.has_slot()).then(|| Self {
            kind,
            slot,
            previous: Previous {
                slot: Slot::new(u16_at(bytes, 6)).ok(),
                bytes: u32_at(bytes, 12),
            },
            body_bytes,
            body_crc: u32_at(bytes, 16),
        })
    }

    /// Bytes of the whole record.
    pub(super) fn record_bytes(&self) -> u32 {
        self.body_bytes + HEADER_BYTES_U32
    }

    /// Whether `body` is what was written.
    pub(super) fn accepts(&self, body: &[u8]) -> bool {
        body.len() == self.body_bytes as usize && crc32fast::hash(body) == self.body_crc
    }

    /// What the next header says of this record.
    pub(super) fn as_previous(&self) -> Previous {
        Previous {
            slot: self.slot,
            bytes: self.record_bytes(),
        }
    }
}

/// Appends a record to `out`, whose first byte will lie at `base` of the segment's file. Its body
/// is what `write_body` appends.
pub(super) fn push(
    out: &mut Vec<u8>,
    (salt, base): (Salt, u64),
    (kind, slot): (Kind, Option<Slot>),
    previous: Previous,
    write_body: impl FnOnce(&mut Vec<u8>),
) -> Previous {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    write_body(out);
    let (header, body) = out[start..].split_at_mut(HEADER_BYTES);
    assert!(
        kind.body_range().contains(&body.len()) && slot.is_some() == kind.has_slot(),
        "a record that recovery would refuse: {kind:?} with {} bytes",
        body.len()
    );
    let number = |slot: Option<Slot>| slot.map_or(NO_SLOT, Slot::number).to_le_bytes();
    let body_bytes = u32::try_from(body.len()).expect("bodies are limited");
    header[..2].copy_from_slice(&MAGIC);
    header[2] = kind as u8;
    header[4..6].copy_from_slice(&number(slot));
    header[6..8].copy_from_slice(&number(previous.slot));
    header[8..12].copy_from_slice(&body_bytes.to_le_bytes());
    header[12..16].copy_from_slice(&previous.bytes.to_le_bytes());
    header[16..20].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    let (summed, sum) = header
        .split_first_chunk_mut::<CRC_AT>()
        .expect("a header is longer");
    let crc = salt.header_crc(base + start as u64, summed);
    sum.copy_from_slice(&crc.to_le_bytes());
    Previous {
        slot,
        bytes: body_bytes + HEADER_BYTES_U32,
    }
}

/// The number at `at`, whose bytes are known to be there.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

/// The number at `at`, whose bytes are known to be there.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The number at `at`, whose bytes are known to be there.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The number at `at`, whose bytes are known to be there.
pub(super) fn u128_at(bytes: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(bytes[at..at + 16].try_into().expect("sixteen bytes"))
}

const _: () = assert!(HEADER_BYTES == HEADER_BYTES_U32 as usize);
const _: () = assert!(BODY_BYTES_MAX + HEADER_BYTES < u32::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_counts_only_in_its_place() {
        let salt = Salt::new(7, SegmentId(1));
        let mut out = Vec::new();
        push(
            &mut out,
            (salt, 100),
            (Kind::Retired, None),
            Previous::default(),
            |body| {
                body.extend_from_slice(&[1, 2, 3, 4]);
            },
        );
        let header = Header::parse(&out, salt, 100).unwrap();
        assert!(header.accepts(&out[HEADER_BYTES..]));
        assert_eq!(Header::parse(&out, salt, 101), None);
        assert_eq!(Header::parse(&out, Salt::new(7, SegmentId(2)), 100), None);
        assert_eq!(Header::parse(&out, Salt::new(8, SegmentId(1)), 100), None);
        for byte in 0..HEADER_BYTES {
            let mut bad = out.clone();
            bad[byte] ^= 1;
            assert_eq!(Header::parse(&bad, salt, 100), None, "byte {byte}");
        }
    }
}
