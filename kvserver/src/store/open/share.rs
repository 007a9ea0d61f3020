//! What one thread puts into the tries.

use kvcore::{key::Key, record::UploadId};

use super::{
    super::{
        digest::DigestTree,
        held::Held,
        shelf::{Change, Recovered, Shelf, Shelves},
    },
    gather::{Places, Sheaf},
};
use crate::log::Location;

/// One thread's share of the records. Which ones, and when, makes no difference: of two records of
/// a key the version decides, and where that is the same, the place in the log.
#[derive(Debug)]
pub(super) struct Share<'a> {
    shelves: &'a Shelves,
    /// Keys that had a value in chunks at some time, and its upload.
    pub(super) large: Vec<(UploadId, Key)>,
    /// What is to go into the slot's digests: a tree that is used for one slot after another stays
    /// in the caches.
    digests: DigestTree,
    places: Places,
    /// Records that are not needed any more.
    pub(super) dead: Vec<Location>,
}

impl<'a> Share<'a> {
    pub(super) fn new(shelves: &'a Shelves) -> Self {
        Self {
            shelves,
            digests: DigestTree::default(),
            places: Places::default(),
            large: Vec::new(),
            dead: Vec::new(),
        }
    }

    /// Puts records in, slot by slot.
    pub(super) fn put_in(&mut self, sheaf: &Sheaf) {
        let mut places = std::mem::take(&mut self.places);
        let places_by_slot = sheaf.by_slot(&mut places);
        let slots = || places_by_slot.chunk_by(|one, next| one.slot == next.slot);
        // Here and not one by one: between the small allocations of tries, a large one has some
        // allocators tidy up each time.
        for of_slot in slots() {
            let mut shelf = self.shelves.write(of_slot[0].slot);
            let before = shelf.bytes();
            shelf.digests.prepare();
            self.shelves.grow(shelf.bytes(), before);
        }
        for of_slot in slots() {
            let mut shelf = self.shelves.write(of_slot[0].slot);
            let before = shelf.bytes();
            let mut change = Change::default();
            for &place in of_slot {
                let (key, packed) = sheaf.record(place);
                self.put(&mut shelf, key, packed, &mut change);
            }
            shelf.digests.take_over(&mut self.digests);
            self.shelves.note(&change);
            self.shelves.grow(shelf.bytes(), before);
        }
        self.places = places;
    }

    fn put(&mut self, shelf: &mut Shelf, key: &[u8], packed: &[u8], change: &mut Change) {
        let new = Held::unpack(packed);
        match shelf.recover(key, (&new, [packed, &[]]), (&mut self.digests, change)) {
            Recovered::Dead(location) => self.dead.push(location),
            Recovered::In(former) => {
                self.dead.extend(former);
                if let Some(upload) = new.upload() {
                    // The chunks are brought in when all of them have been seen.
                    let key = Key::copy_from(key).expect("recovery checks keys");
                    self.large.push((upload, key));
                }
            }
        }
    }

    /// Takes over what another share came to.
    pub(super) fn take_over(&mut self, other: Share<'_>) {
        self.dead.extend(other.dead);
        self.large.extend(other.large);
    }
}

#[cfg(test)]
mod tests {
    use kvcore::{
        record::{Format, ValueMeta},
        slot::Slot,
        version::{HybridTime, Version, WriterId},
    };
    use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

    use super::{
        super::{super::held::Content, gather::Gathered},
        *,
    };
    use crate::log::SegmentId;

    /// Records of a few keys of one slot, some of the same version.
    fn records(random: &mut StdRng, keys: &[Vec<u8>]) -> Vec<(usize, Held<'static>)> {
        let mut record = |place: u32| {
            let meta = ValueMeta {
                format: Format::Raw,
                flags: 0,
                expires_at: None,
                length: random.random_range(0..3),
            };
            let upload = UploadId(random.random_range(0..3));
            let held = Held {
                version: Version::new(
                    HybridTime::from_bits(random.random_range(0..4)),
                    WriterId::from_random(2),
                ),
                location: Location {
                    segment: SegmentId(1 + place / 5),
                    offset: 100 + place % 5,
                    length: random.random_range(60..62),
                },
                content: match random.random_range(0..3) {
                    0 => Content::Tombstone,
                    1 => Content::OnDisk(meta),
                    _ => Content::Large(meta, upload),
                },
            };
            (random.random_range(0..keys.len()), held)
        };
        (0..30).map(&mut record).collect()
    }

    /// What is known after records came in this order, in sheaves of some.
    fn outcome(slot: Slot, keys: &[Vec<u8>], order: &[(usize, Held<'static>)]) -> String {
        let shelves = Shelves::new();
        let mut shares = [Share::new(&shelves), Share::new(&shelves)];
        for (turn, some) in order.chunks(4).enumerate() {
            let mut gathered = Gathered::new();
            for (key, held) in some {
                assert!(gathered.add(slot, &keys[*key], held).is_none(), "too few");
            }
            for sheaf in gathered.rest() {
                shares[turn % 2].put_in(&sheaf);
            }
        }
        let [mut share, other] = shares;
        share.take_over(other);
        share.dead.sort();
        let shelf = shelves.read(slot);
        let held: Vec<_> = keys.iter().map(|key| shelf.get(key)).collect();
        let sums = (shelves.keys(), shelves.tombstones(), shelves.bytes());
        format!(
            "{held:?} {:?} {sums:?} {:?} {:?}",
            share.dead,
            shelf.digests.root(),
            shelf.digests.buckets()
        )
    }

    #[test]
    fn the_order_of_records_makes_no_difference() {
        let slot = Slot::of(b"key 0");
        let numbered = (0..).map(|number| format!("key {number}").into_bytes());
        let of_slot = numbered.filter(|key| Slot::of(key) == slot);
        let keys: Vec<_> = of_slot.take(3).collect();
        for seed in 0..200 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut records = records(&mut random, &keys);
            let in_order = outcome(slot, &keys, &records);
            for _ in 0..5 {
                records.shuffle(&mut random);
                assert_eq!(outcome(slot, &keys, &records), in_order, "seed {seed}");
            }
        }
    }
}
