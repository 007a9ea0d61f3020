//! What must hold of every trie between two calls, for tests to ask.

use super::Trie;
use super::layout::{Family, Layout};
use super::raw::Node;

impl Trie {
    /// Panics if the trie's shape or its accounts are wrong.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        let (mut values, mut heap) = (0, 0);
        let mut pending: Vec<&Node> = self.root.iter().collect();
        while let Some(node) = pending.pop() {
            check_counts(node);
            check_edges(node);
            values += usize::from(node.value().is_some());
            heap += node.bytes();
            pending.extend(node.slots().iter().flatten());
        }
        assert_eq!(values, self.len(), "the length is the number of values");
        assert_eq!(heap, self.bytes(), "the account is the sum over the nodes");
    }
}

/// A node is worth being one, and its layout is the right one for its children.
fn check_counts(node: &Node) {
    let header = node.header();
    let (layout, children) = (node.layout(), header.children());
    if layout == Layout::Leaf {
        assert!(header.has_value(), "a leaf without a value");
        return;
    }
    assert!(
        children > 1 || header.has_value(),
        "a chain: one child and no value"
    );
    assert!(
        children > layout.shrink_at(),
        "{children} children are too few for {layout:?}"
    );
    assert!(
        children <= layout.slots(),
        "{children} children are too many for {layout:?}"
    );
}

/// Index and slots tell the same story, and walking the children gives them in order.
fn check_edges(node: &Node) {
    let header = node.header();
    let children = header.children();
    let taken: Vec<bool> = node.slots().iter().map(Option::is_some).collect();
    assert_eq!(
        taken.iter().filter(|taken| **taken).count(),
        children,
        "children counted wrongly"
    );
    if node.layout().family() != Family::Direct {
        assert!(
            taken[..children].iter().all(|taken| *taken),
            "a hole before the last child"
        );
    }
    let (mut place, mut bytes) = (0, Vec::new());
    while let Some(edge) = node.edge_from(place) {
        let found = node
            .child(edge.byte)
            .expect("a child that is walked past is also found");
        assert!(
            std::ptr::eq(found, edge.child),
            "walking and finding differ"
        );
        bytes.push(edge.byte);
        place = edge.next;
    }
    assert_eq!(bytes.len(), children, "walking does not meet every child");
    assert!(
        bytes.is_sorted_by(|left, right| left < right),
        "children out of order"
    );
}
