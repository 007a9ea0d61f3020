//! The four bytes every node begins with.
//!
//! ```text
//!  bit  0..16   length of the prefix
//!      16..25   number of children, 0..=256
//!      25..27   width of the value's length: no value, 1, 2 or 4 bytes
//! ```
//!
//! Packed by hand because half of all nodes are leaves: with a field each, every leaf would be
//! four bytes larger.

const CHILDREN_SHIFT: u32 = 16;
const CHILDREN_MASK: u32 = 0x1ff;
const WIDTH_SHIFT: u32 = 25;
const WIDTH_MASK: u32 = 0b11;

/// The longest prefix a header can describe.
pub(super) const PREFIX_BYTES_MAX: usize = u16::MAX as usize;

/// In how many bytes a node has the length of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Width {
    /// There is no value.
    None,
    /// One byte.
    One,
    /// Two bytes.
    Two,
    /// Four bytes.
    Four,
}

impl Width {
    /// The narrowest for a value of this length.
    pub(super) fn of(value: Option<u32>) -> Self {
        match value {
            None => Self::None,
            Some(0..=0xff) => Self::One,
            Some(0x100..=0xffff) => Self::Two,
            Some(_) => Self::Four,
        }
    }

    /// How many bytes that is.
    #[inline]
    pub(super) const fn bytes(self) -> usize {
        [0, 1, 2, 4][self as usize]
    }
}

/// What is known of a node, beside its layout, without following its pointers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header(u32);

impl Header {
    /// A node without children.
    pub(super) fn new(prefix_bytes: usize, width: Width) -> Self {
        let prefix = u16::try_from(prefix_bytes).expect("a prefix is shorter than the longest key");
        Self(u32::from(prefix)).with_width(width)
    }

    /// The length of the prefix.
    #[inline]
    pub(super) fn prefix_bytes(self) -> usize {
        self.0 as usize & PREFIX_BYTES_MAX
    }

    /// The number of children.
    #[inline]
    pub(super) fn children(self) -> usize {
        (self.0 >> CHILDREN_SHIFT & CHILDREN_MASK) as usize
    }

    /// The width of the value's length.
    #[inline]
    pub(super) fn width(self) -> Width {
        match self.0 >> WIDTH_SHIFT & WIDTH_MASK {
            0 => Width::None,
            1 => Width::One,
            2 => Width::Two,
            _ => Width::Four,
        }
    }

    /// Whether a key ends here.
    pub(super) fn has_value(self) -> bool {
        self.width() != Width::None
    }

    /// The same node with another number of children.
    pub(super) fn with_children(self, children: usize) -> Self {
        let bits = u32::try_from(children).expect("at most 256 slots") << CHILDREN_SHIFT;
        Self(self.0 & !(CHILDREN_MASK << CHILDREN_SHIFT) | bits)
    }

    /// The same node with another value, or none.
    pub(super) fn with_width(self, width: Width) -> Self {
        Self(self.0 & !(WIDTH_MASK << WIDTH_SHIFT) | (width as u32) << WIDTH_SHIFT)
    }
}
