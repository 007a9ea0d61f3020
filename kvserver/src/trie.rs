//! The trie of one slot: an ordered map from byte strings to byte strings.
//!
//! An adaptive radix tree after Leis, Kemper, Neumann (ICDE 2013). A server holds every key in
//! memory, in 1024 of these, so the structure is chosen for few bytes a key first: keys share
//! their beginnings, what a key shares with no other is kept once in its leaf, a node is one
//! allocation as wide as its children need, and an empty trie has no allocation at all.
//!
//! ```text
//!   "romane" "romanes" "romulus" "rubens"         ─x→ one byte of the key   "…" a node's prefix
//!                                                   = a key ends here
//!   "r" ─o→ "m" ─a→ "ne"= ─s→ ""=
//!     │       └─u→ "lus"=
//!     └─u→ "bens"=
//! ```
//!
//! Reading order: `layout` (the kinds of node), `places` (what of a node is where), `raw` (a node's bytes, all unsafe code), `edges`
//! (a node's children), `reshape` (splitting, merging, growing, shrinking), `cursor` (walking).
//!
//! **Invariants**, which `check` verifies: a node without a value has two children or more; a
//! node without children has a value; a layout fits its number of children; `bytes` is the sum of
//! all allocations. Nothing here recurses: a trie may be as deep as its longest key is long.

mod check;
mod cursor;
mod edges;
mod header;
mod layout;
mod places;
mod raw;
mod reshape;
mod search;

use std::mem;
use std::ops::Bound;

pub use self::cursor::Cursor;
use self::layout::Layout;
use self::raw::Node;
use self::search::{common_len, strip};

/// The longest key a trie takes, what a node's header can describe. Servers allow far less.
pub const KEY_BYTES_MAX: usize = header::PREFIX_BYTES_MAX;

/// The longest value a trie takes, what its length before it can describe.
pub const VALUE_BYTES_MAX: usize = u32::MAX as usize;

/// A value in two pieces, which the trie joins: whoever has a description and a payload need not
/// copy them together first.
pub type Pieces<'v> = [&'v [u8]; 2];

/// What becomes of a value that is there when another comes for its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<T> {
    /// It stays.
    Keep(T),
    /// The other takes its place.
    Replace(T),
}

/// An ordered map from byte strings to byte strings.
pub struct Trie {
    root: Option<Node>,
    len: usize,
    heap: usize,
}

// A server has 1024 tries, most of them nearly empty in a small cluster.
const _: () = assert!(mem::size_of::<Trie>() <= 24);

impl std::fmt::Debug for Trie {
    /// The size alone: a trie may hold millions of keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trie")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Trie {
    /// An empty trie, which allocates nothing.
    pub const fn new() -> Self {
        Self {
            root: None,
            len: 0,
            heap: 0,
        }
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The heap bytes of the trie: nodes with the values in them, but not what the allocator adds
    /// to a request. Kept up to date, not counted.
    pub fn bytes(&self) -> usize {
        self.heap
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let mut node = self.root.as_ref()?;
        let mut rest = key;
        while node.layout() != Layout::Leaf {
            node.fetch();
            rest = strip(rest, node.prefix())?;
            let Some((&byte, tail)) = rest.split_first() else {
                return node.value();
            };
            node = node.child(byte)?;
            rest = tail;
        }
        node.leaf_value(rest)
    }

    /// The value of `key`, to change within its length.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut [u8]> {
        let mut node = self.root.as_mut()?;
        let mut rest = key;
        loop {
            node.fetch();
            rest = strip(rest, node.prefix())?;
            let Some((&byte, tail)) = rest.split_first() else {
                return node.value_mut();
            };
            let slot = node.find(byte)?;
            node = node.child_mut(slot);
            rest = tail;
        }
    }

