//! A segment's file: its name, its head, and what it is created with.
//!
//! ```text
//!  0           8        12        16       32          60       64       128
//!  +-----------+--------+---------+--------+-----------+--------+--------+-----------------
//!  | KVSRLOG\0 | format | segment | log id | zero      | CRC-32 | again  | records, footer
//!  +-----------+--------+---------+--------+-----------+--------+--------+-----------------
//! ```
//!
//! The head stands there twice, since without the log's id no record can be checked. Behind it
//! come the roster, the segments of the log at this moment, and a first mark. The file is durable
//! that far before any batch goes into it.

use super::{
    SegmentId,
    control::{Mark, push_mark, push_roster},
    frame::{Previous, Salt, u32_at, u128_at},
};

/// The format this program writes, and the only one it reads.
pub(super) const FORMAT: u32 = 1;

/// Bytes of both copies of the head.
pub(super) const HEAD_BYTES: usize = 2 * COPY_BYTES;

const COPY_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"KVSRLOG\0";
const PREFIX: &str = "segment-";

/// What a file name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// A segment.
    Segment(SegmentId),
    /// The hint of a segment.
    Hint(SegmentId),
    /// A hint, or a segment on its way to another place of the disk, that was not finished.
    Unfinished,
    /// It looks like the log's, but is not.
    Foreign,
    /// None of the log's business.
    Other,
}

impl Name {
    /// Reads a file name.
    pub(super) fn parse(name: &str) -> Self {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            return Self::Other;
        };
        let Some((number, kind)) = rest.split_once('.') else {
            return Self::Foreign;
        };
        let digits = number.len() == 10 && number.bytes().all(|byte| byte.is_ascii_digit());
        let id = number.parse().ok().filter(|&id| digits && id > 0);
        match (id.map(SegmentId), kind) {
            (Some(id), "log") => Self::Segment(id),
            (Some(id), "hint") => Self::Hint(id),
            (Some(_), "hint.new" | "log.new") => Self::Unfinished,
            _ => Self::Foreign,
        }
    }
}

/// The file of a segment.
pub(super) fn segment_name(id: SegmentId) -> String {
    format!("{PREFIX}{:010}.log", id.0)
}

/// The file of a segment's hint.
pub(super) fn hint_name(id: SegmentId) -> String {
    format!("{PREFIX}{:010}.hint", id.0)
}

/// Where a hint is written before it is whole.
pub(super) fn unfinished_hint_name(id: SegmentId) -> String {
    format!("{PREFIX}{:010}.hint.new", id.0)
}

/// Where a segment is written anew before it takes the place of its file.
pub(super) fn unfinished_segment_name(id: SegmentId) -> String {
    format!("{PREFIX}{:010}.log.new", id.0)
}

/// What a segment's head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The log it belongs to.
    pub log: u128,
    /// Its number.
    pub segment: SegmentId,
}

/// What the first bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadState {
    /// A head; whether both copies are good.
    Good(Head, Copies),
    /// A head of a format that this program does not know.
    UnknownFormat(u32),
    /// No head.
    Bad,
}

/// How much of a head is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    /// Both copies.
    Both,
    /// One.
    One,
}

impl Head {
    /// Reads the first bytes of a file, however many there are.
    pub(super) fn parse(bytes: &[u8]) -> HeadState {
        let copy = |start: usize| bytes.get(start..start + COPY_BYTES).and_then(parse_copy);
        match (copy(0), copy(COPY_BYTES)) {
            (Some(Ok(head)), second) => {
                let copies = match second {
                    Some(Ok(again)) if again == head => Copies::Both,
                    _ => Copies::One,
                };
                HeadState::Good(head, copies)
            }
            (_, Some(Ok(head))) => HeadState::Good(head, Copies::One),
            (Some(Err(format)), _) | (_, Some(Err(format))) => HeadState::UnknownFormat(format),
            (None, None) => HeadState::Bad,
        }
    }
}

fn parse_copy(bytes: &[u8]) -> Option<Result<Head, u32>> {
    if bytes[..8] != MAGIC || crc32fast::hash(&bytes[..60]) != u32_at(bytes, 60) {
        return None;
    }
    let format = u32_at(bytes, 8);
    if format != FORMAT {
        return Some(Err(format));
    }
    Some(Ok(Head {
        segment: SegmentId(u32_at(bytes, 12)),
        log: u128_at(bytes, 16),
    }))
}

/// The head, both copies.
pub(super) fn head_bytes(head: Head) -> Vec<u8> {
    let mut copy = [0; COPY_BYTES];
    copy[..8].copy_from_slice(&MAGIC);
    copy[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    copy[12..16].copy_from_slice(&head.segment.0.to_le_bytes());
    copy[16..32].copy_from_slice(&head.log.to_le_bytes());
    let crc = crc32fast::hash(&copy[..60]);
    copy[60..].copy_from_slice(&crc.to_le_bytes());
    [copy, copy].concat()
}

/// The bytes a segment is created with, and the last record of them.
pub(super) fn creation(head: Head, roster: &[SegmentId], mark: Mark) -> (Vec<u8>, Previous) {
    let mut out = head_bytes(head);
    let salt = Salt::new(head.log, head.segment);
    let previous = push_roster(&mut out, salt, roster);
    let previous = push_mark(&mut out, (salt, 0), previous, mark);
    (out, previous)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_foreign_ones_are_told() {
        let id = SegmentId(42);
        assert_eq!(Name::parse(&segment_name(id)), Name::Segment(id));
        assert_eq!(Name::parse(&hint_name(id)), Name::Hint(id));
        assert_eq!(Name::parse(&unfinished_hint_name(id)), Name::Unfinished);
        assert_eq!(Name::parse(&unfinished_segment_name(id)), Name::Unfinished);
        for foreign in [
            "segment-1.log",
            "segment-0000000000.log",
            "segment-0000000001.txt",
        ] {
            assert_eq!(Name::parse(foreign), Name::Foreign, "{foreign}");
        }
        for other in ["lock", "member.json", "placement.json", "lost+found"] {
            assert_eq!(Name::parse(other), Name::Other, "{other}");
        }
    }
}
