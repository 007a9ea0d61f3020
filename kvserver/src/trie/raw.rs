//! A node as one allocation behind a thin pointer: the only unsafe code of the trie.
//!
//! ```text
//!  0        4                   8-aligned
//!  | header | index bytes | pad | child slots | prefix bytes | value's length | value |
//! ```
//!
//! One allocation, because a step down the trie should cost one cache miss: what decides the
//! step (header and index) comes first, within one line. Where the slots are follows from the
//! layout alone (`places`); the prefix stands behind them, as most inner nodes have none. The value
//! is last, so that another one changes nothing before it, and is there only in nodes where a key
//! ends, as most inner nodes are not the end of one. A leaf, without slots, has no pad either.
//! Safe Rust has no type whose parts are sized by its own header, hence the unsafe code: this
//! file turns the bytes into slices and leaves every decision to its callers.
//!
//! What the unsafe code relies on:
//!
//! 1. The prefix length never changes while a node lives, and the layout in its pointer, the
//!    header's width and the value's length only together with the allocation: the places computed
//!    from them are always those that it was made for.
//! 2. Every byte of a node is initialised (an empty slot is `None`). A value is plain bytes, so
//!    that nothing has to be dropped with it.
//! 3. The number of children is a number only, no access depends on it.

#![allow(unsafe_code)]

use std::alloc::{self, Layout as Memory};
use std::hint;
use std::mem;
use std::ptr::NonNull;
use std::slice;

use super::Pieces;
use super::header::{Header, Width};
use super::layout::{Family, Layout, NAMED, WIDE_WORDS};
use super::places::{self, ALIGN, HEADER_BYTES, SLOT_BYTES};
use super::search::{WORD_BYTES, same};

/// An owned node: its bytes and all that hangs below it.
///
/// A pointer to the bytes, in its low bits the layout. So whoever comes from the parent knows
/// before the node's bytes have come from memory which of them to ask for, and whether it is a leaf.
#[repr(transparent)]
pub(super) struct Node {
    tagged: NonNull<u8>,
}

/// A place for a child, no larger than the pointer.
pub(super) type Slot = Option<Node>;

const _: () = assert!(mem::size_of::<Slot>() == SLOT_BYTES);
const _: () = assert!(mem::align_of::<Slot>() <= ALIGN);
const _: () = assert!(mem::align_of::<Header>() <= ALIGN);
const _: () = assert!(ALIGN == NAMED);

/// The bits of a pointer that name the layout.
const TAG_MASK: usize = ALIGN - 1;

// SAFETY: a node owns its bytes and its children and shares nothing.
unsafe impl Send for Node {}
// SAFETY: a shared node gives out shared borrows of its bytes and children only.
unsafe impl Sync for Node {}

impl Node {
    /// A node without children, its prefix the given pieces joined.
    #[inline]
    pub(super) fn new<const N: usize>(
        layout: Layout,
        prefix: [&[u8]; N],
        value: Option<Pieces<'_>>,
    ) -> Self {
        let prefix_bytes = prefix.iter().map(|piece| piece.len()).sum();
        let length = value.map(length);
        let header = Header::new(prefix_bytes, Width::of(length));
        let mut node = Self::allocate(layout, places::memory(layout, header, length));
        let start = node.start();
        // SAFETY: all places up to the value's lie within the allocation, and the header is aligned
        // as `ALIGN` is. Zeros are an index without bytes and, as `None` of a pointer that is never
        // null, empty slots. The pieces cannot overlap memory that was allocated just now.
        unsafe {
            start.cast::<Header>().write(header);
            let end = places::prefix(layout);
            start.add(HEADER_BYTES).write_bytes(0, end - HEADER_BYTES);
            let mut to = start.add(end);
            for piece in prefix {
                to.copy_from_nonoverlapping(NonNull::from(piece).cast(), piece.len());
                to = to.add(piece.len());
            }
        }
        node.write_value(header, value);
        node
    }

    /// A node of which nothing is written yet, not even a header.
    fn allocate(layout: Layout, memory: Memory) -> Self {
        // SAFETY: `memory` is never empty, a header at least.
        let allocated = unsafe { alloc::alloc(memory) };
        let Some(start) = NonNull::new(allocated) else {
            alloc::handle_alloc_error(memory)
        };
        Self {
            tagged: tagged(start, layout),
        }
    }

