//! Compaction: moving what is live out of the segment with the most garbage, a little at a time.
//!
//! One step reads a bounded piece of the victim and appends what is still live again; writes go
//! on between steps. When the whole victim has been read it is retired, which first makes durable
//! what replaces it. If anything in it lives still, that lies where nothing could be read: `sweep`
//! looks for it before.

mod sweep;

use kvcore::{key::Key, record::UploadId, version::UnixMillis};

use super::writer::Writer;
use crate::{
    limits::{COMPACTION_PAUSE_MS, COMPACTION_RETRY_MS, COMPACTION_STEP_BYTES},
    log::{CommitError, Entry, Location, ReadError, SegmentId, SegmentScan, SyncNow, disk::Disk},
};

/// A victim being emptied.
#[derive(Debug)]
pub(super) struct Compaction<D: Disk> {
    segment: SegmentId,
    scan: SegmentScan<D>,
    /// The slot that is searched next, once the segment was read to its end.
    sweep: Option<u16>,
}

/// Whose log record is being moved.
enum Owner {
    Record(Key),
    Chunk(UploadId, u32),
}

struct Moved {
    owner: Owner,
    from: Location,
    to: Location,
}

impl<D: Disk> Writer<D> {
    /// Does one step; true when there is more to do.
    pub(super) fn compact_step(&mut self, now: UnixMillis) -> bool {
        let waits = self.compaction_waits;
        if self.log.poisoned().is_some()
            || waits.is_some_and(|until| is_ahead(until, now, COMPACTION_PAUSE_MS))
        {
            return false;
        }
        self.compaction_waits = None;
        self.barred
            .retain(|&(_, until)| is_ahead(until, now, COMPACTION_RETRY_MS));
        let compaction = self.compaction.take();
        let Some(compaction) = compaction.or_else(|| self.begin_compaction(now)) else {
            return false;
        };
        match compaction.sweep {
            None => self.move_step(compaction, now),
            Some(_) => self.sweep_step(compaction, now),
        }
    }

    /// Reads on and moves what lives.
    fn move_step(&mut self, mut compaction: Compaction<D>, now: UnixMillis) -> bool {
        let (mut moved, mut read, mut is_over) = (Vec::new(), 0, false);
        while read < COMPACTION_STEP_BYTES {
            let (from, entry) = match compaction.scan.next() {
                Some(Ok(found)) => found,
                Some(Err(ReadError::Damaged(range))) => {
                    // Otherwise what was lost there has been fetched again.
                    if !self.log.is_repaired(compaction.segment) {
                        tracing::error!(%range, "compaction met damage");
                        self.shelves.losses.meet(1);
                    }
                    read += range.range.end - range.range.start;
                    continue;
                }
                Some(Err(error)) => {
                    // Its live records stay where they are; nothing is removed on a doubt.
                    tracing::error!(%error, segment = %compaction.segment, "not compacted now");
                    self.bar(compaction.segment, now);
                    return self.commit_moved(moved, now);
                }
                None => {
                    is_over = true;
                    break;
                }
            };
            read += u64::from(from.length);
            let Some(owner) = self.owner_of(&entry, from) else {
                continue;
            };
            match self.log.append(&entry) {
                Ok(to) => moved.push(Moved { owner, from, to }),
                Err(error) => {
                    self.wait_with_compaction(&error, now);
                    self.commit_moved(moved, now);
                    return false;
                }
            }
        }
        if !self.commit_moved(moved, now) {
            return false;
        }
        if !is_over {
            self.compaction = Some(compaction);
            return true;
        }
        if self.log.live_bytes(compaction.segment) > 0 {
            compaction.sweep = Some(0);
            self.compaction = Some(compaction);
            return true;
        }
        self.retire(compaction.segment, now)
    }

