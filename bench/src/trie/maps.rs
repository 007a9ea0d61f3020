//! The maps that are compared, behind one interface.
//!
//! Each is given its keys in the form it likes best, made before the clock runs. A map that owns
//! its keys copies them while it runs, as one that is fed from a network has to.

use std::{collections::BTreeMap, hint::black_box, ops::Bound};

use kvcore::{limits::SLOTS, slot::Slot};
use rart::KeyTrait;

/// A map from byte strings to 8 bytes.
pub(super) trait Map: Default {
    /// What it is called.
    const NAME: &'static str;
    /// How many maps it is.
    const MAPS: usize = 1;
    /// A key as it is handed in.
    type Key;

    /// A key; `open` where one key may be the beginning of another.
    fn key(bytes: &[u8], open: bool) -> Self::Key;
    /// The key's bytes.
    fn bytes(key: &Self::Key) -> &[u8];
    fn insert(&mut self, key: &Self::Key, value: u64);
    fn get(&self, key: &Self::Key) -> Option<u64>;
    fn remove(&mut self, key: &Self::Key) -> bool;
    /// How many keys begin with a prefix, each looked at in order; `None` without an order.
    fn scan(&self, prefix: &[u8]) -> Option<usize>;
}

/// A key that ends in a byte that no key has inside: what some need to tell a key from the
/// beginning of another.
fn ended(bytes: &[u8], open: bool) -> Vec<u8> {
    let mut key = Vec::with_capacity(bytes.len() + 1);
    key.extend_from_slice(bytes);
    if open {
        key.push(0);
    }
    key
}

/// The crate blart.
#[derive(Default)]
pub(super) struct Blart(blart::TreeMap<Box<[u8]>, u64>);

impl Map for Blart {
    const NAME: &'static str = "blart";
    type Key = Box<[u8]>;

    fn key(bytes: &[u8], open: bool) -> Self::Key {
        ended(bytes, open).into()
    }

    fn bytes(key: &Self::Key) -> &[u8] {
        key
    }

    fn insert(&mut self, key: &Self::Key, value: u64) {
        let inserted = self.0.try_insert(key.clone(), value);
        assert!(inserted.is_ok(), "no key is the beginning of another");
    }

    fn get(&self, key: &Self::Key) -> Option<u64> {
        self.0.get(&**key).copied()
    }

    fn remove(&mut self, key: &Self::Key) -> bool {
        self.0.remove(&**key).is_some()
    }

    fn scan(&self, prefix: &[u8]) -> Option<usize> {
        Some(if prefix.is_empty() {
            self.0.iter().map(black_box).count()
        } else {
            self.0.prefix(prefix).map(black_box).count()
        })
    }
}

/// The crate rart, with one of its kinds of keys.
pub(super) struct Rart<K: KeyTrait>(rart::AdaptiveRadixTree<K, u64>);

impl<K: KeyTrait> Default for Rart<K> {
    fn default() -> Self {
        Self(rart::AdaptiveRadixTree::new())
    }
}

/// Keys of rart: what they are called.
pub(super) trait RartKey: KeyTrait {
    const NAME: &'static str;
}

impl RartKey for rart::VectorKey {
    const NAME: &'static str = "rart, VectorKey";
}

impl RartKey for rart::OverflowKey<32, 8> {
    const NAME: &'static str = "rart, OverflowKey";
}

impl<K: RartKey> Map for Rart<K> {
    const NAME: &'static str = K::NAME;
    type Key = K;

    fn key(bytes: &[u8], open: bool) -> Self::Key {
        K::new_from_slice(&ended(bytes, open))
    }

    fn bytes(key: &Self::Key) -> &[u8] {
        key.as_ref()
    }

    fn insert(&mut self, key: &Self::Key, value: u64) {
        self.0.insert_k(key, value);
    }

    fn get(&self, key: &Self::Key) -> Option<u64> {
        self.0.get_k(key).copied()
    }

    fn remove(&mut self, key: &Self::Key) -> bool {
        self.0.remove_k(key).is_some()
    }

    fn scan(&self, prefix: &[u8]) -> Option<usize> {
        Some(if prefix.is_empty() {
            self.0.iter().map(black_box).count()
        } else {
            let prefix = K::new_from_slice(prefix);
            self.0.prefix_iter_k(&prefix).map(black_box).count()
        })
    }
}

