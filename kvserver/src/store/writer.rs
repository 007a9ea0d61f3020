//! Writing: batches of writes, one commit each.
//!
//! The writer is owned by one thread (or by the simulation). A batch is held against what is
//! there, appended to the log, committed once, then made visible, in that order.

mod admit;
mod apply;
mod discard;
mod trouble;
mod write;

use std::{collections::HashMap, sync::Arc};

use kvcore::{
    key::Key,
    record::UploadId,
    status::SyncMode,
    version::UnixMillis,
    wire::{Refusal, Reply},
};

use self::write::{PendingWrite, upload_of};
pub use self::{
    discard::{DiscardError, NotNoted},
    write::Write,
};
pub(super) use self::{trouble::Trouble, write::Pending};
use super::{
    StoreOptions,
    compaction::Compaction,
    shelf::{Former, Shelves},
    staging::{StagedChunk, Staging},
};
use crate::{
    limits::{UPLOAD_IDLE_MS_MAX, UPLOAD_YIELD_MS},
    log::{AppendError, CommitError, Log, LogStats, SegmentId, SyncNow, disk::Disk},
    trie::Trie,
};

/// The writing side of a store.
#[derive(Debug)]
pub struct Writer<D: Disk> {
    pub(super) shelves: Arc<Shelves>,
    pub(super) log: Log<D>,
    pub(super) staging: Staging,
    /// The key of every value in chunks, for compaction.
    pub(super) large: HashMap<UploadId, Key>,
    pub(super) compaction: Option<Compaction<D>>,
    /// Segments that could not be compacted, and when each is tried again.
    pub(super) barred: Vec<(SegmentId, UnixMillis)>,
    /// Until when compaction is not tried.
    pub(super) compaction_waits: Option<UnixMillis>,
    pub(super) options: StoreOptions,
    /// Whether something was committed that is not known to be durable, or not marked so.
    pub(super) unmarked: bool,
    /// Whether commits fail at the moment.
    pub(super) trouble: Trouble,
    /// Empty between batches.
    pub(super) pending: Pending,
    /// What slots held that were emptied, until it is released.
    pub(super) emptied: Vec<Trie>,
}

impl<D: Disk> Writer<D> {
    /// Carries out a batch; gives one reply a write, in order.
    pub fn commit(&mut self, writes: Vec<Write>, now: UnixMillis) -> Vec<Reply> {
        let mut replies = Vec::with_capacity(writes.len());
        self.commit_into(writes, now, &mut replies);
        let replies = replies.into_iter();
        replies
            .map(|reply| reply.expect("every write has its reply"))
            .collect()
    }

    /// The same, with buffers that are used again: those of a large batch are such that the system
    /// would have to find and clear memory for them each time. Every reply is there afterwards.
    pub fn commit_into(
        &mut self,
        writes: impl IntoIterator<Item = Write>,
        now: UnixMillis,
        replies: &mut Vec<Option<Reply>>,
    ) {
        let mut pending = std::mem::take(&mut self.pending);
        for (at, write) in writes.into_iter().enumerate() {
            replies.push(None);
            if pending.bear_on(&write) {
                self.commit_pending(&mut pending, replies, now);
            }
            if matches!(write, Write::Chunk { .. }) && self.staging.is_crowded() {
                self.sweep_uploads(now, UPLOAD_YIELD_MS);
            }
            if let Some(reply) = self.admit(&write) {
                self.drop_unneeded(&write, &reply);
                replies[at] = Some(reply);
                continue;
            }
            let entry = write.into_entry();
            let mut appended = self.log.append(&entry);
            if matches!(appended, Err(AppendError::BatchFull { .. })) {
                // A commit makes room, and the next segment where this one is full.
                self.commit_pending(&mut pending, replies, now);
                let _ = self.log.commit(SyncNow::Later);
                appended = self.log.append(&entry);
            }
            match appended {
                Ok(location) => pending.push(PendingWrite {
                    at,
                    entry,
                    location,
                }),
                Err(error) => replies[at] = Some(Reply::Refused(append_refusal(&error))),
            }
        }
        self.commit_pending(&mut pending, replies, now);
        self.pending = pending;
    }