    /// Sets the value of `key`; true if it had none.
    ///
    /// # Panics
    ///
    /// If `key` is longer than [`KEY_BYTES_MAX`] or `value` than [`VALUE_BYTES_MAX`].
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.replace(key, [value, &[]], |_| ()).is_none()
    }

    /// Sets the value of `key`, and gives back what `read` makes of the one it had.
    ///
    /// # Panics
    ///
    /// As [`Trie::insert`].
    pub fn replace<T>(
        &mut self,
        key: &[u8],
        value: Pieces<'_>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        self.replace_if(key, value, |before| Verdict::Replace(read(before)))
    }

    /// Sets the value of `key` if it has none or `judge` says so of the one it has, which it may
    /// change within its length; gives back what `judge` does.
    ///
    /// # Panics
    ///
    /// As [`Trie::insert`].
    pub fn replace_if<T>(
        &mut self,
        key: &[u8],
        value: Pieces<'_>,
        judge: impl FnOnce(&mut [u8]) -> Verdict<T>,
    ) -> Option<T> {
        assert!(
            key.len() <= KEY_BYTES_MAX,
            "a key of {} bytes is too long",
            key.len()
        );
        let heap = &mut self.heap;
        let Some(mut node) = self.root.as_mut() else {
            self.root = Some(Node::leaf(key, value, heap));
            self.len = 1;
            return None;
        };
        let mut rest = key;
        loop {
            node.fetch();
            let prefix = node.prefix();
            if !prefix.is_empty() {
                let common = common_len(prefix, rest);
                rest = &rest[common..];
                if common < prefix.len() {
                    node.split(common, rest, value, heap);
                    break;
                }
            }
            let Some((&byte, tail)) = rest.split_first() else {
                match node.value_mut().map(judge) {
                    Some(Verdict::Keep(kept)) => return Some(kept),
                    Some(Verdict::Replace(before)) => {
                        node.put_value(value, heap);
                        return Some(before);
                    }
                    None => node.put_value(value, heap),
                }
                break;
            };
            let Some(slot) = node.find(byte) else {
                let leaf = Node::leaf(tail, value, heap);
                node.add_child(byte, leaf, heap);
                break;
            };
            node = node.child_mut(slot);
            rest = tail;
        }
        self.len += 1;
        None
    }

    /// Removes `key`; true if it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.take(key, |_| ()).is_some()
    }

    /// Removes `key`, and gives back what `read` makes of its value.
    pub fn take<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let root = self.root.as_ref()?;
        let taken = if root.header().children() > 0 {
            self.take_below_root(key, read)?
        } else if root.prefix() == key {
            let taken = read(root.value()?);
            self.heap = 0;
            self.root = None;
            taken
        } else {
            return None;
        };
        self.len -= 1;
        Some(taken)
    }

    /// Removes every key.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Walks the keys from a bound on, in order.
    ///
    /// ```
    /// use std::ops::Bound;
    /// use kvserver::trie::Trie;
    ///
    /// let mut trie = Trie::new();
    /// trie.insert(b"a", b"one");
    /// trie.insert(b"b", b"two");
    /// let mut cursor = trie.iter_from(Bound::Excluded(b"a"));
    /// assert_eq!(cursor.next_entry(), Some((&b"b"[..], &b"two"[..])));
    /// assert_eq!(cursor.next_entry(), None);
    /// ```
    pub fn iter_from(&self, from: Bound<&[u8]>) -> Cursor<'_> {
        Cursor::new(self.root.as_ref(), &[], from)
    }

    /// Walks the keys that start with `prefix`, in order, those up to and including `after` left
    /// out. Both ends are found by descending: keys outside are not looked at.
    pub fn scan_prefix(&self, prefix: &[u8], after: Option<&[u8]>) -> Cursor<'_> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Cursor::new(self.root.as_ref(), prefix, from)
    }

    /// Takes `key` from a trie whose root is not a leaf.
    fn take_below_root<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let heap = &mut self.heap;
        let mut node = self.root.as_mut()?;
        let mut rest = key;
        loop {
            // `node` is an inner node, so that it is there to lose a leaf or its own value.
            node.fetch();
            rest = strip(rest, node.prefix())?;
            let Some((&byte, tail)) = rest.split_first() else {
                let taken = read(node.value()?);
                node.remove_value(heap);
                return Some(taken);
            };
            let slot = node.find(byte)?;
            let child = node.child_mut(slot);
            if child.header().children() == 0 {
                if child.prefix() != tail {
                    return None;
                }
                let taken = read(child.value()?);
                node.remove_leaf(slot, heap);
                return Some(taken);
            }
            node = node.child_mut(slot);
            rest = tail;
        }
    }
}

impl Default for Trie {
    fn default() -> Self {
        Self::new()
    }
}
