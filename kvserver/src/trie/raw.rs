//! A node as one allocation behind a thin pointer: the only unsafe code of the trie.
//!
//! ```text
//!  0        4                                  8-aligned
//!  | header | index bytes | prefix bytes | pad | child slots | value's length | value |
//! ```
//!
//! One allocation, because a step down the trie should cost one cache miss: what decides the
//! step (header, index, prefix) comes first, mostly within one line. The value is last, so that
//! another one changes nothing before it, and is there only in nodes where a key ends, as most
//! inner nodes are not the end of one. A leaf, without slots, has no pad either.
//! Safe Rust has no type whose parts are sized by its own header, hence the unsafe code: this
//! file turns the bytes into slices and leaves every decision to its callers.
//!
//! What the unsafe code relies on:
//!
//! 1. Layout and prefix length never change while a node lives, and the header's width and the
//!    value's length only together with the allocation: the places computed from header and length
//!    are always those that it was made for.
//! 2. Every byte of a node is initialised (an empty slot is `None`). A value is plain bytes, so
//!    that nothing has to be dropped with it.
//! 3. The number of children is a number only, no access depends on it.

#![allow(unsafe_code)]

use std::alloc::{self, Layout as Memory};
use std::mem;
use std::ptr::NonNull;
use std::slice;

use super::Pieces;
use super::header::{Header, Width};
use super::layout::{Family, Layout};
use super::search::WORD_BYTES;

/// An owned node: its bytes and all that hangs below it.
#[repr(transparent)]
pub(super) struct Node {
    start: NonNull<u8>,
}

/// A place for a child, no larger than the pointer.
pub(super) type Slot = Option<Node>;

const HEADER_BYTES: usize = mem::size_of::<Header>();
const SLOT_BYTES: usize = mem::size_of::<Slot>();
/// What every allocation is aligned to, the strictest of its parts.
const ALIGN: usize = mem::align_of::<Slot>();

const _: () = assert!(SLOT_BYTES == mem::size_of::<*const u8>());
const _: () = assert!(ALIGN >= mem::align_of::<Header>());

// SAFETY: a node owns its bytes and its children and shares nothing.
unsafe impl Send for Node {}
// SAFETY: a shared node gives out shared borrows of its bytes and children only.
unsafe impl Sync for Node {}

/// Where the parts of a node begin.
struct Places {
    prefix: usize,
    slots: usize,
    value: usize,
}

impl Node {
    /// A node without children, its prefix the given pieces joined.
    pub(super) fn new(layout: Layout, prefix: [&[u8]; 3], value: Option<Pieces<'_>>) -> Self {
        let prefix_bytes = prefix.iter().map(|piece| piece.len()).sum();
        let length = value.map(length);
        let header = Header::new(layout, prefix_bytes, Width::of(length));
        let places = Places::of(header);
        let memory = memory(header, length);
        // SAFETY: `memory` is never empty, a header at least.
        let allocated = unsafe { alloc::alloc(memory) };
        let Some(start) = NonNull::new(allocated) else {
            alloc::handle_alloc_error(memory)
        };
        let mut node = Self { start };
        // SAFETY: all places up to the value's lie within `memory`, and the header is aligned as
        // `ALIGN` is. Zeros are an index without bytes and, as `None` of a pointer that is never
        // null, empty slots. The pieces cannot overlap memory that was allocated just now.
        unsafe {
            start.cast::<Header>().write(header);
            let index = start.add(HEADER_BYTES);
            index.write_bytes(0, layout.index_bytes());
            let mut to = start.add(places.prefix);
            for piece in prefix {
                to.copy_from_nonoverlapping(NonNull::from(piece).cast(), piece.len());
                to = to.add(piece.len());
            }
            to.write_bytes(0, places.value - places.prefix - prefix_bytes);
        }
        node.write_value(header, value);
        node
    }

    /// What this node is.
    pub(super) fn header(&self) -> Header {
        // SAFETY: (2), and the start of every node is its header.
        unsafe { self.start.cast().read() }
    }

    /// The heap bytes of this node, without those of its children.
    pub(super) fn bytes(&self) -> usize {
        self.memory().size()
    }

    /// The bytes every key below shares, after those that led here.
    pub(super) fn prefix(&self) -> &[u8] {
        let header = self.header();
        // SAFETY: (1).
        unsafe { self.part(Places::of(header).prefix, header.prefix_bytes()) }
    }

