//! A node's children: finding, adding, removing and walking them, in each family of layouts.

use std::mem;

use super::layout::{Family, Layout};
use super::raw::Node;

/// A child on the way through a node in key order.
pub(super) struct Edge<'t> {
    /// Where the walk goes on after this child.
    pub(super) next: usize,
    /// The key's byte between the node's prefix and the child's.
    pub(super) byte: u8,
    /// The child itself.
    pub(super) child: &'t Node,
}

/// A walk has the processor fetch the child so many slots further on: it comes from memory while
/// those before it are visited.
const AHEAD: usize = 3;

impl Node {
    /// The slot of the child behind `byte`.
    #[inline]
    pub(super) fn find(&self, byte: u8) -> Option<usize> {
        match self.layout().family() {
            Family::Childless => None,
            // Index bytes beyond the children are zero or stale, and what stands behind the index
            // is something else: a hit there is no hit, and comes after any other.
            Family::Linear => self
                .index_position(byte)
                .filter(|&slot| slot < self.header().children()),
            Family::Direct => {
                let slot = usize::from(byte);
                self.slots()[slot].is_some().then_some(slot)
            }
        }
    }

    /// The child behind `byte`.
    #[inline]
    pub(super) fn child(&self, byte: u8) -> Option<&Self> {
        match self.layout() {
            Layout::Leaf => None,
            Layout::Direct256 => self.slots().get(usize::from(byte))?.as_ref(),
            // No look at the number of children, as in `find`: a slot beyond them is empty.
            _ => self.slots().get(self.index_position(byte)?)?.as_ref(),
        }
    }

    /// The child in a slot that [`Self::find`] named.
    pub(super) fn child_mut(&mut self, slot: usize) -> &mut Self {
        self.edges_mut().1[slot]
            .as_mut()
            .expect("the slot was found taken")
    }

    /// Adds a child behind a byte that has none, in a node with a slot left.
    pub(super) fn insert_edge(&mut self, byte: u8, child: Self) {
        let (family, count) = (self.layout().family(), self.header().children());
        let (index, slots) = self.edges_mut();
        match family {
            Family::Linear => {
                let at = below(&index[..count], byte);
                index.copy_within(at..count, at + 1);
                index[at] = byte;
                let mut next = Some(child);
                for slot in &mut slots[at..=count] {
                    mem::swap(slot, &mut next);
                }
            }
            Family::Direct => slots[usize::from(byte)] = Some(child),
            Family::Childless => panic!("a leaf has no slot"),
        }
        self.set_children(count + 1);
    }

    /// Takes out the child in a slot that [`Self::find`] named.
    pub(super) fn remove_edge(&mut self, slot: usize) -> Self {
        let (family, last) = (self.layout().family(), self.header().children() - 1);
        let (index, slots) = self.edges_mut();
        let child = slots[slot].take().expect("the slot was found taken");
        match family {
            Family::Linear => {
                index.copy_within(slot + 1..=last, slot);
                slots[slot..=last].rotate_left(1);
            }
            Family::Direct | Family::Childless => {}
        }
        self.set_children(last);
        child
    }

    /// Moves all children of `self` to `target`, which has none yet and slots enough.
    pub(super) fn move_edges(&mut self, target: &mut Self) {
        let children = self.header().children();
        if self.layout() == target.layout() {
            let (index, slots) = self.edges_mut();
            let (target_index, target_slots) = target.edges_mut();
            target_index.copy_from_slice(index);
            target_slots.swap_with_slice(slots);
            target.set_children(children);
            self.set_children(0);
            return;
        }
        for byte in 0..=u8::MAX {
            if let Some(slot) = self.find(byte) {
                let child = self.edges_mut().1[slot].take();
                target.insert_edge(byte, child.expect("the slot was found taken"));
            }
        }
        self.set_children(0);
    }

    /// Where a walk in key order begins that skips the children behind bytes below `byte`.
    pub(super) fn lower_bound(&self, byte: u8) -> usize {
        let header = self.header();
        match self.layout().family() {
            Family::Linear => below(&self.index()[..header.children()], byte),
            Family::Direct | Family::Childless => usize::from(byte),
        }
    }

    /// The first child in key order from a place on: 0, [`Self::lower_bound`] or [`Edge::next`].
    pub(super) fn edge_from(&self, place: usize) -> Option<Edge<'_>> {
        let header = self.header();
        let (place, byte, slot) = match self.layout().family() {
            Family::Linear if place < header.children() => (place, self.index()[place], place),
            Family::Linear | Family::Childless => return None,
            Family::Direct => {
                let byte = place + self.slots()[place..].iter().position(Option::is_some)?;
                (byte, byte_of(byte), byte)
            }
        };
        let slots = self.slots();
        if let Some(Some(soon)) = slots.get(slot + AHEAD) {
            soon.fetch_start();
        }
        let child = slots[slot].as_ref().expect("the slot was found taken");
        Some(Edge {
            next: place + 1,
            byte,
            child,
        })
    }
}

/// How many bytes of an index are below `byte`, without a guess at each.
fn below(index: &[u8], byte: u8) -> usize {
    index.iter().filter(|&&present| present < byte).count()
}

fn byte_of(place: usize) -> u8 {
    u8::try_from(place).expect("tables by byte have 256 places")
}