    /// Moves the node from one linear layout to another that its children fit in.
    pub(super) fn refit(&mut self, layout: Layout) {
        let (from, header) = (self.layout(), self.header());
        assert!(
            from.family() == Family::Linear
                && layout.family() == Family::Linear
                && header.children() <= layout.slots()
        );
        let before = self.memory();
        // Prefix and value stay as they are.
        let rest = before.size() - places::prefix(from);
        let after = Memory::from_size_align(places::prefix(layout) + rest, ALIGN)
            .expect("a prefix and a value are limited");
        let both = layout.slots().min(from.slots());
        let moved = mem::ManuallyDrop::new(mem::replace(self, Self::allocate(layout, after)));
        let (old, new) = (moved.start(), self.start());
        // SAFETY: the places are those of the layouts that the allocations are made for, and an
        // inner node is never so small that its memory has bytes behind the value. Children move
        // once: the old bytes are freed as bytes. Slots beyond `both` are empty: children come
        // first (what would be lost otherwise is memory, not soundness).
        unsafe {
            new.cast::<Header>().write(header);
            let end = places::prefix(layout);
            new.add(HEADER_BYTES).write_bytes(0, end - HEADER_BYTES);
            new.add(HEADER_BYTES)
                .copy_from_nonoverlapping(old.add(HEADER_BYTES), both);
            let slots = old.add(places::slots(from));
            new.add(places::slots(layout))
                .copy_from_nonoverlapping(slots, both * SLOT_BYTES);
            new.add(end)
                .copy_from_nonoverlapping(old.add(places::prefix(from)), rest);
            alloc::dealloc(old.as_ptr(), before);
        }
    }

    /// How the children are arranged, without a look at the node's bytes.
    #[inline]
    pub(super) fn layout(&self) -> Layout {
        let tag = self.tagged.addr().get() & TAG_MASK;
        if tag >= Layout::COUNT {
            // SAFETY: `tagged` is the only maker of tags, each from a layout. That the compiler
            // knows it saves a third of a lookup's instructions: every step asks several times.
            unsafe { hint::unreachable_unchecked() }
        }
        Layout::from_bits(tag)
    }

    /// What this node is.
    #[inline]
    pub(super) fn header(&self) -> Header {
        // SAFETY: (2), and the start of every node is its header.
        unsafe { self.start().cast().read() }
    }

    /// The first byte.
    #[inline]
    fn start(&self) -> NonNull<u8> {
        let start = self.tagged.as_ptr().map_addr(|address| address & !TAG_MASK);
        // SAFETY: the pointer that was given a tag was not null.
        unsafe { NonNull::new_unchecked(start) }
    }

    /// Has the processor fetch the lines of memory that a step down from this node may read beside
    /// its first: the step then waits once for all of them.
    ///
    /// Layouts of up to 4 slots mostly lie in one line, and the widest has its one slot at a place
    /// that is known anyway: asking cost a fifth of a lookup there.
    #[inline]
    pub(super) fn fetch(&self) {
        // In this order and apart, the compiler makes a way through a step for the widest layout.
        if self.layout() as u8 >= Layout::Linear6 as u8 && self.layout() != Layout::Direct256 {
            for place in places::fetched(self.layout()) {
                prefetch(self.start().as_ptr().wrapping_add(place));
            }
        }
    }

    /// Has the processor fetch the first line of memory.
    pub(super) fn fetch_start(&self) {
        prefetch(self.start().as_ptr());
    }

    /// The value of a leaf, if its prefix is `rest`.
    ///
    /// The length that is compared is that of `rest`, which is known before the leaf's bytes have
    /// come from memory: the processor need not wait for them to go on with what comes after.
    #[inline]
    pub(super) fn leaf_value(&self, rest: &[u8]) -> Option<&[u8]> {
        let header = self.header();
        if self.layout() != Layout::Leaf || header.prefix_bytes() != rest.len() {
            return None;
        }
        // SAFETY: (1): the prefix is as long as `rest`.
        let suffix = unsafe { self.part(places::prefix(Layout::Leaf), rest.len()) };
        if !same(suffix, rest) {
            return None;
        }
        self.value()
    }

    /// The heap bytes of this node, without those of its children.
    pub(super) fn bytes(&self) -> usize {
        self.memory().size()
    }

    /// The bytes every key below shares, after those that led here.
    #[inline]
    pub(super) fn prefix(&self) -> &[u8] {
        let header = self.header();
        // SAFETY: (1).
        unsafe { self.part(places::prefix(self.layout()), header.prefix_bytes()) }
    }

