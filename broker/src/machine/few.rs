//! A map of a few entries, without an allocation while they are.
//!
//! An operation asks the copies of one key, which are few: what it knows of each is searched
//! through, and lies in the operation itself. In the order of the keys, as a `BTreeMap` is.

use smallvec::SmallVec;

/// A map in the order of its keys; as many as `N` entries take no allocation.
#[derive(Debug, Clone)]
pub(super) struct Few<K, V, const N: usize>(SmallVec<[(K, V); N]>);

impl<K, V, const N: usize> Default for Few<K, V, N> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<K: Ord + Copy, V, const N: usize> Few<K, V, N> {
    fn place(&self, key: K) -> Result<usize, usize> {
        match self.0.iter().position(|(here, _)| *here >= key) {
            Some(at) if self.0[at].0 == key => Ok(at),
            at => Err(at.unwrap_or(self.0.len())),
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: K) -> Option<&V> {
        self.place(key).ok().map(|at| &self.0[at].1)
    }

    /// The value of a key, to be changed.
    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.place(key).ok().map(|at| &mut self.0[at].1)
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: K) -> bool {
        self.place(key).is_ok()
    }

    /// Sets the value of a key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        match self.place(key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        self.place(key).ok().map(|at| self.0.remove(at).1)
    }

    /// Keeps those entries that `keep` says so of.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(K, &V) -> bool) {
        self.0.retain(|(key, value)| keep(*key, value));
    }

    /// Takes all out.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// All entries, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    /// All values, in order.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// All values, to be changed.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in vec((0u8..3, 0u8..8, any::<u8>()), 0..60)) {
            let (mut few, mut map) = (Few::<u8, u8, 2>::default(), BTreeMap::new());
            for (what, key, value) in steps {
                if what == 0 {
                    prop_assert_eq!(few.remove(key), map.remove(&key));
                } else {
                    few.insert(key, value);
                    map.insert(key, value);
                }
                prop_assert_eq!(few.get(key), map.get(&key));
                prop_assert_eq!(few.has(key), map.contains_key(&key));
                prop_assert!(few.iter().eq(map.iter().map(|(key, value)| (*key, value))));
            }
            few.retain(|key, _| key % 2 == 0);
            map.retain(|key, _| key % 2 == 0);
            prop_assert!(few.values().eq(map.values()));
        }
    }
}
