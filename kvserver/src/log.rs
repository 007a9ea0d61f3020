//! The log: where a member's records are durable.
//!
//! It is a sequence of append-only segments (`segment` draws their file, `frame` their
//! records). One thread owns the [`Log`] and appends; any number of [`LogReader`]s read. The store
//! keeps the keys and where their records lie, tells the log which records died, and compacts: it
//! appends the live records of a [`Log::victim`] again and retires it.
//!
//! What is promised:
//!
//! - A batch committed with [`SyncNow::Yes`] survives a crash whole. One committed with
//!   [`SyncNow::No`] survives a crash of the process; a crash of the machine may take it, or parts.
//!   So does one with [`SyncNow::Later`], which nobody has been promised.
//! - Recovery tells what a crash may do from what it may not. Every batch begins with a mark of
//!   how far the log was durable: bad bytes behind the last mark are a torn tail and are cut; bad
//!   bytes before it are damage, and the slots they may touch are named.
//! - A log that may lack anything it once acknowledged is not [`Recovery::intact`], and stays so
//!   over restarts until [`Log::repaired`].
//! - Bytes that the disk cannot read are as good as bytes that fail their check.
//! - No bytes in its files, whatever they are, make it panic or take unbounded memory.
//!
//! What is absent: threads, clocks, locks around the writer, and knowledge of which record is the
//! newest of its key.

mod batch;
mod commit;
mod control;
pub mod disk;
mod entry;
mod error;
mod frame;
mod head;
mod hint;
mod options;
mod reader;
mod recovery;
mod room;
mod rotate;
mod sectors;
mod segment;
mod space;
mod walk;

use std::{io, sync::Arc};

use batch::{Active, Batch};
use control::{Occasion, Regime, Trust};
use disk::Disk;
use hint::Draft;
use reader::Files;
use rotate::Rotation;
use space::{Space, State};

pub use entry::Entry;
pub use error::{AppendError, CommitError, OpenError, ReadError};
pub use options::{Location, LogOptions, LogPlace, SegmentId, SyncNow};
pub use reader::{LogReader, SegmentScan};
pub use recovery::{Damage, DamagedRange, Recovered, RecoveredContent, RecoveredEntry, Recovery};

/// The log of one member, owned by the one thread that writes to it.
#[derive(Debug)]
pub struct Log<D: Disk> {
    files: Arc<Files<D>>,
    options: LogOptions,
    space: Space,
    active: Active<D::File>,
    batch: Batch,
    next_segment: SegmentId,
    regime: Regime,
    trust: Trust,
    /// Whether the segment that recovery found last did not tell which ones belong to the log.
    roster_lost: bool,
    rotation: Rotation,
    /// The hint of the segment sealed last, with that one's bytes.
    unfinished_hint: Option<(Draft<D::File>, u64)>,
    poison: Option<String>,
    counts: LogStats,
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
    /// Calls that made bytes or names durable since the log was opened.
    pub fsyncs: u64,
    /// Batches committed since the log was opened.
    pub commits: u64,
    /// Records committed since the log was opened.
    pub appended_records: u64,
    /// Bytes committed since the log was opened, marks included.
    pub appended_bytes: u64,
}

/// Whether a file of this name is a segment of a log.
pub fn is_segment(name: &str) -> bool {
    matches!(segment::Name::parse(name), segment::Name::Segment(_))
}

