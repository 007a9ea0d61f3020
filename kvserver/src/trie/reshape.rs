//! Changes to a trie's shape: what inserting and removing do once the place is found.
//!
//! Every change keeps the shape canonical up to the slack of `Layout::shrink_at`: a node without
//! a value has at least two children, a leaf has a value. A change of layout or prefix makes a new
//! allocation and moves the children over; `heap`, the trie's count of its bytes, follows each.

use std::mem;

use super::Pieces;
use super::layout::{Family, Layout};
use super::places;
use super::raw::Node;

impl Node {
    /// A leaf: the rest of a key, and its value.
    pub(super) fn leaf(suffix: &[u8], value: Pieces<'_>, heap: &mut usize) -> Self {
        let leaf = Self::new(Layout::Leaf, [suffix], Some(value));
        *heap += leaf.bytes();
        leaf
    }

    /// Gives the node another value.
    pub(super) fn put_value(&mut self, value: Pieces<'_>, heap: &mut usize) {
        *heap -= self.bytes();
        self.set_value(Some(value));
        *heap += self.bytes();
    }

    /// Adds a child behind a byte that has none, widening the node if it is full.
    pub(super) fn add_child(&mut self, byte: u8, child: Self, heap: &mut usize) {
        let header = self.header();
        if header.children() == self.layout().slots() {
            self.change_layout(self.layout().wider(), heap);
        }
        self.insert_edge(byte, child);
    }

    /// Inserts a key that leaves this node's prefix at `at`, where `rest` of the key remains.
    ///
    /// ```text
    ///   "romane"  + "romulus"   →   "rom" ─a→ "ne"       "romane" + "rom"  →  "rom"= ─a→ "ne"
    ///                                     └u→ "lus"
    /// ```
    pub(super) fn split(&mut self, at: usize, rest: &[u8], value: Pieces<'_>, heap: &mut usize) {
        let (shared, own) = self.prefix().split_at(at);
        let (&byte, own) = own
            .split_first()
            .expect("the key left the prefix before its end");
        let lower = Self::new(self.layout(), [own], self.pieces());
        let ends_here = rest.is_empty().then_some(value);
        let mut parent = Self::new(Layout::Linear2, [shared], ends_here);
        *heap += parent.bytes();
        self.move_into(lower, heap);
        if let Some((&branch, suffix)) = rest.split_first() {
            parent.insert_edge(branch, Self::leaf(suffix, value, heap));
        }
        let lower = mem::replace(self, parent);
        self.insert_edge(byte, lower);
    }

    /// Takes the value of an inner node, which then may not be worth a node of its own.
    pub(super) fn remove_value(&mut self, heap: &mut usize) {
        if self.header().children() == 1 {
            self.merge_with_only_child(heap);
        } else {
            *heap -= self.bytes();
            self.set_value(None);
            *heap += self.bytes();
        }
    }

    /// Removes the leaf in `slot`, and what of this node it was the reason for.
    pub(super) fn remove_leaf(&mut self, slot: usize, heap: &mut usize) {
        let leaf = self.remove_edge(slot);
        *heap -= leaf.bytes();
        let header = self.header();
        if header.children() == 1 && !header.has_value() {
            self.merge_with_only_child(heap);
        } else if header.children() <= self.layout().shrink_at() {
            self.change_layout(self.layout().smaller(), heap);
        }
    }

    /// Replaces the node by its only child, with both prefixes joined around the byte between.
    fn merge_with_only_child(&mut self, heap: &mut usize) {
        let edge = self.edge_from(0).expect("a node to merge has a child");
        let byte = edge.byte;
        let slot = self.find(byte).expect("the child was found");
        let mut child = self.remove_edge(slot);
        let prefix = [self.prefix(), &[byte], child.prefix()];
        let joined = Self::new(child.layout(), prefix, child.pieces());
        child.move_into(joined, heap);
        *heap -= self.bytes();
        *self = child;
    }

    fn change_layout(&mut self, layout: Layout, heap: &mut usize) {
        let before = self.layout();
        if before.family() == Family::Linear && layout.family() == Family::Linear {
            self.refit(layout);
            *heap += places::prefix(layout);
            *heap -= places::prefix(before);
            return;
        }
        let changed = Self::new(layout, [self.prefix()], self.pieces());
        self.move_into(changed, heap);
    }

    /// Moves all children to `target`, which has a copy of the rest and takes this node's place.
    fn move_into(&mut self, mut target: Self, heap: &mut usize) {
        self.move_edges(&mut target);
        *heap += target.bytes();
        *heap -= self.bytes();
        *self = target;
    }

    fn pieces(&self) -> Option<Pieces<'_>> {
        self.value().map(|value| [value, &[]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trie::Trie;

    /// The layouts of a node while `bytes` come, then while they go, each named once a change.
    fn layouts(bytes: impl Iterator<Item = u8> + Clone) -> (Vec<Layout>, Vec<Layout>) {
        // The empty key's value keeps the node from merging with its last child.
        let mut trie = Trie::new();
        trie.insert(b"", b"root");
        let seen = |trie: &Trie| {
            trie.check_invariants();
            trie.root.as_ref().expect("the empty key is there").layout()
        };
        let grow = bytes.clone().map(|byte| {
            assert!(trie.insert(&[byte, byte], &[byte]));
            seen(&trie)
        });
        let mut up: Vec<Layout> = grow.collect();
        let shrink = bytes.map(|byte| {
            assert!(trie.remove(&[byte, byte]));
            seen(&trie)
        });
        let mut down: Vec<Layout> = shrink.collect();
        up.dedup();
        down.dedup();
        (up, down)
    }

    #[test]
    fn a_node_walks_all_layouts_up_and_down() {
        let expected: Vec<Layout> = (1..13).map(Layout::from_bits).collect();
        let mut back = expected.clone();
        back.reverse();
        let orders: [fn(u8) -> u8; 3] = [|i| i, |i| 255 - i, |i| i.wrapping_mul(91)];
        for order in orders {
            let (up, down) = layouts((0..=255).map(order));
            assert_eq!(up, expected);
            assert_eq!(down, [&back[..], &[Layout::Leaf]].concat());
        }
    }

    #[test]
    fn a_node_at_a_boundary_keeps_its_layout() {
        for layout in [
            Layout::Linear8,
            Layout::Linear12,
            Layout::Linear24,
            Layout::Linear64,
            Layout::Direct256,
        ] {
            let full = layout.smaller().slots();
            let mut trie = Trie::new();
            for byte in 0..=full {
                trie.insert(&[u8::try_from(byte).unwrap()], b"");
            }
            for _ in 0..3 {
                assert!(trie.remove(&[0]));
                assert_eq!(trie.root.as_ref().unwrap().layout(), layout);
                assert!(trie.insert(&[0], b""));
            }
        }
    }

    #[test]
    fn splitting_and_removing_restore_the_size() {
        let mut trie = Trie::new();
        trie.insert(b"romane", b"one");
        let alone = trie.bytes();
        for other in [
            &b""[..],
            b"rom",
            b"romanes",
            b"romulus",
            b"xerxes",
            b"romanE",
        ] {
            trie.insert(other, b"two");
            trie.check_invariants();
            assert!(trie.bytes() > alone);
            assert!(trie.remove(other));
            assert_eq!(trie.bytes(), alone, "{other:?} left something behind");
        }
    }
}
