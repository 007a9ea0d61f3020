//! Gathering before a write: what is about to be said leaves with what was said.
//!
//! A system call costs as much as several small messages. So before a writer's task writes, it lets
//! every other task that is ready have its turn once: those that are about to have something for
//! the same socket add it, and nobody waits for anybody who is not ready.

/// Whether the others had their turn since the last write.
#[derive(Debug, Default)]
pub struct Gather {
    had_turn: bool,
}

impl Gather {
    /// Whether a writer with so many bytes to write yields first: once a write.
    pub fn is_due(&mut self, pending: usize) -> bool {
        let is_due = pending > 0 && !self.had_turn;
        self.had_turn |= is_due;
        is_due
    }

    /// Something was written.
    pub fn written(&mut self) {
        self.had_turn = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_have_one_turn_before_each_write() {
        let mut gather = Gather::default();
        assert!(!gather.is_due(0), "nothing to write");
        assert!(gather.is_due(1));
        assert!(!gather.is_due(9), "they had their turn");
        gather.written();
        assert!(gather.is_due(8));
    }
}
