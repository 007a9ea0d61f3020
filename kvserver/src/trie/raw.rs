//! A node as one allocation behind a thin pointer: the only unsafe code of the trie.
//!
//! ```text
//!  0        4                                  8-aligned       aligned for V
//!  | header | index bytes | prefix bytes | pad | child slots | pad | value |
//! ```
//!
//! One allocation, because a step down the trie should cost one cache miss: what decides the
//! step (header, index, prefix) comes first, mostly within one line. The value is last and its
//! bytes exist only in nodes where a key ends, as most inner nodes are not the end of one.
//! Safe Rust has no type whose parts are sized by its own header, hence the unsafe code: this
//! file turns the bytes into slices and references and leaves every decision to its callers.
//!
//! What the unsafe code relies on:
//!
//! 1. Layout, prefix length and room never change while an allocation lives, so that the places
//!    computed from the header are always those it was allocated with.
//! 2. Header, index, prefix and slots are initialised from the start (an empty slot is `None`);
//!    the number of children is a number only, no access depends on it.
//! 3. The value's bytes are initialised exactly while the header says there is a value.

#![allow(unsafe_code)]

use std::alloc::{self, Layout as Memory};
use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;
use std::slice;

use super::header::Header;
use super::layout::Layout;

/// An owned node: its bytes, its value and all that hangs below it.
#[repr(transparent)]
pub(super) struct Node<V> {
    start: NonNull<u8>,
    owns: PhantomData<V>,
}

/// A place for a child, no larger than the pointer.
pub(super) type Slot<V> = Option<Node<V>>;

const HEADER_BYTES: usize = mem::size_of::<Header>();
const SLOT_BYTES: usize = mem::size_of::<Slot<u8>>();
const _: () = assert!(SLOT_BYTES == mem::size_of::<*const u8>());

// SAFETY: a node owns its children and values and shares nothing; sending it sends values.
unsafe impl<V: Send> Send for Node<V> {}
// SAFETY: a shared node gives out shared references to values only.
unsafe impl<V: Sync> Sync for Node<V> {}

/// Where the parts of a node begin.
struct Places {
    prefix: usize,
    slots: usize,
    value: usize,
}

impl<V> Node<V> {
    /// What every allocation is aligned to: the strictest of its parts.
    const ALIGN: usize = {
        let (slot, value) = (mem::align_of::<Slot<V>>(), mem::align_of::<V>());
        if slot > value { slot } else { value }
    };

    /// A node without children or value, its prefix the given pieces joined.
    pub(super) fn new(layout: Layout, prefix: [&[u8]; 3], room: bool) -> Self {
        let prefix_bytes = prefix.iter().map(|piece| piece.len()).sum();
        let header = Header::new(layout, prefix_bytes, room);
        let places = Self::places(header);
        let memory = Self::memory(header);
        // SAFETY: `memory` is never empty, a header at least.
        let allocated = unsafe { alloc::alloc(memory) };
        let Some(start) = NonNull::new(allocated) else {
            alloc::handle_alloc_error(memory)
        };
        // SAFETY: the header is at the start, aligned as `ALIGN` is no less than a pointer's;
        // index, prefix and slots lie one after another within `memory`, slots aligned by
        // `places`. The pieces cannot overlap memory that was allocated just now.
        unsafe {
            start.cast::<Header>().write(header);
            start.add(HEADER_BYTES).write_bytes(0, layout.index_bytes());
            let mut to = start.add(places.prefix);
            for piece in prefix {
                to.copy_from_nonoverlapping(NonNull::from(piece).cast(), piece.len());
                to = to.add(piece.len());
            }
            let slots = start.add(places.slots).cast::<Slot<V>>();
            for place in 0..layout.slots() {
                slots.add(place).write(None);
            }
        }
        Self {
            start,
            owns: PhantomData,
        }
    }

    /// What this node is.
    pub(super) fn header(&self) -> Header {
        // SAFETY: (2).
        unsafe { self.start.cast().read() }
    }

    /// The heap bytes of this node, without those of its children.
    pub(super) fn bytes(&self) -> usize {
        Self::memory(self.header()).size()
    }

    /// The bytes every key below shares, after those that led here.
    pub(super) fn prefix(&self) -> &[u8] {
        let header = self.header();
        let at = HEADER_BYTES + header.layout().index_bytes();
        // SAFETY: (1), (2); the borrow of `self` keeps the bytes.
        unsafe { slice::from_raw_parts(self.start.add(at).as_ptr(), header.prefix_bytes()) }
    }

    /// The index, whose meaning is the layout's.
    pub(super) fn index(&self) -> &[u8] {
        let len = self.header().layout().index_bytes();
        // SAFETY: (1), (2); the borrow of `self` keeps the bytes.
        unsafe { slice::from_raw_parts(self.start.add(HEADER_BYTES).as_ptr(), len) }
    }

