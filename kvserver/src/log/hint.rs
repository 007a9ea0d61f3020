//! Hints: what a sealed segment holds, without the values, so that opening need not read them.
//!
//! The idea is Bitcask's (Sheehy and Smith, "Bitcask: A Log-Structured Hash Table for Fast
//! Key/Value Data", 2010). A hint is never needed: any doubt about it, and the segment is read.
//!
//! ```text
//!  0           8        12        16       32        40      48           52       56       60
//!  +-----------+--------+---------+--------+---------+-------+------------+--------+--------+---
//!  | KVSRHINT  | format | segment | log id | segment | bytes | number     | CRC of | CRC of | lines
//!  |           |        |         |        | bytes   | of lines | of lines| lines  | head   |
//!  +-----------+--------+---------+--------+---------+-------+------------+--------+--------+---
//!  line: offset 4 | record bytes 4 | slot 2 | kind 1 | size 2 | the body without its values
//! ```

mod draft;

use std::{io, ops::Range};

use kvcore::{
    limits::KEY_BYTES_MAX,
    slot::{Slot, SlotSet},
};

use super::{
    Damage, Location, Recovered, SegmentId,
    disk::{Disk, DiskFile},
    entry::Values,
    frame::{HEADER_BYTES, Kind, u16_at, u32_at, u64_at, u128_at},
    segment::{FORMAT, hint_name},
};
pub(super) use draft::Draft;

const MAGIC: [u8; 8] = *b"KVSRHINT";
const HEAD_BYTES: usize = 60;
const LINE_HEAD_BYTES: usize = 13;
/// Largest part of a body that a line keeps: key, fixed fields, upload.
const PART_BYTES_MAX: usize = KEY_BYTES_MAX + 64;
const READ_BYTES: usize = 256 * 1024;

/// Lines of a hint that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    count: u32,
}

impl Lines {
    /// Adds the record at an offset, by its header fields and the part of its body to keep.
    pub(super) fn push(&mut self, at: Location, kind: Kind, slot: Slot, part: &[u8]) {
        let size = u16::try_from(part.len()).expect("keys are limited");
        let mut head = [0; LINE_HEAD_BYTES];
        head[..4].copy_from_slice(&at.offset.to_le_bytes());
        head[4..8].copy_from_slice(&at.length.to_le_bytes());
        head[8..10].copy_from_slice(&slot.number().to_le_bytes());
        head[10] = kind as u8;
        head[11..].copy_from_slice(&size.to_le_bytes());
        self.bytes.reserve(LINE_HEAD_BYTES + part.len());
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(part);
        self.count += 1;
    }

    /// Forgets all lines.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }
}

/// A hint whose checksums are good; its lines may make no sense all the same.
#[derive(Debug)]
pub(super) struct Hint<F> {
    file: F,
    segment: SegmentId,
    /// Bytes of the segment when it was sealed.
    pub segment_bytes: u64,
    lines_bytes: u64,
    count: u32,
}

impl<F: DiskFile> Hint<F> {
    /// Opens a hint and checks it whole; `None` if there is none that can be trusted.
    pub(super) fn open<D: Disk<File = F>>(disk: &D, of: (u128, SegmentId)) -> Option<Self> {
        Self::open_summed(disk, of).filter(Self::lines_are_good)
    }

    /// Opens a hint and checks its sums alone.
    pub(super) fn open_summed<D: Disk<File = F>>(
        disk: &D,
        (log, segment): (u128, SegmentId),
    ) -> Option<Self> {
        let file = disk.open_read(&hint_name(segment)).ok()?;
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(0, &mut head).ok()?;
        let hint = Self {
            segment,
            segment_bytes: u64_at(&head, 32),
            lines_bytes: u64_at(&head, 40),
            count: u32_at(&head, 48),
            file,
        };
        let crc = u32_at(&head, 52);
        let good = head[..8] == MAGIC
            && u32_at(&head, 8) == FORMAT
            && u32_at(&head, 12) == segment.0
            && u128_at(&head, 16) == log
            && crc32fast::hash(&head[..56]) == u32_at(&head, 56)
            && u32::try_from(hint.segment_bytes).is_ok()
            // A line is never longer than its record.
            && hint.lines_bytes <= hint.segment_bytes
            && hint.file.length().ok()? == hint.lines_bytes + HEAD_BYTES as u64;
        (good && hint.lines_crc().ok()? == crc).then_some(hint)
    }

