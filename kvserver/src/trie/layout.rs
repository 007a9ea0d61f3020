//! The closed set of node layouts, and when a node moves from one to the next.
//!
//! The idea is that of Leis, Kemper, Neumann, *The Adaptive Radix Tree* (ICDE 2013): a node is as
//! wide as its children need. The paper has four widths; this set starts at two, because in a
//! trie of real keys most branchings are between two keys, and has thirty-two, because printable
//! keys (digits, one case of letters) rarely branch wider.
//!
//! ```text
//!  name        index bytes                      child slots   finds a byte by
//!  Leaf        none                             0             –
//!  Linear2     2   sorted bytes  [a c ]         2  [A C ]     looking at the whole index at once
//!  Linear4     4        "                       4             "
//!  Linear8     8        "                       8             "
//!  Linear16    16       "                       16            "
//!  Linear32    32       "                       32            "
//!  Indexed64   256 slot + 1, 0 is absent        64            index[byte]
//!  Direct256   none                             256           slots[byte]
//! ```

use self::Layout::{Direct256, Indexed64, Leaf, Linear2, Linear4, Linear8, Linear16, Linear32};

/// How a node arranges its children. The discriminant is stored in the node's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Layout {
    /// No child: the rest of one key, and its value.
    Leaf,
    /// Up to 2 children, bytes sorted.
    Linear2,
    /// Up to 4 children, bytes sorted.
    Linear4,
    /// Up to 8 children, bytes sorted.
    Linear8,
    /// Up to 16 children, bytes sorted.
    Linear16,
    /// Up to 32 children, bytes sorted.
    Linear32,
    /// Up to 64 children in no order, found through a table by byte.
    Indexed64,
    /// Any number of children, the byte is the slot.
    Direct256,
}

/// What the code branches on: layouts of one family differ only in size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// The index holds the children's bytes in order, slot `i` belongs to byte `index[i]`.
    Linear,
    /// The index holds, for every byte, its slot plus one.
    Indexed,
    /// There is no index.
    Direct,
}

/// Every layout at the place of its discriminant.
const ALL: [Layout; Layout::COUNT] = [
    Leaf, Linear2, Linear4, Linear8, Linear16, Linear32, Indexed64, Direct256,
];

/// Child slots of each layout.
const SLOTS: [u16; Layout::COUNT] = [0, 2, 4, 8, 16, 32, 64, 256];

/// Index bytes of each layout.
const INDEX_BYTES: [u16; Layout::COUNT] = [0, 2, 4, 8, 16, 32, 256, 0];

/// A node with this many children or fewer moves to the next smaller layout.
///
/// From 8 slots up this is three quarters of what the smaller layout holds, so that keys coming
/// and going around a boundary do not copy the node each time, while a node is never much more
/// than half empty. Below, the copy costs no more than the leaf allocated or freed with it, and
/// the slack would be paid on most nodes of the trie: so no slack at all.
const SHRINK_AT: [u16; Layout::COUNT] = [0, 0, 2, 3, 6, 12, 24, 48];

impl Layout {
    /// How many layouts there are.
    pub(super) const COUNT: usize = 8;

    /// The layout whose discriminant is `bits`; bits beyond the discriminant's are ignored.
    pub(super) const fn from_bits(bits: u32) -> Self {
        ALL[bits as usize % Self::COUNT]
    }

    /// Which code finds a child.
    pub(super) const fn family(self) -> Family {
        match self {
            Leaf | Linear2 | Linear4 | Linear8 | Linear16 | Linear32 => Family::Linear,
            Indexed64 => Family::Indexed,
            Direct256 => Family::Direct,
        }
    }

    /// How many children fit.
    pub(super) const fn slots(self) -> usize {
        SLOTS[self as usize] as usize
    }

    /// How many bytes the index takes.
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
        assert!(smaller.shrink_at() < smaller.slots() || smaller.slots() == 0);
        assert!(smaller.slots() + 1 > layout.shrink_at());
        place += 1;
    }
};