    /// The index, whose meaning is the layout's.
    pub(super) fn index(&self) -> &[u8] {
        // SAFETY: (1).
        unsafe { self.part(HEADER_BYTES, self.layout().index_bytes()) }
    }

    /// Where the index of a linear node has a byte first. What stands behind the index is looked
    /// at too: a place beyond the children is none.
    #[inline]
    pub(super) fn index_position(&self, byte: u8) -> Option<usize> {
        let layout = self.layout();
        assert!(
            !matches!(layout, Layout::Leaf | Layout::Direct256),
            "an index of bytes"
        );
        let index = self.start();
        // SAFETY: a node is long enough for all words of its layout, as is asserted below, and
        // (2). Bytes of slots are read as numbers that nothing is made of.
        let found = unsafe {
            let index = index.add(HEADER_BYTES);
            match layout.words() {
                1 => u64::from(matches(index.cast().read(), byte)),
                // All at once: in which of them the byte is would be guessed wrongly.
                _ => index
                    .cast::<[[u8; WORD_BYTES]; WIDE_WORDS]>()
                    .read()
                    .iter()
                    .rev()
                    .fold(0, |found, word| {
                        found << WORD_BYTES | u64::from(matches(*word, byte))
                    }),
            }
        };
        (found != 0).then(|| found.trailing_zeros() as usize)
    }

    /// Every slot, taken or not.
    #[inline]
    pub(super) fn slots(&self) -> &[Slot] {
        let layout = self.layout();
        let first = self.first_slot(layout);
        // SAFETY: (1), (2); the borrow of `self` keeps the slots.
        unsafe { slice::from_raw_parts(first.as_ptr(), layout.slots()) }
    }

    /// Where the slots begin. A leaf has none and no pad before them: its place is only aligned.
    #[inline]
    fn first_slot(&self, layout: Layout) -> NonNull<Slot> {
        if layout == Layout::Leaf {
            return NonNull::dangling();
        }
        // SAFETY: inside the allocation (1), and aligned by `places`.
        unsafe { self.start().add(places::slots(layout)).cast() }
    }

    /// Index and slots, to be changed together with [`Self::set_children`].
    pub(super) fn edges_mut(&mut self) -> (&mut [u8], &mut [Slot]) {
        let layout = self.layout();
        let first = self.first_slot(layout);
        // SAFETY: as in `index` and `slots`; the two do not overlap, and the exclusive borrow of
        // `self` lasts as long as both.
        unsafe {
            let index = self.start().add(HEADER_BYTES).as_ptr();
            (
                slice::from_raw_parts_mut(index, layout.index_bytes()),
                slice::from_raw_parts_mut(first.as_ptr(), layout.slots()),
            )
        }
    }

    /// Says how many slots are taken.
    pub(super) fn set_children(&mut self, children: usize) {
        assert!(
            children <= self.layout().slots(),
            "more children than slots"
        );
        self.set_header(self.header().with_children(children));
    }

    /// The value of the key that ends here.
    #[inline]
    pub(super) fn value(&self) -> Option<&[u8]> {
        let (at, length) = self.value_place(self.header())?;
        // SAFETY: (1).
        Some(unsafe { self.part(at, length as usize) })
    }

    /// The value of the key that ends here, to change within its length.
    pub(super) fn value_mut(&mut self) -> Option<&mut [u8]> {
        let (at, length) = self.value_place(self.header())?;
        // SAFETY: (1), (2); the exclusive borrow of `self` keeps the value for the caller alone.
        Some(unsafe { slice::from_raw_parts_mut(self.start().add(at).as_ptr(), length as usize) })
    }

    /// Replaces the value, in place where the length allows.
    pub(super) fn set_value(&mut self, value: Option<Pieces<'_>>) {
        let length = value.map(length);
        let header = self.header().with_width(Width::of(length));
        let layout = self.layout();
        let (before, after) = (self.memory(), places::memory(layout, header, length));
        if before.size() != after.size() {
            // SAFETY: allocated with `before` (1); `after` has the same alignment, is a size that
            // memory can have, and not empty.
            let moved = unsafe { alloc::realloc(self.start().as_ptr(), before, after.size()) };
            let Some(start) = NonNull::new(moved) else {
                alloc::handle_alloc_error(after)
            };
            self.tagged = tagged(start, layout);
        }
        self.set_header(header);
        self.write_value(header, value);
    }

