//! Commits that fail, told when it begins and when it is over, not every time: on a full disk
//! thousands of writes a second are refused, and every line would say the same.

/// Whether commits fail at the moment, and why.
#[derive(Debug, Default)]
pub(in crate::store) struct Trouble {
    reason: Option<String>,
    writes: u64,
}

impl Trouble {
    /// A commit of so many writes failed; true where that is news.
    pub(super) fn begin(&mut self, reason: &str, writes: usize) -> bool {
        self.writes += writes as u64;
        if self.reason.as_deref() == Some(reason) {
            return false;
        }
        self.reason = Some(reason.to_owned());
        true
    }

    /// A commit succeeded; where others failed before, of how many writes.
    pub(super) fn end(&mut self) -> Option<u64> {
        self.reason.take()?;
        Some(std::mem::take(&mut self.writes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_once_and_its_end_with_a_count() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.end(), None);
        assert!(trouble.begin("full", 2));
        assert!(!trouble.begin("full", 3));
        assert!(trouble.begin("poisoned", 1), "another reason is news");
        assert_eq!(trouble.end(), Some(6));
        assert_eq!(trouble.end(), None);
        assert!(trouble.begin("full", 1), "and so is the next time");
    }
}
