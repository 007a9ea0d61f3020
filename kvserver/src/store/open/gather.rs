//! Gathers recovered records by slot, so that a trie gets many at once.
//!
//! Records lie in the log as they were written, which is no order of keys. Put into 1,024 tries one
//! by one, each finds its trie gone from the caches; many of one slot find what the first of them
//! brought in. To write into 1,024 places has the same fault, so they are gathered by groups of
//! slots, and sorted when a group's are enough.

use kvcore::{limits::SLOTS, slot::Slot};

use super::super::held::Held;

/// Slots whose records are gathered together.
const GROUP_SLOTS: usize = 32;

const GROUPS: usize = SLOTS / GROUP_SLOTS;

/// Bytes of one group's records that go together.
const TOGETHER_BYTES_MIN: usize = 64 * 1024;

/// The same for a large log. What waits is at most as much for every group, and a payload more.
const TOGETHER_BYTES_MAX: usize = 512 * 1024;

/// Which share of all that was gathered so far goes together, as a power of two: for each group an
/// eighth of its own.
const SHARE_SHIFT: u32 = GROUPS.trailing_zeros() + 3;

/// The first time, groups have this many different sizes: if all waited for the same, those who put
/// them in would wait for the first, and then get all at once.
const FIRST_STEPS: usize = 16;

/// A slot (2 bytes), and the lengths of a key (2) and of a packed record (4).
const HEAD_BYTES: usize = 8;

/// Records of a group of slots.
#[derive(Debug)]
pub(super) struct Sheaf {
    /// Of each record the slot and the lengths, the key, the packed form.
    bytes: Vec<u8>,
}

/// Where in a sheaf a record stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) slot: Slot,
    start: u32,
}

/// Places of a sheaf's records: memory that one sheaf after another uses.
#[derive(Debug, Default)]
pub(super) struct Places {
    met: Vec<Place>,
    sorted: Vec<Place>,
}

/// Records that wait for more of their group.
#[derive(Debug)]
pub(super) struct Gathered {
    groups: Box<[Waiting]>,
    /// Bytes gathered so far.
    bytes: u64,
    /// Memory of sheaves that were put in.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    /// How many are to go together.
    enough: usize,
}

impl Gathered {
    pub(super) fn new() -> Self {
        let waiting = |group| Waiting {
            bytes: Vec::new(),
            enough: TOGETHER_BYTES_MIN * (group % FIRST_STEPS + 1) / FIRST_STEPS,
        };
        Self {
            groups: (0..GROUPS).map(waiting).collect(),
            bytes: 0,
            spare: Vec::new(),
        }
    }