    fn commit_pending(
        &mut self,
        pending: &mut Pending,
        replies: &mut [Option<Reply>],
        now: UnixMillis,
    ) {
        if pending.writes.is_empty() {
            return;
        }
        match self.log.commit(self.sync_for(pending)) {
            Ok(()) => {
                self.unmarked = true;
                if let Some(refused) = self.trouble.end() {
                    tracing::info!(refused, "commits succeed again");
                }
                for PendingWrite {
                    at,
                    entry,
                    location,
                } in pending.writes.drain(..)
                {
                    replies[at] = Some(self.apply(entry, location, now));
                }
            }
            Err(error) => {
                let writes = pending.writes.len();
                if self.trouble.begin(&error.to_string(), writes) {
                    tracing::error!(%error, writes, "a commit failed; told once until one succeeds");
                }
                for PendingWrite { at, .. } in pending.writes.drain(..) {
                    replies[at] = Some(commit_reply(&error));
                }
            }
        }
        pending.clear();
    }

    /// Chunks alone need no sync: the record that makes them visible brings it.
    fn sync_for(&self, pending: &Pending) -> SyncNow {
        match self.options.sync {
            SyncMode::Always if pending.has_record() => SyncNow::Yes,
            SyncMode::Always => SyncNow::Later,
            SyncMode::Interval | SyncMode::Never => SyncNow::No,
        }
    }

    pub(super) fn release(&mut self, former: &Former) {
        for location in former.locations() {
            self.log.release(location);
        }
    }

    /// Does what is due when nothing waits to be written: stale uploads, one step of emptying slots
    /// that were discarded, or of compaction. True when there is more to do at once.
    pub fn tidy(&mut self, now: UnixMillis) -> bool {
        self.settle_losses();
        self.log.tidy();
        self.sweep_uploads(now, UPLOAD_IDLE_MS_MAX);
        self.empty_step() || self.compact_step(now)
    }

    fn sweep_uploads(&mut self, now: UnixMillis, idle_ms: u64) {
        let dropped = self.staging.sweep(now, idle_ms);
        self.release_chunks(dropped);
    }

    /// Drops the chunks of a record that is not wanted any more, or is here already.
    fn drop_unneeded(&mut self, write: &Write, reply: &Reply) {
        let is_settled = matches!(reply, Reply::Superseded { .. } | Reply::Stored { .. });
        if let Write::Put { record, .. } = write
            && is_settled
            && let Some(upload) = upload_of(record)
        {
            let dropped = self.staging.drop_upload(upload);
            self.release_chunks(dropped);
        }
    }

    fn release_chunks(&mut self, chunks: Vec<StagedChunk>) {
        for chunk in chunks {
            self.log.release(chunk.location);
            self.shelves.grow(0, chunk.heap_bytes());
        }
    }

    /// Makes everything committed durable, and marks it so.
    pub fn sync(&mut self) -> Result<(), CommitError> {
        if self.unmarked {
            self.log.sync()?;
            self.unmarked = false;
        }
        Ok(())
    }

    /// Notes that every slot was brought up to date from its other copies, [`super::Store::losses`]
    /// having been so many before that was seen: what was lost since is not repaired.
    pub fn repaired(&mut self, losses: u64) -> Result<(), CommitError> {
        self.settle_losses();
        if self.shelves.losses.records() != losses {
            return Ok(());
        }
        self.log.repaired()
    }

    /// Commits and marks a clean shutdown.
    pub fn close(self) -> Result<(), CommitError> {
        self.log.close()
    }

    /// Figures of the log.
    pub fn log_stats(&self) -> LogStats {
        self.log.stats()
    }

    /// Why the log takes no writes, if so.
    pub fn poisoned(&self) -> Option<&str> {
        self.log.poisoned()
    }
}

fn append_refusal(error: &AppendError) -> Refusal {
    match error {
        AppendError::BatchFull { .. } => Refusal::Overloaded(error.to_string()),
        AppendError::Invalid { reason } => Refusal::Invalid((*reason).to_owned()),
        AppendError::Poisoned { reason } => Refusal::LogFailed(reason.clone()),
    }
}

fn commit_reply(error: &CommitError) -> Reply {
    match error {
        // Taken back: nothing of it is in the log.
        CommitError::DiskFull { .. } => Reply::Refused(Refusal::DiskFull),
        // Whether it became durable is unknown until the log is opened again.
        CommitError::Poisoned { .. } | CommitError::NotRetirable { .. } => {
            Reply::Uncertain(error.to_string())
        }
    }
}
