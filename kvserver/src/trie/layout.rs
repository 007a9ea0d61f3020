//! The closed set of node layouts, and when a node moves from one to the next.
//!
//! The idea is that of Leis, Kemper, Neumann, *The Adaptive Radix Tree* (ICDE 2013): a node is as
//! wide as its children need. The paper has four widths; this set has twelve, because a slot
//! that no child takes costs as much as a fifth of a small key with its value. Steps are no finer
//! than what allocators tell apart.
//!
//! From 65 children on a node has a slot for every byte. What the paper has in between, a table from
//! byte to slot, would take two thirds of the memory, but a step down would wait for memory twice.
//!
//! ```text
//!  name        index bytes                      child slots   finds a byte by
//!  Leaf        none                             0             –
//!  Linear2     2   sorted bytes  [a c ]         2  [A C ]     looking at 16 index bytes at once
//!  …           …        "                       …             "
//!  Linear64    64       "                       64            "
//!  Direct256   none                             256           slots[byte]
//! ```

use self::Layout::{
    Direct256, Leaf, Linear2, Linear3, Linear4, Linear6, Linear8, Linear12, Linear16, Linear24,
    Linear32, Linear48, Linear64,
};
use super::search::WORD_BYTES;

/// How a node arranges its children. The discriminant is the tag of the node's pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Layout {
    /// No child: the rest of one key, and its value.
    Leaf,
    /// Up to 2 children, bytes sorted.
    Linear2,
    /// Up to 3 children, bytes sorted.
    Linear3,
    /// Up to 4 children, bytes sorted.
    Linear4,
    /// Up to 6 children, bytes sorted.
    Linear6,
    /// Up to 8 children, bytes sorted.
    Linear8,
    /// Up to 12 children, bytes sorted.
    Linear12,
    /// Up to 16 children, bytes sorted.
    Linear16,
    /// Up to 24 children, bytes sorted.
    Linear24,
    /// Up to 32 children, bytes sorted.
    Linear32,
    /// Up to 48 children, bytes sorted.
    Linear48,
    /// Up to 64 children, bytes sorted.
    Linear64,
    /// Any number of children, the byte is the slot.
    Direct256,
}

/// What the code branches on: layouts of one family differ only in size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// There is no child.
    Childless,
    /// The index holds the children's bytes in order, slot `i` belongs to byte `index[i]`.
    Linear,
    /// There is no index.
    Direct,
}

/// What four bits can name; the last three stand for nothing, in tables for a leaf.
pub(super) const NAMED: usize = 16;

/// Every layout at the place of its discriminant.
const ALL: [Layout; NAMED] = [
    Leaf, Linear2, Linear3, Linear4, Linear6, Linear8, Linear12, Linear16, Linear24, Linear32,
    Linear48, Linear64, Direct256, Leaf, Leaf, Leaf,
];

/// Child slots of each layout.
const SLOTS: [u16; NAMED] = [0, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 256, 0, 0, 0];

/// Index bytes of each layout.
const INDEX_BYTES: [u16; NAMED] = [0, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 0, 0, 0, 0];

/// A node with this many children or fewer moves to the next smaller layout.
///
/// From 12 slots up this is three quarters of what the smaller layout holds, so that keys coming
/// and going around a boundary do not copy the node each time, while a node is never much more
/// than half empty. Below, the copy costs no more than the leaf allocated or freed with it, and
/// the slack would be paid on most nodes of the trie: so no slack at all.
const SHRINK_AT: [u16; Layout::COUNT] = [0, 0, 2, 3, 4, 5, 6, 9, 12, 18, 24, 36, 48];

/// The words of the longest index.
pub(super) const WIDE_WORDS: usize = 4;
const _: () = assert!(WIDE_WORDS * WORD_BYTES == Linear64.slots());

impl Layout {
    /// How many layouts there are.
    pub(super) const COUNT: usize = 13;

    /// The layout whose discriminant is `bits`.
    #[inline]
    pub(super) const fn from_bits(bits: usize) -> Self {
        match bits {
            1 => Linear2,
            2 => Linear3,
            3 => Linear4,
            4 => Linear6,
            5 => Linear8,
            6 => Linear12,
            7 => Linear16,
            8 => Linear24,
            9 => Linear32,
            10 => Linear48,
            11 => Linear64,
            12 => Direct256,
            0 => Leaf,
            _ => panic!("no layout has this number"),
        }
    }

    /// Which code finds a child.
    #[inline]
    pub(super) const fn family(self) -> Family {
        match self {
            Leaf => Family::Childless,
            Direct256 => Family::Direct,
            _ => Family::Linear,
        }
    }

    /// How many children fit.
    #[inline]
    pub(super) const fn slots(self) -> usize {
        SLOTS[self as usize] as usize
    }

    /// How many words of [`WORD_BYTES`] are searched for a byte of a linear layout, the last ones
    /// perhaps with bytes of what stands behind the index: one, or what the longest index has.
    #[inline]
    pub(super) const fn words(self) -> usize {
        if self.slots() <= WORD_BYTES {
            1
        } else {
            WIDE_WORDS
        }
    }

    /// How many bytes the index takes.
    #[inline]
    pub(super) const fn index_bytes(self) -> usize {
        INDEX_BYTES[self as usize] as usize
    }

    /// The number of children at or below which a node of this layout becomes [`Self::smaller`].
    pub(super) const fn shrink_at(self) -> usize {
        SHRINK_AT[self as usize] as usize
    }

    /// The next wider layout; the widest is never full.
    pub(super) const fn wider(self) -> Self {
        let next = self as usize + 1;
        assert!(
            next < Self::COUNT,
            "a node of 256 slots has one for every byte"
        );
        ALL[next]
    }

    /// The next smaller layout; a leaf has none.
    pub(super) const fn smaller(self) -> Self {
        let next = (self as usize).checked_sub(1);
        ALL[next.expect("a leaf has no child to lose")]
    }
}

// Shrinking must make a node that neither is overfull nor shrinks again by itself, and growing
// one that does not shrink back at once.
const _: () = {
    let mut place = 1;
    while place < Layout::COUNT {
        let (smaller, layout) = (ALL[place - 1], ALL[place]);
        assert!(layout as usize == place);
        assert!(layout.shrink_at() <= smaller.slots());
        assert!(smaller.shrink_at() < layout.shrink_at() || smaller.slots() == 0);
        assert!(smaller.slots() + 1 > layout.shrink_at());
        place += 1;
    }
};
