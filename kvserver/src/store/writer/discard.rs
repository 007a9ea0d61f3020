//! Emptying slots: what they hold is gone at once and for good; memory and disk come back step by
//! step.
//!
//! Only the slot table says, after a restart, which records do not count. So the place is noted
//! there, durably, before anything is taken out: in between, compaction could remove the newer of
//! two records of a key, and a write could be acknowledged that an older record would win against.

use kvcore::slot::{Slot, SlotSet};

use super::{
    super::shelf::{Change, Former},
    Writer,
};
use crate::{
    limits::EMPTY_KEYS,
    log::{CommitError, LogPlace, disk::Disk},
    trie::Trie,
};

/// Why a place was not noted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNoted {
    /// It will not be known after a restart.
    #[error("{0}")]
    NotDone(String),
    /// It may be.
    #[error("whether it was is unknown: {0}")]
    Unknown(String),
}

/// Why slots were not emptied. They hold what they held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscardError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] CommitError),
    /// The place was not noted. Where that is unknown, the log takes no writes until it is opened
    /// again: what compaction would move now might count after a restart.
    #[error("the place from which the slots' records count was not noted: {0}")]
    NotNoted(#[from] NotNoted),
}

impl<D: Disk> Writer<D> {
    /// Empties slots: their records and uploads under way are gone, their damage is forgotten, and
    /// they vote. What is written to them from now on counts, whatever its version.
    ///
    /// `note` is given the place below which their records do not count, and has to make it durable
    /// for [`fn@super::super::open`] to be told of it. Until it has, nothing changes.
    pub fn discard(
        &mut self,
        slots: &SlotSet,
        note: impl FnOnce(LogPlace) -> Result<(), NotNoted>,
    ) -> Result<LogPlace, DiscardError> {
        self.settle_losses();
        let place = self.log.head()?;
        if let Err(error) = note(place) {
            if let NotNoted::Unknown(why) = &error {
                let reason = format!("slots may be empty after a restart, or not: {why}");
                self.log.stop_for(&reason);
            }
            return Err(error.into());
        }
        for slot in slots.iter() {
            self.empty(slot);
        }
        Ok(place)
    }

    fn empty(&mut self, slot: Slot) {
        let emptied = self.shelves.empty(slot);
        for (upload, large) in emptied.large {
            for location in large.locations {
                self.log.release(location);
            }
            if self.large.get(&upload).is_some_and(|of| of.slot() == slot) {
                self.large.remove(&upload);
            }
        }
        let staged = self.staging.drop_slot(slot);
        self.release_chunks(staged);
        if !emptied.trie.is_empty() {
            self.emptied.push(emptied.trie);
        }
    }

    /// Takes some records out of tries that were discarded; true when there was any.
    ///
    /// Until all are, what they take up in the log is not released, and compaction would look for
    /// an owner of it in vain.
    pub(super) fn empty_step(&mut self) -> bool {
        let mut left = EMPTY_KEYS;
        let mut change = Change::default();
        while left > 0
            && let Some(mut trie) = self.emptied.pop()
        {
            let before = trie.bytes();
            for key in first_keys(&trie, left) {
                let former = trie.take(&key, Former::of);
                let former = former.expect("the key was there just now");
                change.count_out(&former);
                self.release(&former);
                left -= 1;
            }
            self.shelves.grow(trie.bytes(), before);
            if !trie.is_empty() {
                self.emptied.push(trie);
            }
        }
        self.shelves.note(&change);
        left < EMPTY_KEYS
    }
}

fn first_keys(trie: &Trie, most: usize) -> Vec<Vec<u8>> {
    let mut cursor = trie.scan_prefix(&[], None);
    let mut keys = Vec::new();
    while keys.len() < most
        && let Some((key, _)) = cursor.next_entry()
    {
        keys.push(key.to_vec());
    }
    keys
}