/// The crate qp-trie.
#[derive(Default)]
pub(super) struct Qp(qp_trie::Trie<Box<[u8]>, u64>);

impl Map for Qp {
    const NAME: &'static str = "qp-trie";
    type Key = Box<[u8]>;

    fn key(bytes: &[u8], _: bool) -> Self::Key {
        bytes.into()
    }

    fn bytes(key: &Self::Key) -> &[u8] {
        key
    }

    fn insert(&mut self, key: &Self::Key, value: u64) {
        self.0.insert(key.clone(), value);
    }

    fn get(&self, key: &Self::Key) -> Option<u64> {
        self.0.get(key).copied()
    }

    fn remove(&mut self, key: &Self::Key) -> bool {
        self.0.remove(key).is_some()
    }

    fn scan(&self, prefix: &[u8]) -> Option<usize> {
        Some(if prefix.is_empty() {
            self.0.iter().map(black_box).count()
        } else {
            self.0.iter_prefix(prefix).map(black_box).count()
        })
    }
}

/// The standard library's ordered map.
#[derive(Default)]
pub(super) struct BTree(BTreeMap<Box<[u8]>, u64>);

impl Map for BTree {
    const NAME: &'static str = "BTreeMap";
    type Key = Box<[u8]>;

    fn key(bytes: &[u8], _: bool) -> Self::Key {
        bytes.into()
    }

    fn bytes(key: &Self::Key) -> &[u8] {
        key
    }

    fn insert(&mut self, key: &Self::Key, value: u64) {
        self.0.insert(key.clone(), value);
    }

    fn get(&self, key: &Self::Key) -> Option<u64> {
        self.0.get(key).copied()
    }

    fn remove(&mut self, key: &Self::Key) -> bool {
        self.0.remove(key).is_some()
    }

    fn scan(&self, prefix: &[u8]) -> Option<usize> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let within = self.0.range::<[u8], _>(from);
        let within = within.take_while(|(key, _)| key.starts_with(prefix));
        Some(within.map(black_box).count())
    }
}

/// The crate hashbrown: no order, a landmark for speed.
#[derive(Default)]
pub(super) struct Hash(hashbrown::HashMap<Box<[u8]>, u64>);

impl Map for Hash {
    const NAME: &'static str = "hashbrown";
    type Key = Box<[u8]>;

    fn key(bytes: &[u8], _: bool) -> Self::Key {
        bytes.into()
    }

    fn bytes(key: &Self::Key) -> &[u8] {
        key
    }

    fn insert(&mut self, key: &Self::Key, value: u64) {
        self.0.insert(key.clone(), value);
    }

    fn get(&self, key: &Self::Key) -> Option<u64> {
        self.0.get(key).copied()
    }

    fn remove(&mut self, key: &Self::Key) -> bool {
        self.0.remove(key).is_some()
    }

    fn scan(&self, _: &[u8]) -> Option<usize> {
        None
    }
}

/// A map a slot, as a server has them.
pub(super) struct BySlot<M>(Vec<M>);

impl<M: Map> Default for BySlot<M> {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| M::default()).collect())
    }
}

impl<M: Map> BySlot<M> {
    fn of(&self, key: &M::Key) -> &M {
        &self.0[Slot::of(M::bytes(key)).index()]
    }

    fn of_mut(&mut self, key: &M::Key) -> &mut M {
        &mut self.0[Slot::of(M::bytes(key)).index()]
    }
}

impl<M: Map> Map for BySlot<M> {
    const NAME: &'static str = M::NAME;
    const MAPS: usize = SLOTS;
    type Key = M::Key;

    fn key(bytes: &[u8], open: bool) -> Self::Key {
        M::key(bytes, open)
    }

    fn bytes(key: &Self::Key) -> &[u8] {
        M::bytes(key)
    }

    fn insert(&mut self, key: &Self::Key, value: u64) {
        self.of_mut(key).insert(key, value);
    }

    fn get(&self, key: &Self::Key) -> Option<u64> {
        self.of(key).get(key)
    }

    fn remove(&mut self, key: &Self::Key) -> bool {
        self.of_mut(key).remove(key)
    }

    fn scan(&self, prefix: &[u8]) -> Option<usize> {
        self.0.iter().map(|map| map.scan(prefix)).sum()
    }
}
