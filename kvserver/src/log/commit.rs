//! Committing: one write and one sync for all that is pending.
//!
//! A sync that failed is never tried again: the system may have dropped the written pages and
//! report success next time (Rebello et al., "Can Applications Recover from fsync Failures?",
//! ATC 2020). The log is poisoned instead until recovery has written the tail once more.

use kvcore::planted::{self, Bug};
use std::io;

use super::{
    CommitError, Log, SyncNow,
    control::{Mark, Occasion, Regime, push_mark},
    disk::{Disk, DiskFile},
    room,
};

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

impl<D: Disk> Log<D> {
    /// The mark that would be written now.
    pub(super) fn mark(&self, occasion: Occasion) -> Mark {
        Mark {
            durable: self.active.durable,
            regime: self.regime,
            trust: self.trust,
            occasion,
        }
    }

    /// An error if the log is poisoned.
    pub(super) fn check_poison(&self) -> Result<(), CommitError> {
        match &self.poison {
            Some(reason) => Err(CommitError::Poisoned {
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Stops all writing.
    pub(super) fn poison(&mut self, what: &str, error: &io::Error) -> CommitError {
        let reason = format!("{what}: {error}");
        tracing::error!(segment = self.active.id.0, reason, "the log stops");
        self.batch.clear();
        self.poison = Some(reason.clone());
        CommitError::Poisoned { reason }
    }

    /// Writes the pending batch, and syncs if asked to.
    pub(super) fn commit_batch(&mut self, sync: SyncNow) -> Result<(), CommitError> {
        self.check_poison()?;
        if !self.batch.bytes.is_empty() {
            // The first batch that is not synced is: see `Regime`.
            let announce = sync == SyncNow::No && self.regime == Regime::Strict;
            if announce {
                self.regime = Regime::Relaxed;
            }
            if let Err(error) = self.write_batch(sync) {
                if announce {
                    // Nothing of it is on the disk, the announcement neither.
                    self.regime = Regime::Strict;
                }
                return Err(error);
            }
            if announce {
                self.sync_active()?;
            }
        }
        if sync == SyncNow::Yes {
            self.sync_active()?;
        }
        if self.active.end >= self.options.segment_bytes {
            // The batch stands whatever comes of this: if there is no room, the segment grows on;
            // if a sync fails, the next commit says so.
            let _ = self.rotate();
        }
        Ok(())
    }

    fn write_batch(&mut self, sync: SyncNow) -> Result<(), CommitError> {
        let mark = self.mark(Occasion::Batch);
        self.batch.settle(&self.active, mark);
        if let Err(error) = self.write_bytes(sync) {
            return Err(self.take_back(&error));
        }
        let Self {
            batch,
            active,
            files,
            ..
        } = self;
        active.end += u32::try_from(batch.bytes.len()).expect("segments are limited");
        active.previous = batch.previous;
        if batch.records == 0 {
            active.marked = active.end;
        }
        if let Some(hint) = &mut active.hint {
            hint.take(&*files.disk, &mut batch.lines);
        }
        let end = u64::from(active.end);
        self.space.grow(active.id, end, batch.live);
        self.counts.commits += 1;
        self.counts.appended_records += batch.records;
        self.counts.appended_bytes += batch.bytes.len() as u64;
        self.batch.clear();
        Ok(())
    }

    /// Writes the batch's bytes, with room behind them where that is due.
    fn write_bytes(&mut self, sync: SyncNow) -> io::Result<()> {
        let Self { batch, active, .. } = self;
        let (start, bytes) = (u64::from(active.end), batch.bytes.len());
        let end = start + bytes as u64;
        let room = u32::try_from(end)
            .ok()
            .filter(|_| sync == SyncNow::Yes)
            .and_then(|end| room::to_make(end, bytes, active.room, self.options.segment_bytes));
        if let Some(room) = room {
            room::fill(active.salt, end..u64::from(room), &mut batch.bytes);
            let written = active.file.write_at(start, &batch.bytes);
            batch.bytes.truncate(bytes);
            match written {
                Ok(()) => {
                    active.room = room;
                    return Ok(());
                }
                // There may be enough for the batch alone.
                Err(error) if is_full(&error) => {
                    active.file.truncate(start)?;
                    active.room = active.end;
                }
                Err(error) => return Err(error),
            }
        }
        active.file.write_at(start, &batch.bytes)
    }

    /// Undoes a write that failed for want of room; poisons if that fails, or for other errors.
    pub(super) fn take_back(&mut self, error: &io::Error) -> CommitError {
        if !is_full(error) {
            return self.poison("a write failed", error);
        }
        // Synced too: after a crash, the rest of the write would pass for a batch that rotted.
        self.counts.fsyncs += 1;
        let file = &self.active.file;
        let end = u64::from(self.active.end);
        if let Err(error) = file.truncate(end).and_then(|()| file.sync()) {
            return self.poison("a failed write could not be undone", &error);
        }
        self.active.durable = self.active.end;
        self.active.room = self.active.end;
        self.batch.clear();
        CommitError::DiskFull {
            reason: error.to_string(),
        }
    }

    /// Makes the active segment durable as far as it was written.
    pub(super) fn sync_active(&mut self) -> Result<(), CommitError> {
        if self.active.durable == self.active.end {
            return Ok(());
        }
        self.counts.fsyncs += 1;
        if planted::is(Bug::AckBeforeSync) {
            self.active.durable = self.active.end;
            return Ok(());
        }
        match self.active.file.sync() {
            Ok(()) => {
                self.active.durable = self.active.end;
                Ok(())
            }
            Err(error) => Err(self.poison("a sync failed", &error)),
        }
    }

    /// Writes a mark by itself. For want of room there is none, which only makes the next recovery
    /// more doubtful than need be.
    pub(super) fn write_mark(&mut self, occasion: Occasion) -> Result<(), CommitError> {
        let mut bytes = Vec::new();
        let active = &self.active;
        let place = (active.salt, u64::from(active.end));
        let mark = self.mark(occasion);
        let previous = push_mark(&mut bytes, place, active.previous, mark);
        if let Err(error) = active.file.write_at(place.1, &bytes) {
            return match self.take_back(&error) {
                CommitError::DiskFull { .. } => Ok(()),
                other => Err(other),
            };
        }
        let active = &mut self.active;
        active.end += previous.bytes;
        active.marked = active.end;
        active.previous = previous;
        self.space.grow(active.id, u64::from(active.end), 0);
        Ok(())
    }
}
