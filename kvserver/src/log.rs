//! The log: where a member's records are durable.

pub mod disk;
mod entry;
mod error;
mod options;
mod reader;
mod recovery;

use std::sync::Arc;

use disk::Disk;

pub use entry::Entry;
pub use error::{AppendError, CommitError, OpenError, ReadError};
pub use options::{Location, LogOptions, SegmentId, SyncNow};
pub use reader::{LogReader, SegmentScan};
pub use recovery::{Damage, DamagedRange, RecoveredEntry, Recovery};

/// The log of one member, owned by the one thread that writes to it.
#[derive(Debug)]
pub struct Log<D: Disk> {
    disk: Arc<D>,
}

/// Figures of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogStats {
    /// Segments, the one being written included.
    pub segments: usize,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Bytes of records that were not released.
    pub live_bytes: u64,
    /// Calls that made bytes durable since the log was opened.
    pub fsyncs: u64,
    /// Batches committed since the log was opened.
    pub commits: u64,
    /// Records committed since the log was opened.
    pub appended_records: u64,
    /// Their bytes.
    pub appended_bytes: u64,
}

impl<D: Disk> Log<D> {
    /// Opens the log in `disk`, made if there is none, and hands every record in it to `visit`,
    /// older ones first. All of them are durable when it returns, and count as live.
    pub fn open(
        _disk: Arc<D>,
        _options: LogOptions,
        _visit: &mut dyn FnMut(Location, RecoveredEntry),
    ) -> Result<(Self, Recovery), OpenError> {
        todo!()
    }

    /// Adds an entry to the pending batch. Nothing is written yet: the location can be read after
    /// the next commit, and is void if that fails.
    pub fn append(&mut self, _entry: &Entry) -> Result<Location, AppendError> {
        todo!()
    }

    /// Bytes of the pending batch, zero when nothing was appended.
    pub fn pending_bytes(&self) -> usize {
        todo!()
    }

    /// Writes the pending batch, and waits until it is durable if asked to.
    pub fn commit(&mut self, _sync: SyncNow) -> Result<(), CommitError> {
        todo!()
    }

    /// Makes every committed batch durable and marks it so; pending entries stay pending.
    pub fn sync(&mut self) -> Result<(), CommitError> {
        todo!()
    }

    /// A handle that reads records.
    pub fn reader(&self) -> LogReader<D> {
        todo!()
    }

    /// Notes that the record at `location` is dead.
    pub fn release(&mut self, _location: Location) {
        todo!()
    }

    /// The sealed segment that is best compacted next, if one is worth it.
    pub fn victim(&self) -> Option<SegmentId> {
        todo!()
    }

    /// The entries of a sealed segment; usable from another thread while appends go on.
    pub fn scan(&self, _segment: SegmentId) -> Result<SegmentScan<D>, ReadError> {
        todo!()
    }

    /// Removes a sealed segment whose live records were appended again. Commits what is pending
    /// and makes all of it durable first: it replaces what is removed.
    pub fn retire(&mut self, _segment: SegmentId) -> Result<(), CommitError> {
        todo!()
    }

    /// Notes that every slot was brought up to date from its other copies: the next recovery may
    /// call the log intact again, and damaged segments become victims.
    pub fn repaired(&mut self) -> Result<(), CommitError> {
        todo!()
    }

    /// Commits what is pending and marks a clean shutdown.
    pub fn close(self) -> Result<(), CommitError> {
        todo!()
    }

    /// Why the log takes no writes, if so.
    pub fn poisoned(&self) -> Option<&str> {
        todo!()
    }

    /// Figures of the log.
    pub fn stats(&self) -> LogStats {
        todo!()
    }
}
