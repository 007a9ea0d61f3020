//! Gathers recovered records by slot, so that a trie gets many at once.
//!
//! Records lie in the log as they were written, which is no order of keys. Put into 1,024 tries one
//! by one, each finds its trie gone from the caches; many of one slot find what the first of them
//! brought in.

use kvcore::{limits::SLOTS, slot::Slot};

use super::super::held::Held;

/// Bytes of one slot's records that go together.
const TOGETHER_BYTES_MIN: usize = 4 * 1024;

/// The same for a large log. What waits is at most as much for every slot, and a payload more.
const TOGETHER_BYTES_MAX: usize = 16 * 1024;

/// Which share of all that was gathered so far goes together, as a power of two: for each slot an
/// eighth of its own.
const SHARE_SHIFT: u32 = SLOTS.trailing_zeros() + 3;

/// The first time, slots have this many different sizes: if all waited for the same, those who put
/// them in would wait for the first, and then get all at once.
const FIRST_STEPS: usize = 16;

/// The lengths of a key (2 bytes) and of a packed record (4).
const LENGTHS_BYTES: usize = 6;

/// Records of one slot.
#[derive(Debug)]
pub(super) struct Sheaf {
    pub(super) slot: Slot,
    /// Of each record the lengths, the key, the packed form.
    bytes: Vec<u8>,
}

/// Records that wait for more of their slot.
#[derive(Debug)]
pub(super) struct Gathered {
    slots: Box<[Waiting]>,
    /// Bytes gathered so far.
    bytes: u64,
}

#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    /// How many are to go together.
    enough: usize,
}

impl Gathered {
    pub(super) fn new() -> Self {
        let waiting = |slot| Waiting {
            bytes: Vec::new(),
            enough: TOGETHER_BYTES_MIN * (slot % FIRST_STEPS + 1) / FIRST_STEPS,
        };
        Self {
            slots: (0..SLOTS).map(waiting).collect(),
            bytes: 0,
        }
    }

    /// Adds a record; gives back those of its slot once they are enough.
    pub(super) fn add(&mut self, slot: Slot, key: &[u8], held: &Held<'_>) -> Option<Sheaf> {
        let Waiting { bytes, enough } = &mut self.slots[slot.index()];
        if bytes.is_empty() {
            bytes.reserve_exact(*enough + *enough / 8);
        }
        let (head, payload) = (held.head(), held.payload());
        let (head, before) = (head.as_bytes(), bytes.len());
        let mut lengths = [0; LENGTHS_BYTES];
        let key_bytes = u16::try_from(key.len()).expect("keys are limited");
        let packed_bytes = u32::try_from(head.len() + payload.len()).expect("so are payloads");
        lengths[..2].copy_from_slice(&key_bytes.to_le_bytes());
        lengths[2..].copy_from_slice(&packed_bytes.to_le_bytes());
        bytes.reserve(LENGTHS_BYTES + key.len() + head.len() + payload.len());
        bytes.extend_from_slice(&lengths);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(payload);
        self.bytes += (bytes.len() - before) as u64;
        if bytes.len() < *enough {
            return None;
        }
        let share = usize::try_from(self.bytes >> SHARE_SHIFT).unwrap_or(usize::MAX);
        *enough = share.clamp(TOGETHER_BYTES_MIN, TOGETHER_BYTES_MAX);
        let bytes = std::mem::take(bytes);
        Some(Sheaf { slot, bytes })
    }

    /// What still waits.
    pub(super) fn rest(self) -> impl Iterator<Item = Sheaf> {
        let waiting = Slot::all().zip(self.slots);
        let waiting = waiting.filter(|(_, waiting)| !waiting.bytes.is_empty());
        waiting.map(|(slot, Waiting { bytes, .. })| Sheaf { slot, bytes })
    }
}

impl Sheaf {
    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Every record's key and packed form.
    pub(super) fn records(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut left = &self.bytes[..];
        std::iter::from_fn(move || {
            let (lengths, rest) = left.split_first_chunk::<LENGTHS_BYTES>()?;
            let [a, b, packed_bytes @ ..] = *lengths;
            let (key, rest) = rest.split_at(usize::from(u16::from_le_bytes([a, b])));
            let (packed, rest) = rest.split_at(u32::from_le_bytes(packed_bytes) as usize);
            left = rest;
            Some((key, packed))
        })
    }
}

#[cfg(test)]
mod tests {
    use kvcore::version::{HybridTime, Version, WriterId};

    use super::{super::super::held::Content, *};
    use crate::log::{Location, SegmentId};

    #[test]
    fn every_record_comes_out_once_and_in_order_and_little_waits() {
        let held = |number: u32| Held {
            version: Version::new(
                HybridTime::from_bits(number.into()),
                WriterId::from_random(2),
            ),
            location: Location {
                segment: SegmentId(1),
                offset: number,
                length: 44,
            },
            content: Content::Tombstone,
        };
        let mut gathered = Gathered::new();
        let mut seen = vec![Vec::new(); SLOTS];
        let mut see = |sheaf: Sheaf| {
            for (key, packed) in sheaf.records() {
                let offset = Held::unpack(packed).location.offset;
                assert_eq!(
                    (Slot::of(key), key),
                    (sheaf.slot, &offset.to_le_bytes()[..])
                );
                seen[sheaf.slot.index()].push(offset);
            }
        };
        let (mut given, mut out) = (0, 0);
        for number in 0..200_000_u32 {
            let key = number.to_le_bytes();
            given += LENGTHS_BYTES + key.len() + held(number).head().as_bytes().len();
            if let Some(sheaf) = gathered.add(Slot::of(&key), &key, &held(number)) {
                assert!(sheaf.bytes() <= TOGETHER_BYTES_MAX + 100);
                out += sheaf.bytes();
                see(sheaf);
            }
            assert!(given - out <= SLOTS * TOGETHER_BYTES_MAX);
        }
        assert!(out > given / 2, "most of it does not wait for the end");
        gathered.rest().for_each(&mut see);
        assert!(seen.iter().all(|offsets| offsets.is_sorted()));
        assert_eq!(seen.iter().map(Vec::len).sum::<usize>(), 200_000);
    }
}