    /// Every slot, taken or not.
    pub(super) fn slots(&self) -> &[Slot<V>] {
        let header = self.header();
        let at = Self::places(header).slots;
        // SAFETY: (1), (2), aligned by `places`; the borrow of `self` keeps the slots.
        unsafe {
            let first = self.start.add(at).cast::<Slot<V>>();
            slice::from_raw_parts(first.as_ptr(), header.layout().slots())
        }
    }

    /// Index and slots, to be changed together with [`Self::set_children`].
    pub(super) fn edges_mut(&mut self) -> (&mut [u8], &mut [Slot<V>]) {
        let header = self.header();
        let (layout, at) = (header.layout(), Self::places(header).slots);
        // SAFETY: as in `index` and `slots`; the two do not overlap, and the exclusive borrow of
        // `self` lasts as long as both.
        unsafe {
            let index = self.start.add(HEADER_BYTES).as_ptr();
            let first = self.start.add(at).cast::<Slot<V>>();
            let index = slice::from_raw_parts_mut(index, layout.index_bytes());
            (
                index,
                slice::from_raw_parts_mut(first.as_ptr(), layout.slots()),
            )
        }
    }

    /// Says how many slots are taken.
    pub(super) fn set_children(&mut self, children: usize) {
        self.set_header(self.header().with_children(children));
    }

    /// The value of the key that ends here.
    pub(super) fn value(&self) -> Option<&V> {
        let header = self.header();
        // SAFETY: (3); the borrow of `self` keeps the value.
        header
            .has_value()
            .then(|| unsafe { self.value_place(header).as_ref() })
    }

    /// The value of the key that ends here, to change.
    pub(super) fn value_mut(&mut self) -> Option<&mut V> {
        let header = self.header();
        // SAFETY: (3); the exclusive borrow of `self` keeps the value for the caller alone.
        header
            .has_value()
            .then(|| unsafe { self.value_place(header).as_mut() })
    }

    /// Fills the room for a value.
    pub(super) fn put_value(&mut self, value: V) {
        let header = self.header();
        assert!(
            header.has_room() && !header.has_value(),
            "a value needs an empty room"
        );
        // SAFETY: with room the allocation includes the value's bytes, at an aligned place.
        unsafe { self.value_place(header).write(value) };
        self.set_header(header.with_value(true));
    }

    /// Empties the room for a value; the room stays.
    pub(super) fn take_value(&mut self) -> Option<V> {
        let header = self.header();
        if !header.has_value() {
            return None;
        }
        self.set_header(header.with_value(false));
        // SAFETY: (3), and the header no longer says so: nobody reads these bytes again.
        Some(unsafe { self.value_place(header).read() })
    }

    fn set_header(&mut self, header: Header) {
        // SAFETY: the start of every node is its header. Callers changed only what (1) allows.
        unsafe { self.start.cast().write(header) };
    }

    fn value_place(&self, header: Header) -> NonNull<V> {
        assert!(header.has_room(), "no room for a value");
        // SAFETY: with room the place is inside the allocation.
        unsafe { self.start.add(Self::places(header).value).cast() }
    }

    fn places(header: Header) -> Places {
        let layout = header.layout();
        let prefix = HEADER_BYTES + layout.index_bytes();
        let slots = (prefix + header.prefix_bytes()).next_multiple_of(mem::align_of::<Slot<V>>());
        let value = slots + layout.slots() * SLOT_BYTES;
        Places {
            prefix,
            slots,
            value: value.next_multiple_of(mem::align_of::<V>()),
        }
    }

    fn memory(header: Header) -> Memory {
        let places = Self::places(header);
        let size = if header.has_room() {
            places.value + mem::size_of::<V>()
        } else {
            places.slots + header.layout().slots() * SLOT_BYTES
        };
        Memory::from_size_align(size, Self::ALIGN).expect("a node is at most some hundred KiB")
    }

    /// Moves all children to `pending`, so that dropping this node drops no other.
    fn disown(&mut self, pending: &mut Vec<Self>) {
        if self.header().children() > 0 {
            pending.extend(self.edges_mut().1.iter_mut().filter_map(Option::take));
            self.set_children(0);
        }
    }
}

impl<V> Drop for Node<V> {
    /// Frees the node and all below it without recursion: a trie is as deep as its longest key.
    fn drop(&mut self) {
        let mut pending = Vec::new();
        self.disown(&mut pending);
        while let Some(mut node) = pending.pop() {
            node.disown(&mut pending);
        }
        drop(self.take_value());
        // SAFETY: allocated by `new` with the same memory (1), and nothing refers to it any more:
        // children were moved away, the value was taken.
        unsafe { alloc::dealloc(self.start.as_ptr(), Self::memory(self.header())) };
    }
}
