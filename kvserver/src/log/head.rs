//! Where the log goes on: the place that parts what was appended from what will be.

use super::{CommitError, Log, LogPlace, SyncNow, disk::Disk};

impl<D: Disk> Log<D> {
    /// The place below which every record appended so far begins, and at or above which every later
    /// one does, over restarts too if [`super::LogOptions::reaches`] names it then.
    ///
    /// Commits what is pending and makes everything durable. Otherwise a batch that is taken back,
    /// or a tail that a crash takes, would leave later records below the place.
    pub fn head(&mut self) -> Result<LogPlace, CommitError> {
        self.commit_batch(SyncNow::Yes)?;
        Ok(self.end())
    }

    /// Takes no more writes until it is opened again, for a reason that is not the log's own.
    pub fn stop_for(&mut self, reason: &str) {
        if self.poison.is_none() {
            tracing::error!(reason, "the log stops");
            self.batch.clear();
            self.poison = Some(reason.to_owned());
        }
    }

    /// Where the next batch goes.
    pub(super) fn end(&self) -> LogPlace {
        LogPlace {
            segment: self.active.id,
            offset: self.active.end,
        }
    }
}
