//! Slots: the 1,024 hash buckets of the key space.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::SLOTS;

/// A slot number, 0 to 1,023.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Slot(u16);

/// A number that is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("slot {0} does not exist: slots go from 0 to {last}", last = SLOTS - 1)]
pub struct NoSuchSlot(pub u16);

impl Slot {
    /// The slot of a key: the low ten bits of the XXH3-64 hash (seed 0) of its bytes.
    ///
    /// Test vectors stand in `docs/protocols.md`; the function never changes.
    pub fn of(key: &[u8]) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_64(key);
        let low = hash & (SLOTS as u64 - 1);
        Self(u16::try_from(low).expect("ten bits fit sixteen"))
    }

    /// The slot with this number.
    pub fn new(number: u16) -> Result<Self, NoSuchSlot> {
        if usize::from(number) < SLOTS {
            Ok(Self(number))
        } else {
            Err(NoSuchSlot(number))
        }
    }

    /// All slots in order.
    ///
    /// ```
    /// # use kvcore::{limits::SLOTS, slot::Slot};
    /// assert_eq!(Slot::all().len(), SLOTS);
    /// ```
    pub fn all() -> impl ExactSizeIterator<Item = Slot> + Clone {
        (0..1024).map(Slot)
    }

    /// The slot's number.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The slot's number as an index into a table of [`SLOTS`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl TryFrom<u16> for Slot {
    type Error = NoSuchSlot;
    fn try_from(number: u16) -> Result<Self, NoSuchSlot> {
        Self::new(number)
    }
}

impl From<Slot> for u16 {
    fn from(slot: Slot) -> u16 {
        slot.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of slots, one bit each: 128 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet([u64; SLOTS / 64]);

impl SlotSet {
    /// Bytes of the encoded form.
    pub const BYTES: usize = SLOTS / 8;

    /// The empty set.
    pub const fn empty() -> Self {
        Self([0; SLOTS / 64])
    }

    /// The set of all slots.
    pub const fn full() -> Self {
        Self([u64::MAX; SLOTS / 64])
    }

    /// Adds a slot; true when it was not in the set.
    pub fn insert(&mut self, slot: Slot) -> bool {
        let bit = 1 << (slot.index() % 64);
        let word = &mut self.0[slot.index() / 64];
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    /// Takes a slot out; true when it was in the set.
    pub fn remove(&mut self, slot: Slot) -> bool {
        let had = self.contains(slot);
        self.0[slot.index() / 64] &= !(1 << (slot.index() % 64));
        had
    }

    /// Whether the slot is in the set.
    pub fn contains(&self, slot: Slot) -> bool {
        self.0[slot.index() / 64] & (1 << (slot.index() % 64)) != 0
    }

    /// How many slots are in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no slot is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// The slots of the set in order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        Slot::all().filter(|&slot| self.contains(slot))
    }

    /// The set as bytes: slot `n` is bit `n % 8` of byte `n / 8`.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (to, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The set that [`SlotSet::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut words = [0; SLOTS / 64];
        for (word, from) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(from.try_into().expect("chunks of eight"));
        }
        Self(words)
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::empty();
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotSet({} slots)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of `docs/protocols.md`: other clients compute slots from them.
    #[test]
    fn documented_vectors_hold() {
        let vectors: [(&[u8], u16); 6] = [
            (b"", 194),
            (b"a", 543),
            (b"person1", 926),
            (b"python3.11", 439),
            (b"\x00", 219),
            ("Ωμέγα".as_bytes(), 988),
        ];
        for (key, slot) in vectors {
            assert_eq!(Slot::of(key).number(), slot, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn sets_round_trip() {
        let set: SlotSet = Slot::all().filter(|slot| slot.number() % 7 == 3).collect();
        assert_eq!(SlotSet::from_bytes(&set.to_bytes()), set);
        assert_eq!(set.iter().count(), set.len());
        assert!(Slot::new(1024).is_err());
    }
}