impl<D: Disk> Log<D> {
    /// Opens the log in `disk`, made if there is none, and hands every record in it to `visit`,
    /// older ones first. All of them are durable when it returns, and count as live.
    pub fn open(
        disk: Arc<D>,
        options: LogOptions,
        visit: &mut dyn FnMut(Location, Recovered<'_>),
    ) -> Result<(Self, Recovery), OpenError> {
        recovery::open(disk, options, visit)
    }

    /// Adds an entry to the pending batch. Nothing is written yet: the location can be read after
    /// the next commit, and is void if that fails.
    pub fn append(&mut self, entry: &Entry) -> Result<Location, AppendError> {
        if let Some(reason) = &self.poison {
            return Err(AppendError::Poisoned {
                reason: reason.clone(),
            });
        }
        self.begin_batch();
        self.batch.add(&self.active, entry)
    }

    /// Bytes of the pending batch, zero when nothing was appended.
    pub fn pending_bytes(&self) -> usize {
        if self.batch.records == 0 {
            return 0;
        }
        self.batch.bytes.len()
    }

    /// Writes the pending batch, and waits until it is durable if asked to.
    ///
    /// With nothing pending, [`SyncNow::Yes`] makes earlier batches durable.
    pub fn commit(&mut self, sync: SyncNow) -> Result<(), CommitError> {
        self.commit_batch(sync)
    }

    /// Makes every committed batch durable and marks it so; pending entries stay pending.
    pub fn sync(&mut self) -> Result<(), CommitError> {
        self.check_poison()?;
        self.sync_active()?;
        // A mark would take the place of what is pending.
        if self.batch.bytes.is_empty() && self.active.marked != self.active.end {
            self.write_mark(Occasion::Idle)?;
            if self.regime == Regime::Strict {
                // A mark torn by a crash looks like a torn batch and would cost the log its name
                // for being intact. A relaxed log has no such name to lose.
                self.sync_active()?;
            }
        }
        Ok(())
    }

    /// Does what no write has to wait for; cheap where there is nothing to do.
    pub fn tidy(&mut self) {
        self.finish_hint();
    }

    /// A handle that reads records.
    pub fn reader(&self) -> LogReader<D> {
        LogReader(Arc::clone(&self.files))
    }

    /// Notes that the record at `location` is dead.
    pub fn release(&mut self, location: Location) {
        self.space.release(location);
    }

    /// Notes that the record at `location` cannot be read: it is dead here. Its segment stays as
    /// the trace of that until [`Log::repaired`]. Nothing may be pending.
    pub fn lose(&mut self, location: Location) {
        self.space.release(location);
        match self.space.get(location.segment).map(|known| known.state) {
            Some(State::Sealed | State::Repaired) => {
                self.space.set_state(location.segment, State::Damaged);
            }
            Some(State::Active) => {
                // Its damage is to stay apart from what is written from now on. Where that cannot
                // be done now, it is at the end of the segment.
                self.active.discard_hint(&*self.files.disk);
                if self.poison.is_none() {
                    let _ = self.rotate();
                }
            }
            Some(State::Damaged | State::Missing) | None => {}
        }
    }

    /// Whether a segment stays until its damage is repaired.
    pub fn is_damaged(&self, segment: SegmentId) -> bool {
        let known = self.space.get(segment);
        known.is_some_and(|known| known.state == State::Damaged)
    }

    /// The sealed segment that is best compacted next, if one is worth it: a damaged one whose
    /// slots were repaired; else one without live records; else, once
    /// [`LogOptions::garbage_percent`] of the log is garbage, the one with the least live share
    /// if that is below [`LogOptions::victim_live_percent`].
    pub fn victim(&self) -> Option<SegmentId> {
        self.victim_beside(&[])
    }

    /// The same, leaving out segments that turned out not to be compactable.
    pub fn victim_beside(&self, barred: &[SegmentId]) -> Option<SegmentId> {
        self.space.victim(&self.options, barred)
    }

    /// Whether damage in a segment costs nothing any more, since its slots were repaired.
    pub fn is_repaired(&self, segment: SegmentId) -> bool {
        let known = self.space.get(segment);
        known.is_some_and(|known| known.state == State::Repaired)
    }

    /// Bytes of a segment's records that were not released.
    pub fn live_bytes(&self, segment: SegmentId) -> u64 {
        self.space.get(segment).map_or(0, |known| known.live)
    }

    /// The entries of a segment as far as they are committed; usable from another thread while
    /// appends go on.
    pub fn scan(&self, segment: SegmentId) -> Result<SegmentScan<D>, ReadError> {
        let known = self.space.get(segment).ok_or(ReadError::Gone(segment))?;
        SegmentScan::new(&self.files, segment, known.bytes)
    }

    /// Removes a sealed segment whose live records were appended again. Commits what is pending
    /// and makes all of it durable first: it replaces what is removed.
    pub fn retire(&mut self, segment: SegmentId) -> Result<(), CommitError> {
        self.check_poison()?;
        let refused = |reason| CommitError::NotRetirable { segment, reason };
        let known = self
            .space
            .get(segment)
            .ok_or(refused("it is not in the log"))?;
        self.finish_hint();
        match known.state {
            State::Active => return Err(refused("it is being written")),
            State::Damaged | State::Missing => return Err(refused("its damage is not repaired")),
            State::Sealed | State::Repaired => {}
        }
        // Out of the roster first: the commit may begin a new segment.
        self.space.remove(segment);
        self.begin_batch();
        self.batch.add_retired(&self.active, segment);
        if let Err(error) = self.commit_batch(SyncNow::Yes) {
            self.space.insert(segment, known);
            return Err(error);
        }
        self.remove_files(segment)
    }

    /// Notes that every slot was brought up to date from its other copies: the next recovery may
    /// call the log intact again, and damaged segments become victims. Commits what is pending.
    pub fn repaired(&mut self) -> Result<(), CommitError> {
        self.check_poison()?;
        let before = std::mem::replace(&mut self.trust, Trust::Intact);
        let missing = self.space.in_state(State::Missing);
        self.begin_batch();
        for &segment in &missing {
            self.batch.add_retired(&self.active, segment);
        }
        let kept: Vec<_> = missing
            .iter()
            .filter_map(|&id| Some((id, self.space.remove(id)?)))
            .collect();
        if let Err(error) = self.commit_batch(SyncNow::Yes) {
            self.trust = before;
            for (id, segment) in kept {
                self.space.insert(id, segment);
            }
            return Err(error);
        }
        self.space.repaired();
        if std::mem::take(&mut self.roster_lost) {
            // Only the next segment brings a roster, and without one all would be in doubt again.
            self.rotate()?;
        }
        Ok(())
    }

    /// Commits what is pending and marks a clean shutdown.
    pub fn close(mut self) -> Result<(), CommitError> {
        self.commit_batch(SyncNow::Yes)?;
        // Only now: the mark says that everything before it is durable.
        self.write_mark(Occasion::Closed)?;
        self.sync_active()?;
        self.finish_hint();
        // Opening would do both, too.
        let _ = self.active.cut_room();
        self.active.discard_hint(&*self.files.disk);
        Ok(())
    }

    /// Why the log takes no writes, if so.
    pub fn poisoned(&self) -> Option<&str> {
        self.poison.as_deref()
    }

    /// Figures of the log.
    pub fn stats(&self) -> LogStats {
        let (bytes, live_bytes) = self.space.totals();
        LogStats {
            segments: self.space.len(),
            bytes,
            live_bytes,
            ..self.counts
        }
    }

    fn begin_batch(&mut self) {
        let mark = self.mark(Occasion::Batch);
        self.batch.begin(&self.active, mark);
    }

    /// Removes what a retired segment leaves on disk. Recovery would remove it too.
    fn remove_files(&mut self, segment: SegmentId) -> Result<(), CommitError> {
        let disk = &self.files.disk;
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        let removed = gone(disk.remove(&segment::hint_name(segment)))
            .and_then(|()| gone(disk.remove(&segment::segment_name(segment))))
            .and_then(|()| disk.sync_directory());
        self.files.forget(segment);
        self.counts.fsyncs += 1;
        removed.map_err(|error| self.poison("a retired segment could not be removed", &error))
    }
}