    fn lines_crc(&self) -> io::Result<u32> {
        let mut hasher = crc32fast::Hasher::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut done = 0;
        while done < self.lines_bytes {
            let size =
                usize::try_from(self.lines_bytes - done).map_or(READ_BYTES, |n| n.min(READ_BYTES));
            self.file
                .read_exact_at(HEAD_BYTES as u64 + done, &mut buffer[..size])?;
            hasher.update(&buffer[..size]);
            done += size as u64;
        }
        Ok(hasher.finalize())
    }

    /// Whether every line can be read: all or nothing, since what was visited stays visited.
    pub(super) fn lines_are_good(&self) -> bool {
        let mut count = 0_u32;
        self.visit(&mut |_, _| count += 1) && count == self.count
    }

    /// Hands out every line in order; false when it came to one that makes no sense.
    pub(super) fn visit(&self, visit: &mut dyn FnMut(Location, Recovered<'_>)) -> bool {
        let mut buffer = Vec::new();
        let mut buffered = 0..0;
        let mut at = 0;
        while at < self.lines_bytes {
            let most = (self.lines_bytes - at).min((LINE_HEAD_BYTES + PART_BYTES_MAX) as u64);
            if at + most > buffered.end {
                let size = (self.lines_bytes - at).min(READ_BYTES as u64);
                buffer.resize(
                    usize::try_from(size).expect("at most what is read at once"),
                    0,
                );
                buffered = at..at + size;
                if self
                    .file
                    .read_exact_at(HEAD_BYTES as u64 + at, &mut buffer)
                    .is_err()
                {
                    return false;
                }
            }
            let start = usize::try_from(at - buffered.start).expect("within the buffer");
            let Some((location, entry, size)) = self.line(&buffer[start..]) else {
                return false;
            };
            visit(location, entry);
            at += size as u64;
        }
        true
    }

    fn line<'b>(&self, bytes: &'b [u8]) -> Option<(Location, Recovered<'b>, usize)> {
        let head = bytes.get(..LINE_HEAD_BYTES)?;
        let location = Location {
            segment: self.segment,
            offset: u32_at(head, 0),
            length: u32_at(head, 4),
        };
        let kind = match head[10] {
            1 => Kind::Record,
            2 => Kind::Chunk,
            _ => return None,
        };
        let end = u64::from(location.offset) + u64::from(location.length);
        let body_bytes = (location.length as usize).checked_sub(HEADER_BYTES)?;
        let size = LINE_HEAD_BYTES + usize::from(u16_at(head, 11));
        let part = bytes.get(LINE_HEAD_BYTES..size)?;
        let slot = Slot::new(u16_at(head, 8)).ok()?;
        let values = Values::Elided { body_bytes };
        let entry = Recovered::from_body(kind, slot, part, values)?;
        (end <= self.segment_bytes).then_some((location, entry, size))
    }

    /// The slots of the records that touch these bytes of the segment.
    pub(super) fn slots_within(&self, range: Range<u64>) -> Damage {
        let mut slots = SlotSet::empty();
        let whole = self.visit(&mut |location, entry| {
            let start = u64::from(location.offset);
            if start < range.end && start + u64::from(location.length) > range.start {
                slots.insert(entry.slot());
            }
        });
        if whole {
            Damage::Slots(slots)
        } else {
            Damage::All
        }
    }
}