    /// The index, whose meaning is the layout's.
    pub(super) fn index(&self) -> &[u8] {
        // SAFETY: (1).
        unsafe { self.part(HEADER_BYTES, self.header().layout().index_bytes()) }
    }

    /// Where the index of a linear node has a byte first. What stands behind the index is looked
    /// at too: a place beyond the children is none.
    pub(super) fn index_position(&self, byte: u8) -> Option<usize> {
        let layout = self.header().layout();
        assert!(layout.family() == Family::Linear, "an index of bytes");
        for word in 0..layout.words() {
            // SAFETY: a node is long enough for all words of its layout, as is asserted below, and
            // (2). Bytes of slots are read as numbers that nothing is made of.
            let bytes = unsafe {
                let at = self.start.add(HEADER_BYTES + word * WORD_BYTES);
                at.cast::<[u8; WORD_BYTES]>().read()
            };
            if let Some(within) = position(bytes, byte) {
                return Some(word * WORD_BYTES + within);
            }
        }
        None
    }

    /// Every slot, taken or not.
    pub(super) fn slots(&self) -> &[Slot] {
        let header = self.header();
        let first = self.first_slot(header);
        // SAFETY: (1), (2); the borrow of `self` keeps the slots.
        unsafe { slice::from_raw_parts(first.as_ptr(), header.layout().slots()) }
    }

    /// Where the slots begin. A leaf has none and no pad before them: its place is only aligned.
    fn first_slot(&self, header: Header) -> NonNull<Slot> {
        if header.layout() == Layout::Leaf {
            return NonNull::dangling();
        }
        // SAFETY: inside the allocation (1), and aligned by `Places`.
        unsafe { self.start.add(Places::of(header).slots).cast() }
    }

    /// Index and slots, to be changed together with [`Self::set_children`].
    pub(super) fn edges_mut(&mut self) -> (&mut [u8], &mut [Slot]) {
        let header = self.header();
        let (layout, first) = (header.layout(), self.first_slot(header));
        // SAFETY: as in `index` and `slots`; the two do not overlap, and the exclusive borrow of
        // `self` lasts as long as both.
        unsafe {
            let index = self.start.add(HEADER_BYTES).as_ptr();
            (
                slice::from_raw_parts_mut(index, layout.index_bytes()),
                slice::from_raw_parts_mut(first.as_ptr(), layout.slots()),
            )
        }
    }

    /// Says how many slots are taken.
    pub(super) fn set_children(&mut self, children: usize) {
        self.set_header(self.header().with_children(children));
    }

    /// The value of the key that ends here.
    pub(super) fn value(&self) -> Option<&[u8]> {
        let header = self.header();
        let length = self.value_length(header)?;
        let at = Places::of(header).value + header.width().bytes();
        // SAFETY: (1).
        Some(unsafe { self.part(at, length as usize) })
    }

    /// The value of the key that ends here, to change within its length.
    pub(super) fn value_mut(&mut self) -> Option<&mut [u8]> {
        let header = self.header();
        let length = self.value_length(header)?;
        let at = Places::of(header).value + header.width().bytes();
        // SAFETY: (1), (2); the exclusive borrow of `self` keeps the value for the caller alone.
        Some(unsafe { slice::from_raw_parts_mut(self.start.add(at).as_ptr(), length as usize) })
    }

    /// Replaces the value, in place where the length allows.
    pub(super) fn set_value(&mut self, value: Option<Pieces<'_>>) {
        let length = value.map(length);
        let header = self.header().with_width(Width::of(length));
        let (before, after) = (self.memory(), memory(header, length));
        if before.size() != after.size() {
            // SAFETY: allocated with `before` (1); `after` has the same alignment, is a size that
            // memory can have, and not empty.
            let moved = unsafe { alloc::realloc(self.start.as_ptr(), before, after.size()) };
            let Some(start) = NonNull::new(moved) else {
                alloc::handle_alloc_error(after)
            };
            self.start = start;
        }
        self.set_header(header);
        self.write_value(header, value);
    }

    fn set_header(&mut self, header: Header) {
        // SAFETY: the start of every node is its header. Callers changed only what (1) allows.
        unsafe { self.start.cast().write(header) };
    }

