//! The four bytes every node begins with.
//!
//! ```text
//!  bit  0..16   length of the prefix
//!      16..25   number of children, 0..=256
//!      25..28   layout
//!      28       the node has room for a value
//!      29       the room holds a value
//! ```
//!
//! Packed by hand because half of all nodes are leaves: with a field each, every leaf would be
//! four bytes larger.

use super::layout::Layout;

const CHILDREN_SHIFT: u32 = 16;
const CHILDREN_MASK: u32 = 0x1ff;
const LAYOUT_SHIFT: u32 = 25;
const ROOM: u32 = 1 << 28;
const VALUE: u32 = 1 << 29;

/// The longest prefix a header can describe.
pub(super) const PREFIX_BYTES_MAX: usize = u16::MAX as usize;

// The layout's bits end where the flags begin.
const _: () = assert!((Layout::COUNT - 1) << LAYOUT_SHIFT < ROOM as usize);

/// What is known of a node without following its pointers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header(u32);

impl Header {
    /// A node without children and, so far, without a value.
    pub(super) fn new(layout: Layout, prefix_bytes: usize, room: bool) -> Self {
        let prefix = u16::try_from(prefix_bytes).expect("a prefix is shorter than the longest key");
        let room = if room { ROOM } else { 0 };
        Self(u32::from(prefix) | (layout as u32) << LAYOUT_SHIFT | room)
    }

    /// How the children are arranged.
    pub(super) fn layout(self) -> Layout {
        Layout::from_bits(self.0 >> LAYOUT_SHIFT)
    }

    /// The length of the prefix.
    pub(super) fn prefix_bytes(self) -> usize {
        self.0 as usize & PREFIX_BYTES_MAX
    }

    /// The number of children.
    pub(super) fn children(self) -> usize {
        (self.0 >> CHILDREN_SHIFT & CHILDREN_MASK) as usize
    }

    /// Whether the allocation includes the bytes of a value.
    pub(super) fn has_room(self) -> bool {
        self.0 & ROOM != 0
    }

    /// Whether those bytes are a value now.
    pub(super) fn has_value(self) -> bool {
        self.0 & VALUE != 0
    }

    /// The same node with another number of children.
    pub(super) fn with_children(self, children: usize) -> Self {
        assert!(
            children <= self.layout().slots(),
            "more children than slots"
        );
        let bits = u32::try_from(children).expect("at most 256 slots") << CHILDREN_SHIFT;
        Self(self.0 & !(CHILDREN_MASK << CHILDREN_SHIFT) | bits)
    }

    /// The same node with or without a value in its room.
    pub(super) fn with_value(self, present: bool) -> Self {
        Self(if present {
            self.0 | VALUE
        } else {
            self.0 & !VALUE
        })
    }
}
