//! Room ahead of the log's end: bytes that are in the file before they are needed.
//!
//! A write that makes a file longer takes the disk two writes to sync, the bytes and the length,
//! one after the other. So the room for many small commits is written with one of them, and the
//! others write over it: that halves what a sync takes.
//!
//! The room is filled with a pattern of the segment's own, different at every place. Bytes that
//! are the pattern were never written over, whatever a crash did to the order in which sectors
//! reached the disk: what should have been there was never durable, so it was never promised.
//! Zeros could not tell that from a value of zeros.

use std::{io, ops::Range};

use super::{disk::DiskFile, frame::Salt, sectors::read_around};

/// Bytes of room made at once. A commit in its room saves about what writing 64 KiB takes, so this
/// is little beside what several commits save, and a log that is closed properly keeps none of it.
pub(super) const ROOM_BYTES: u32 = 1024 * 1024;

/// Commits from this size on make none: they are few, and would fill it at once.
pub(super) const COMMIT_BYTES_MAX: usize = 64 * 1024;

/// What a disk writes as a whole.
const SECTOR_BYTES: u64 = 512;

/// As many bytes of the pattern in a row do not come about by chance.
const PROOF_BYTES: u64 = 8;

/// Bytes of one number of the pattern.
const WORD_BYTES: u64 = 8;
const BLOCK_BYTES: u64 = 64 * 1024;

/// Where the room that a commit makes ends, if it is to make some: it writes so many bytes up to
/// `end`, and there is room up to `room`.
pub(super) fn to_make(end: u32, bytes: usize, room: u32, segment_bytes: u32) -> Option<u32> {
    // What is beyond the segment's size goes into the next one.
    let until = end.saturating_add(ROOM_BYTES).min(segment_bytes);
    (bytes <= COMMIT_BYTES_MAX && end > room && until > end).then_some(until)
}

/// The pattern's word at a place that is a multiple of its length: splitmix64 (Steele, Lea and
/// Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
fn word(salt: Salt, at: u64) -> [u8; 8] {
    let mut word = ((u64::from(salt.number()) << 32) | (at / WORD_BYTES))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (word ^ (word >> 31)).to_le_bytes()
}

/// Appends the pattern of these places.
pub(super) fn fill(salt: Salt, places: Range<u64>, out: &mut Vec<u8>) {
    let mut at = places.start;
    while at < places.end {
        let skip = at % WORD_BYTES;
        let size = (WORD_BYTES - skip).min(places.end - at);
        let within = |place: u64| usize::try_from(place).expect("within a word");
        out.extend_from_slice(&word(salt, at - skip)[within(skip)..within(skip + size)]);
        at += size;
    }
}

/// Whether the byte at a place is the pattern's.
fn is_pattern(salt: Salt, at: u64, byte: u8) -> bool {
    let within = usize::try_from(at % WORD_BYTES).expect("within a word");
    word(salt, at - at % WORD_BYTES)[within] == byte
}

/// Where the room at the end of a file begins: nothing was written from there on. The bytes before
/// may look like the pattern by chance, a few of them.
pub(super) fn begins<F: DiskFile>(file: &F, salt: Salt, length: u64) -> io::Result<u64> {
    let mut buffer = Vec::new();
    let mut end = length;
    while end > 0 {
        // A look at the last few tells of most files that they have none.
        let most = if end == length {
            SECTOR_BYTES
        } else {
            BLOCK_BYTES
        };
        let start = end.saturating_sub(most);
        buffer.resize(usize::try_from(end - start).expect("a block"), 0);
        // What cannot be read is no room.
        read_around(file, start, &mut buffer)?;
        let other = |&(at, &byte): &(usize, &u8)| !is_pattern(salt, start + at as u64, byte);
        if let Some((last, _)) = buffer.iter().enumerate().rev().find(other) {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Whether a sector's part of these bytes, which lie at `at`, was never written over.
pub(super) fn is_left_in(salt: Salt, at: u64, bytes: &[u8]) -> bool {
    let (mut start, end) = (at, at + bytes.len() as u64);
    while start < end {
        let stop = (start - start % SECTOR_BYTES + SECTOR_BYTES).min(end);
        let within = |place: u64| usize::try_from(place - at).expect("within the bytes");
        let part = &bytes[within(start)..within(stop)];
        let is_left = (start..stop)
            .zip(part)
            .all(|(at, &byte)| is_pattern(salt, at, byte));
        if is_left && stop - start >= PROOF_BYTES {
            return true;
        }
        start = stop;
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{
        super::{
            SegmentId,
            disk::{Disk, memory::MemoryDisk},
        },
        *,
    };

    fn salt() -> Salt {
        Salt::new(7, SegmentId(3))
    }

    #[test]
    fn room_is_made_for_small_commits_and_never_beyond_the_segment() {
        let segment = 10 * ROOM_BYTES;
        assert_eq!(to_make(100, 50, 0, segment), Some(100 + ROOM_BYTES));
        assert_eq!(to_make(100, 50, 100, segment), None, "there is some");
        assert_eq!(to_make(100_000, COMMIT_BYTES_MAX + 1, 0, segment), None);
        assert_eq!(to_make(segment - 9, 50, 0, segment), Some(segment));
        assert_eq!(to_make(segment, 50, 0, segment), None);
        assert_eq!(to_make(u32::MAX - 9, 50, 0, u32::MAX), Some(u32::MAX));
    }

    proptest! {
        #[test]
        fn room_is_found_behind_anything(content in vec(any::<u8>(), 1..3000), room in 0u64..200_000) {
            let disk = MemoryDisk::default();
            let file = disk.create("file").expect("new");
            let written = content.len() as u64;
            let mut bytes = content;
            fill(salt(), written..written + room, &mut bytes);
            file.write_at(0, &bytes).expect("there is room");
            let found = begins(&file, salt(), written + room).expect("it can be read");
            prop_assert!(found <= written && written - found < PROOF_BYTES);
        }

        #[test]
        fn only_what_was_never_written_is_room(
            at in 0u64..2000,
            content in vec(any::<u8>(), 24..2000),
            lost in any::<prop::sample::Index>(),
        ) {
            prop_assert!(!is_left_in(salt(), at, &content));
            // One of its sectors did not reach the disk.
            let end = at + content.len() as u64;
            let sectors: Vec<_> = (at / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES).collect();
            let sector = *lost.get(&sectors);
            let part = at.max(sector * SECTOR_BYTES)..end.min((sector + 1) * SECTOR_BYTES);
            let mut old = Vec::new();
            fill(salt(), part.clone(), &mut old);
            let mut torn = content;
            let within = |place: u64| usize::try_from(place - at).expect("within");
            torn[within(part.start)..within(part.end)].copy_from_slice(&old);
            prop_assert_eq!(is_left_in(salt(), at, &torn), part.end - part.start >= PROOF_BYTES);
        }
    }
}