    /// Writes the value that the header and the allocation are made for already.
    fn write_value(&mut self, header: Header, value: Option<Pieces<'_>>) {
        let Some(pieces) = value else {
            return;
        };
        let width = header.width().bytes();
        let length = length(pieces).to_le_bytes();
        // SAFETY: the callers' allocation has room for the width that the header names and for all
        // pieces, which borrow nothing of this node as it is borrowed exclusively.
        unsafe {
            let mut to = self.start.add(Places::of(header).value);
            for piece in [&length[..width], pieces[0], pieces[1]] {
                to.copy_from_nonoverlapping(NonNull::from(piece).cast(), piece.len());
                to = to.add(piece.len());
            }
        }
    }

    fn value_length(&self, header: Header) -> Option<u32> {
        let width = header.width();
        // SAFETY: (1); a header without a width makes an empty slice.
        let bytes = unsafe { self.part(Places::of(header).value, width.bytes()) };
        match (width, bytes) {
            (Width::One, &[one]) => Some(u32::from(one)),
            (Width::Two, &[low, high]) => Some(u32::from(u16::from_le_bytes([low, high]))),
            (Width::Four, &[a, b, c, d]) => Some(u32::from_le_bytes([a, b, c, d])),
            _ => None,
        }
    }

    /// Some bytes of the node.
    ///
    /// # Safety
    ///
    /// They lie within the allocation.
    unsafe fn part(&self, at: usize, bytes: usize) -> &[u8] {
        // SAFETY: within the allocation, as the caller promises, and (2); the borrow of `self`
        // keeps the bytes.
        unsafe { slice::from_raw_parts(self.start.add(at).as_ptr(), bytes) }
    }

    fn memory(&self) -> Memory {
        let header = self.header();
        memory(header, self.value_length(header))
    }

    /// Moves all children to `pending`, so that dropping this node drops no other.
    fn disown(&mut self, pending: &mut Vec<Self>) {
        if self.header().children() > 0 {
            pending.extend(self.edges_mut().1.iter_mut().filter_map(Option::take));
            self.set_children(0);
        }
    }
}

impl Drop for Node {
    /// Frees the node and all below it without recursion: a trie is as deep as its longest key.
    fn drop(&mut self) {
        let mut pending = Vec::new();
        self.disown(&mut pending);
        while let Some(mut node) = pending.pop() {
            node.disown(&mut pending);
        }
        // SAFETY: allocated with the same memory (1), and nothing refers to it any more: children
        // were moved away.
        unsafe { alloc::dealloc(self.start.as_ptr(), self.memory()) };
    }
}

impl Places {
    fn of(header: Header) -> Self {
        let layout = header.layout();
        let prefix = HEADER_BYTES + layout.index_bytes();
        let end = prefix + header.prefix_bytes();
        let slots = match layout {
            Layout::Leaf => end,
            _ => end.next_multiple_of(ALIGN),
        };
        Self {
            prefix,
            slots,
            value: slots + layout.slots() * SLOT_BYTES,
        }
    }
}

/// The place of the first `byte` in a word.
#[cfg(target_arch = "x86_64")]
pub(super) fn position(word: [u8; WORD_BYTES], byte: u8) -> Option<usize> {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    // SAFETY: every processor of this architecture has SSE2, and the load may be unaligned.
    let found = unsafe {
        let wanted = _mm_set1_epi8(byte.cast_signed());
        let word = _mm_loadu_si128(word.as_ptr().cast());
        _mm_movemask_epi8(_mm_cmpeq_epi8(word, wanted))
    };
    (found != 0).then(|| found.trailing_zeros() as usize)
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use super::search::position;

/// The allocation of a node whose value, if it has one, is so long.
fn memory(header: Header, length: Option<u32>) -> Memory {
    let value = header.width().bytes() + length.unwrap_or(0) as usize;
    let size = Places::of(header).value + value;
    Memory::from_size_align(size, ALIGN).expect("a prefix and a value are limited")
}

/// The length of a value in pieces.
fn length(pieces: Pieces<'_>) -> u32 {
    let bytes = pieces.iter().map(|piece| piece.len()).sum::<usize>();
    u32::try_from(bytes).expect("a value is at most VALUE_BYTES_MAX long")
}

// The words of an index end within the slots of its node, at the latest.
const _: () = {
    let mut bits = 0;
    while (bits as usize) < Layout::COUNT {
        let layout = Layout::from_bits(bits);
        if matches!(layout.family(), Family::Linear) {
            let read = HEADER_BYTES + layout.words() * WORD_BYTES;
            assert!(
                read <= HEADER_BYTES + layout.index_bytes() + layout.slots() * SLOT_BYTES
                    || layout.slots() == 0
            );
        }
        bits += 1;
    }
};
