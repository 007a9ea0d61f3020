//! Where the parts of a node begin.
//!
//! Index and slots come before what has no fixed length: their places follow from the layout
//! alone. A step down the trie looks up one number to find a slot, and waits for nothing else
//! that the node says of itself.

use std::alloc::Layout as Memory;
use std::mem;

use super::header::Header;
use super::layout::{Layout, NAMED};

pub(super) const HEADER_BYTES: usize = mem::size_of::<Header>();
/// A slot is a pointer.
pub(super) const SLOT_BYTES: usize = mem::size_of::<*const u8>();
/// What every allocation is aligned to, more than its parts need: the low bits of its address name
/// the layout. Allocators align what has 16 bytes or more so anyway.
pub(super) const ALIGN: usize = 16;

/// Where the slots begin, by layout. A leaf has none, and no pad before them.
const SLOTS: [u16; NAMED] = {
    let mut places = [0; NAMED];
    let mut bits = 0;
    while bits < NAMED {
        let index_end = HEADER_BYTES + layout_of(bits).index_bytes();
        places[bits] = narrow(match layout_of(bits) {
            Layout::Leaf => index_end,
            _ => index_end.next_multiple_of(SLOT_BYTES),
        });
        bits += 1;
    }
    places
};

/// Where the prefix begins, by layout.
const PREFIX: [u16; NAMED] = {
    let mut places = [0; NAMED];
    let mut bits = 0;
    while bits < NAMED {
        places[bits] = narrow(SLOTS[bits] as usize + layout_of(bits).slots() * SLOT_BYTES);
        bits += 1;
    }
    places
};

/// The first slot of a layout. The widest is told apart so that its place is known without a table.
#[inline]
pub(super) const fn slots(layout: Layout) -> usize {
    match layout {
        Layout::Direct256 => SLOTS[Layout::Direct256 as usize] as usize,
        _ => SLOTS[layout as usize] as usize,
    }
}

/// The prefix in a layout: as many bytes as are before it, a layout takes.
#[inline]
pub(super) const fn prefix(layout: Layout) -> usize {
    PREFIX[layout as usize] as usize
}

/// Places in two lines of memory behind the first that a step down from a node may read.
///
/// The slots are there, in layouts of up to 12 slots all of them, in wider ones the first. Always two,
/// so that nothing is to be guessed.
#[inline]
pub(super) fn fetched(layout: Layout) -> [usize; 2] {
    FETCHED[layout as usize].map(usize::from)
}

const FETCHED: [[u16; 2]; NAMED] = {
    let mut places = [[0; 2]; NAMED];
    let mut bits = 1;
    while bits <= Layout::Linear64 as usize {
        let last = PREFIX[bits] - 1;
        places[bits] = [
            if last < 64 { last } else { 64 },
            if last < 128 { last } else { 128 },
        ];
        bits += 1;
    }
    places
};

/// The value's length, and behind it the value.
#[inline]
pub(super) fn value(layout: Layout, header: Header) -> usize {
    prefix(layout) + header.prefix_bytes()
}

/// The allocation of a node whose value, if it has one, is so long.
pub(super) fn memory(layout: Layout, header: Header, length: Option<u32>) -> Memory {
    let width = header.width().bytes();
    let size = value(layout, header) + width + length.unwrap_or(0) as usize;
    // Smaller ones would not be aligned at no cost, and take as much.
    Memory::from_size_align(size.max(ALIGN), ALIGN).expect("a prefix and a value are limited")
}

const fn layout_of(bits: usize) -> Layout {
    if bits < Layout::COUNT {
        Layout::from_bits(bits)
    } else {
        Layout::Leaf
    }
}

const fn narrow(place: usize) -> u16 {
    assert!(place <= u16::MAX as usize);
    #[expect(clippy::cast_possible_truncation, reason = "asserted")]
    let narrow = place as u16;
    narrow
}