    /// Removes a segment in which nothing lives; true when there may be more to do.
    fn retire(&mut self, segment: SegmentId, now: UnixMillis) -> bool {
        self.settle_losses();
        if self.log.is_damaged(segment) {
            tracing::warn!(%segment, "stays until what was lost in it is repaired");
            return true;
        }
        let live_bytes = self.log.live_bytes(segment);
        if live_bytes > 0 {
            // A record that nothing points at was never released.
            tracing::error!(%segment, live_bytes, "not removed: something lives in it still");
            self.bar(segment, now);
            return true;
        }
        match self.log.retire(segment) {
            Ok(()) => {
                tracing::debug!(%segment, "segment compacted");
                true
            }
            Err(error @ CommitError::DiskFull { .. }) => {
                self.wait_with_compaction(&error, now);
                false
            }
            Err(error) => {
                tracing::warn!(%error, %segment, "segment not removed");
                self.bar(segment, now);
                true
            }
        }
    }

    /// Tries again after a while: what is missing now, room on the disk for instance, does not come
    /// back the faster for being asked for all the time.
    pub(super) fn wait_with_compaction(&mut self, why: &dyn std::error::Error, now: UnixMillis) {
        tracing::warn!(error = %why, "compaction waits");
        self.compaction_waits = Some(now.plus(COMPACTION_PAUSE_MS));
    }

    /// Lets others go first for a while.
    fn bar(&mut self, segment: SegmentId, now: UnixMillis) {
        self.barred.push((segment, now.plus(COMPACTION_RETRY_MS)));
    }

    fn begin_compaction(&mut self, now: UnixMillis) -> Option<Compaction<D>> {
        loop {
            let barred: Vec<_> = self.barred.iter().map(|&(segment, _)| segment).collect();
            let segment = self.log.victim_beside(&barred)?;
            match self.log.scan(segment) {
                Ok(scan) => {
                    return Some(Compaction {
                        segment,
                        scan,
                        sweep: None,
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, %segment, "segment cannot be compacted now");
                    self.bar(segment, now);
                }
            }
        }
    }

    /// Who needs the log record at this location, if anybody.
    fn owner_of(&mut self, entry: &Entry, at: Location) -> Option<Owner> {
        match entry {
            Entry::Record { key, .. } => {
                let shelf = self.shelves.read(key.slot());
                let held = shelf.get(key.as_bytes())?;
                (held.location == at).then(|| Owner::Record(key.clone()))
            }
            Entry::Chunk { upload, index, .. } => {
                let owner = Owner::Chunk(*upload, *index);
                let staged = self.staging.chunk_mut(*upload, *index);
                if staged.is_some_and(|chunk| chunk.location == at) {
                    return Some(owner);
                }
                let key = self.large.get(upload)?;
                let shelf = self.shelves.read(key.slot());
                let here = shelf.large(*upload)?.locations.get(*index as usize)?;
                (*here == at).then_some(owner)
            }
        }
    }

    /// Commits what was appended again and points its owners there.
    fn commit_moved(&mut self, moved: Vec<Moved>, now: UnixMillis) -> bool {
        if moved.is_empty() {
            return true;
        }
        // Retiring the victim makes it durable; until then the victim is.
        if let Err(error) = self.log.commit(SyncNow::Later) {
            self.wait_with_compaction(&error, now);
            return false;
        }
        self.unmarked = true;
        for Moved { owner, from, to } in moved {
            let pointed = match &owner {
                Owner::Record(key) => {
                    let mut shelf = self.shelves.write(key.slot());
                    shelf.point(key.as_bytes(), from, to)
                }
                Owner::Chunk(upload, index) => self.point_chunk(*upload, *index, from, to),
            };
            self.log.release(if pointed { from } else { to });
        }
        true
    }

    fn point_chunk(&mut self, upload: UploadId, index: u32, from: Location, to: Location) -> bool {
        if let Some(chunk) = self.staging.chunk_mut(upload, index)
            && chunk.location == from
        {
            chunk.location = to;
            return true;
        }
        let Some(key) = self.large.get(&upload) else {
            return false;
        };
        let mut shelf = self.shelves.write(key.slot());
        shelf.point_chunk(upload, index, from, to)
    }
}

/// Whether a time that was set `ms` ahead has not come. One that lies further ahead was set before
/// the clock was put back: it is not waited for.
fn is_ahead(until: UnixMillis, now: UnixMillis, ms: u64) -> bool {
    (1..=ms).contains(&until.since(now))
}