    fn set_header(&mut self, header: Header) {
        // SAFETY: the start of every node is its header. Callers changed only what (1) allows.
        unsafe { self.start().cast().write(header) };
    }

    /// Writes the value that the header and the allocation are made for already.
    fn write_value(&mut self, header: Header, value: Option<Pieces<'_>>) {
        let Some(pieces) = value else {
            return;
        };
        let width = header.width();
        let length = length(pieces).to_le_bytes();
        // SAFETY: the callers' allocation has room for the width that the header names and for all
        // pieces, which borrow nothing of this node as it is borrowed exclusively.
        unsafe {
            let mut to = self.start().add(places::value(self.layout(), header));
            match width {
                Width::None => {}
                Width::One => to.write(length[0]),
                Width::Two => to.cast().write([length[0], length[1]]),
                Width::Four => to.cast().write(length),
            }
            to = to.add(width.bytes());
            for piece in pieces {
                to.copy_from_nonoverlapping(NonNull::from(piece).cast(), piece.len());
                to = to.add(piece.len());
            }
        }
    }

    /// Where the value begins, and its length.
    #[inline]
    fn value_place(&self, header: Header) -> Option<(usize, u32)> {
        let width = header.width();
        let at = places::value(self.layout(), header);
        // SAFETY: (1): there are as many bytes as the width says.
        let length = unsafe {
            let start = self.start().add(at);
            match width {
                Width::None => return None,
                Width::One => u32::from(start.read()),
                Width::Two => u32::from(u16::from_le_bytes(start.cast().read())),
                Width::Four => u32::from_le_bytes(start.cast().read()),
            }
        };
        Some((at + width.bytes(), length))
    }

    /// Some bytes of the node.
    ///
    /// # Safety
    ///
    /// They lie within the allocation.
    #[inline]
    unsafe fn part(&self, at: usize, bytes: usize) -> &[u8] {
        // SAFETY: within the allocation, as the caller promises, and (2); the borrow of `self`
        // keeps the bytes.
        unsafe { slice::from_raw_parts(self.start().add(at).as_ptr(), bytes) }
    }

    fn memory(&self) -> Memory {
        let header = self.header();
        let length = self.value_place(header).map(|(_, length)| length);
        places::memory(self.layout(), header, length)
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
        if self.layout() != Layout::Leaf {
            let mut pending = Vec::new();
            self.disown(&mut pending);
            while let Some(mut node) = pending.pop() {
                node.disown(&mut pending);
            }
        }
        // SAFETY: allocated with the same memory (1), and nothing refers to it any more: children
        // were moved away.
        unsafe { alloc::dealloc(self.start().as_ptr(), self.memory()) };
    }
}

/// Says that what is at an address will be read soon.
#[inline]
fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: this is a hint: nothing is read, and no address is forbidden.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// In which places a word has a byte: a bit for each, the first lowest.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn matches(word: [u8; WORD_BYTES], byte: u8) -> u16 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    // SAFETY: every processor of this architecture has SSE2, and the load may be unaligned.
    let found = unsafe {
        let wanted = _mm_set1_epi8(byte.cast_signed());
        let word = _mm_loadu_si128(word.as_ptr().cast());
        _mm_movemask_epi8(_mm_cmpeq_epi8(word, wanted))
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a bit for each byte of the word"
    )]
    let bits = found.cast_unsigned() as u16;
    bits
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use super::search::matches;

/// A pointer to an allocation, which is aligned, so that the tag's bits were zero.
fn tagged(start: NonNull<u8>, layout: Layout) -> NonNull<u8> {
    start.map_addr(|address| address | layout as usize)
}

/// The length of a value in pieces.
fn length(pieces: Pieces<'_>) -> u32 {
    let bytes = pieces.iter().map(|piece| piece.len()).sum::<usize>();
    u32::try_from(bytes).expect("a value is at most VALUE_BYTES_MAX long")
}

// The words of an index end within the slots of its node, at the latest; it has a byte a slot.
const _: () = {
    let mut bits = 0;
    while bits < Layout::COUNT {
        let layout = Layout::from_bits(bits);
        if matches!(layout.family(), Family::Linear) {
            let read = HEADER_BYTES + layout.words() * WORD_BYTES;
            assert!(read <= places::prefix(layout));
            assert!(layout.index_bytes() == layout.slots());
        }
        bits += 1;
    }
};
