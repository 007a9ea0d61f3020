//! Kvasir's trie as one of the maps: the one place here that knows its interface.

use std::ops::Bound;

use kvserver::trie::Trie;

use super::maps::Map;

/// Kvasir's trie with values of 8 bytes.
#[derive(Debug, Default)]
pub(super) struct Ours(Trie);

impl Map for Ours {
    const NAME: &'static str = "Kvasir";
    type Key = Box<[u8]>;

    fn key(bytes: &[u8], _: bool) -> Self::Key {
        bytes.into()
    }

    fn bytes(key: &Self::Key) -> &[u8] {
        key
    }

    fn insert(&mut self, key: &Self::Key, value: u64) {
        self.0.insert(key, &value.to_le_bytes());
    }

    fn get(&self, key: &Self::Key) -> Option<u64> {
        let value = self.0.get(key)?.first_chunk();
        value.copied().map(u64::from_le_bytes)
    }

    fn remove(&mut self, key: &Self::Key) -> bool {
        self.0.remove(key)
    }

    fn scan(&self, prefix: &[u8]) -> Option<usize> {
        let mut cursor = if prefix.is_empty() {
            self.0.iter_from(Bound::Unbounded)
        } else {
            self.0.scan_prefix(prefix, None)
        };
        let mut count = 0;
        while let Some(entry) = cursor.next_entry() {
            std::hint::black_box(entry);
            count += 1;
        }
        Some(count)
    }
}

/// Kvasir's trie for who only fills it.
#[derive(Debug, Default)]
pub(crate) struct BareTrie(Trie);

impl BareTrie {
    pub(crate) fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key, value);
    }
}