    /// Takes the memory of a sheaf that was put in, to use it again.
    pub(super) fn reuse(&mut self, sheaf: Sheaf) {
        let mut bytes = sheaf.bytes;
        // One that a large payload made long would stay so.
        if bytes.capacity() <= 2 * TOGETHER_BYTES_MAX {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// Adds a record; gives back those of its group once they are enough.
    pub(super) fn add(&mut self, slot: Slot, key: &[u8], held: &Held<'_>) -> Option<Sheaf> {
        let Waiting { bytes, enough } = &mut self.groups[slot.index() / GROUP_SLOTS];
        if bytes.is_empty() {
            *bytes = self.spare.pop().unwrap_or_default();
            bytes.reserve_exact(*enough + *enough / 8);
        }
        let (packed, payload) = (held.head(), held.payload());
        let (packed, before) = (packed.as_bytes(), bytes.len());
        let mut head = [0; HEAD_BYTES];
        let key_bytes = u16::try_from(key.len()).expect("keys are limited");
        let packed_bytes = u32::try_from(packed.len() + payload.len()).expect("so are payloads");
        head[..2].copy_from_slice(&slot.number().to_le_bytes());
        head[2..4].copy_from_slice(&key_bytes.to_le_bytes());
        head[4..].copy_from_slice(&packed_bytes.to_le_bytes());
        bytes.reserve(HEAD_BYTES + key.len() + packed.len() + payload.len());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(packed);
        bytes.extend_from_slice(payload);
        self.bytes += (bytes.len() - before) as u64;
        if bytes.len() < *enough {
            return None;
        }
        let share = usize::try_from(self.bytes >> SHARE_SHIFT).unwrap_or(usize::MAX);
        *enough = share.clamp(TOGETHER_BYTES_MIN, TOGETHER_BYTES_MAX);
        let bytes = std::mem::take(bytes);
        Some(Sheaf { bytes })
    }

    /// What still waits.
    pub(super) fn rest(self) -> impl Iterator<Item = Sheaf> {
        let waiting = self.groups.into_iter();
        let waiting = waiting.filter(|waiting| !waiting.bytes.is_empty());
        waiting.map(|Waiting { bytes, .. }| Sheaf { bytes })
    }
}

impl Sheaf {
    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Every record's place, by slots, and within a slot as they came.
    pub(super) fn by_slot<'p>(&self, Places { met, sorted }: &'p mut Places) -> &'p [Place] {
        met.clear();
        // Where each slot of the group begins, once all before it are counted.
        let mut starts = [0; GROUP_SLOTS + 1];
        let mut at = 0;
        while at < self.bytes.len() {
            let (slot, key_bytes, packed_bytes) = self.head(at);
            starts[slot.index() % GROUP_SLOTS + 1] += 1;
            let start = u32::try_from(at).expect("a sheaf is not much more than what is enough");
            met.push(Place { slot, start });
            at += HEAD_BYTES + key_bytes + packed_bytes;
        }
        for slot in 0..GROUP_SLOTS {
            starts[slot + 1] += starts[slot];
        }
        sorted.clone_from(met);
        for &place in &*met {
            let next = &mut starts[place.slot.index() % GROUP_SLOTS];
            sorted[*next] = place;
            *next += 1;
        }
        sorted
    }

    /// A record's key and packed form.
    pub(super) fn record(&self, place: Place) -> (&[u8], &[u8]) {
        let at = place.start as usize;
        let (_, key_bytes, packed_bytes) = self.head(at);
        let both = &self.bytes[at + HEAD_BYTES..at + HEAD_BYTES + key_bytes + packed_bytes];
        both.split_at(key_bytes)
    }

    fn head(&self, at: usize) -> (Slot, usize, usize) {
        let head = &self.bytes[at..at + HEAD_BYTES];
        let [a, b, c, d, packed_bytes @ ..] = *head.first_chunk::<HEAD_BYTES>().expect("as long");
        let slot = Slot::new(u16::from_le_bytes([a, b])).expect("it was one");
        let key_bytes = u16::from_le_bytes([c, d]).into();
        (slot, key_bytes, u32::from_le_bytes(packed_bytes) as usize)
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
        let mut see = |sheaf: &Sheaf| {
            let mut places = Places::default();
            let places = sheaf.by_slot(&mut places);
            assert!(places.is_sorted_by_key(|place| place.slot));
            for &place in places {
                let (key, packed) = sheaf.record(place);
                let offset = Held::unpack(packed).location.offset;
                assert_eq!(
                    (Slot::of(key), key),
                    (place.slot, &offset.to_le_bytes()[..])
                );
                seen[place.slot.index()].push(offset);
            }
        };
        let (mut given, mut out) = (0, 0);
        for number in 0..200_000_u32 {
            let key = number.to_le_bytes();
            given += HEAD_BYTES + key.len() + held(number).head().as_bytes().len();
            if let Some(sheaf) = gathered.add(Slot::of(&key), &key, &held(number)) {
                assert!(sheaf.bytes.len() <= TOGETHER_BYTES_MAX + 100);
                out += sheaf.bytes.len();
                see(&sheaf);
                gathered.reuse(sheaf);
            }
            assert!(given - out <= GROUPS * TOGETHER_BYTES_MAX);
        }
        assert!(out > given / 2, "most of it does not wait for the end");
        gathered.rest().for_each(|sheaf| see(&sheaf));
        assert!(seen.iter().all(|offsets| offsets.is_sorted()));
        assert_eq!(seen.iter().map(Vec::len).sum::<usize>(), 200_000);
    }
}
