//! Walking a trie in key order, from any key on and within any prefix.

use std::ops::Bound;

use super::raw::Node;
use super::search::common_len;

/// Lends the entries of a trie in the order of their keys.
///
/// The trie does not store keys whole, so a key exists only in the cursor's buffer and only until
/// the next step: that is why this is not an [`Iterator`]. To go on another time, keep the last
/// key and start a new cursor behind it; the keys that came and went in between do not matter.
pub struct Cursor<'t> {
    key: Vec<u8>,
    /// The nodes whose prefixes and bytes make up `key`, each with what is still to do there.
    path: Vec<Step<'t>>,
}

struct Step<'t> {
    node: &'t Node,
    /// The length of `key` at the end of the node's prefix.
    key_bytes: usize,
    /// The node's own value comes before its children and is still to come.
    value_due: bool,
    /// The place in the node of the next child.
    next: usize,
}

impl<'t> Cursor<'t> {
    /// The next key and its value.
    pub fn next_entry(&mut self) -> Option<(&[u8], &'t [u8])> {
        loop {
            let step = self.path.last_mut()?;
            if std::mem::take(&mut step.value_due)
                && let Some(value) = step.node.value()
            {
                return Some((&self.key, value));
            }
            self.key.truncate(step.key_bytes);
            match step.node.edge_from(step.next) {
                Some(edge) => {
                    step.next = edge.next;
                    self.key.push(edge.byte);
                    self.enter(edge.child);
                }
                None => {
                    self.path.pop();
                }
            }
        }
    }

    /// A cursor over the keys below `root` that start with `prefix` and lie beyond `from`.
    pub(super) fn new(root: Option<&'t Node>, prefix: &[u8], from: Bound<&[u8]>) -> Self {
        let mut cursor = Self {
            key: Vec::new(),
            path: Vec::new(),
        };
        let Some(top) = root.and_then(|root| cursor.descend(root, prefix)) else {
            return cursor;
        };
        let (bound, inclusive) = match from {
            Bound::Unbounded => (&[][..], true),
            Bound::Included(key) => (key, true),
            Bound::Excluded(key) => (key, false),
        };
        match bound.strip_prefix(cursor.key.as_slice()) {
            Some(rest) => cursor.seek(top, rest, inclusive),
            // The bound is outside of all that hangs below `top`: before it or behind it.
            None if *bound < *cursor.key => cursor.enter(top),
            None => {}
        }
        cursor
    }

    /// The node below which exactly the keys with `prefix` are, its own prefix not yet in `key`.
    fn descend(&mut self, root: &'t Node, prefix: &[u8]) -> Option<&'t Node> {
        let (mut node, mut rest) = (root, prefix);
        while !node.prefix().starts_with(rest) {
            let (&byte, tail) = rest.strip_prefix(node.prefix())?.split_first()?;
            self.key.extend_from_slice(node.prefix());
            self.key.push(byte);
            (node, rest) = (node.child(byte)?, tail);
        }
        Some(node)
    }

    /// Enters `top` and the nodes below it on the way to `bound`, past all smaller keys.
    fn seek(&mut self, top: &'t Node, bound: &[u8], inclusive: bool) {
        let (mut node, mut rest) = (top, bound);
        loop {
            let prefix = node.prefix();
            let common = common_len(prefix, rest);
            if common < prefix.len() {
                // The keys from here on lie all behind the bound, or all before it.
                if prefix[common..] > rest[common..] {
                    self.enter(node);
                }
                return;
            }
            self.enter(node);
            let step = self.path.last_mut().expect("a node was entered");
            let Some((&byte, tail)) = rest[common..].split_first() else {
                step.value_due = inclusive;
                return;
            };
            step.value_due = false;
            step.next = node.lower_bound(byte);
            match node.edge_from(step.next) {
                Some(edge) if edge.byte == byte => {
                    step.next = edge.next;
                    self.key.push(byte);
                    (node, rest) = (edge.child, tail);
                }
                _ => return,
            }
        }
    }

    fn enter(&mut self, node: &'t Node) {
        self.key.extend_from_slice(node.prefix());
        self.path.push(Step {
            node,
            key_bytes: self.key.len(),
            value_due: true,
            next: 0,
        });
    }
}
