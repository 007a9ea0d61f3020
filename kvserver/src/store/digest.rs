//! The digest tree of one slot: what the slot holds, in short, kept up to date with every write.
//!
//! A record's digest is a hash of its key and version. A bucket's digest is the sum of those of
//! its records, the slot's the sum of its buckets: sums, because a record can then be taken out as
//! easily as put in, and (unlike with exclusive or) twice the same does not cancel itself out.

use kvcore::{
    version::Version,
    wire::{BUCKETS, Bucket},
};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// Longest key and version that are hashed in one piece, in bytes.
const JOINED_BYTES: usize = 128;

/// Sums over one slot; empty slots allocate nothing.
#[derive(Debug, Default)]
pub struct DigestTree {
    root: u64,
    buckets: Option<Box<[u64; BUCKETS]>>,
}

impl DigestTree {
    /// Counts a record in.
    pub fn add(&mut self, key: &[u8], version: Version) {
        let digest = record_digest(key, version);
        self.root = self.root.wrapping_add(digest);
        let bucket = self.bucket(key);
        *bucket = bucket.wrapping_add(digest);
    }

    /// Counts a record out.
    pub fn remove(&mut self, key: &[u8], version: Version) {
        let digest = record_digest(key, version);
        self.root = self.root.wrapping_sub(digest);
        let bucket = self.bucket(key);
        *bucket = bucket.wrapping_sub(digest);
    }

    /// Makes room for records, ahead of the first.
    pub fn prepare(&mut self) {
        self.buckets.get_or_insert_with(|| Box::new([0; BUCKETS]));
    }

    /// Counts in what another tree did, and empties that.
    pub fn take_over(&mut self, other: &mut Self) {
        self.root = self.root.wrapping_add(std::mem::take(&mut other.root));
        let Some(from) = &mut other.buckets else {
            return;
        };
        let buckets = self.buckets.get_or_insert_with(|| Box::new([0; BUCKETS]));
        for (bucket, from) in buckets.iter_mut().zip(from.iter_mut()) {
            *bucket = bucket.wrapping_add(std::mem::take(from));
        }
    }

    /// The digest of the slot.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// The digests of the buckets.
    pub fn buckets(&self) -> Box<[u64; BUCKETS]> {
        self.buckets
            .clone()
            .unwrap_or_else(|| Box::new([0; BUCKETS]))
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        if self.buckets.is_some() {
            BUCKETS * size_of::<u64>()
        } else {
            0
        }
    }

    fn bucket(&mut self, key: &[u8]) -> &mut u64 {
        let buckets = self.buckets.get_or_insert_with(|| Box::new([0; BUCKETS]));
        &mut buckets[usize::from(Bucket::of(key).0)]
    }
}

fn record_digest(key: &[u8], version: Version) -> u64 {
    // The state of a hash in pieces takes longer to set up than most keys take to hash.
    let mut joined = [0; JOINED_BYTES];
    let length = key.len() + Version::BYTES;
    if let Some(joined) = joined.get_mut(..length) {
        let (start, end) = joined.split_at_mut(key.len());
        start.copy_from_slice(key);
        end.copy_from_slice(&version.to_bytes());
        return xxh3_64(joined);
    }
    let mut hasher = Xxh3Default::new();
    hasher.update(key);
    hasher.update(&version.to_bytes());
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use kvcore::version::{HybridTime, WriterId};

    use super::*;

    #[test]
    fn a_digest_does_not_depend_on_how_it_is_made() {
        let version = Version::new(HybridTime::from_bits(5), WriterId::from_random(2));
        for length in 1..300 {
            let key: Vec<u8> = (0..=255).cycle().take(length).collect();
            let joined = [&key[..], &version.to_bytes()].concat();
            let digest = record_digest(&key, version);
            assert_eq!(digest, xxh3_64(&joined), "{length} bytes");
        }
    }

    #[test]
    fn what_was_counted_elsewhere_is_taken_over_once() {
        let version = Version::new(HybridTime::from_bits(5), WriterId::from_random(2));
        let (mut here, mut there) = (DigestTree::default(), DigestTree::default());
        here.take_over(&mut there);
        assert_eq!(here.bytes(), 0);
        let mut all = DigestTree::default();
        for number in 0..100_u64 {
            all.add(&number.to_le_bytes(), version);
            there.add(&number.to_le_bytes(), version);
            if number % 7 == 0 {
                here.take_over(&mut there);
            }
        }
        for _ in 0..2 {
            here.take_over(&mut there);
            assert_eq!((here.root(), here.buckets()), (all.root(), all.buckets()));
        }
    }

    #[test]
    fn the_order_of_writes_does_not_matter_and_removal_undoes() {
        let version = |bits| Version::new(HybridTime::from_bits(bits), WriterId::from_random(2));
        let (mut one, mut two) = (DigestTree::default(), DigestTree::default());
        for number in 0..100u64 {
            one.add(&number.to_le_bytes(), version(number));
            two.add(&(99 - number).to_le_bytes(), version(99 - number));
        }
        assert_eq!((one.root(), one.buckets()), (two.root(), two.buckets()));
        two.remove(&7u64.to_le_bytes(), version(7));
        two.add(&7u64.to_le_bytes(), version(8));
        assert_ne!(one.root(), two.root());
        let differing = one
            .buckets()
            .iter()
            .zip(two.buckets().iter())
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(differing, 1);
        two.remove(&7u64.to_le_bytes(), version(8));
        two.add(&7u64.to_le_bytes(), version(7));
        assert_eq!((one.root(), one.buckets()), (two.root(), two.buckets()));
    }
}
