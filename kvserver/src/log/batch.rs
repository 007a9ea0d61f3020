//! The batch of entries that one commit writes, and the segment it goes to.

use std::io;

use super::{
    Entry, Location, SegmentId,
    control::{Mark, push_mark, push_retired},
    disk::{Disk, DiskFile},
    error::AppendError,
    frame::{BODY_BYTES_MAX, HEADER_BYTES, Previous, Salt, push},
    hint::{Draft, Lines},
    room::{COMMIT_BYTES_MAX, ROOM_BYTES},
};

/// Most bytes of one batch: what one write call may hold up everyone behind it.
pub(super) const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of the buffer that are kept from batch to batch: those of a commit that makes room. Were it
/// given back each time, the system would have to clear that memory anew each time, which takes as
/// long as the commit.
const KEPT_BYTES: usize = 2 * (ROOM_BYTES as usize);

const _: () = assert!(COMMIT_BYTES_MAX + ROOM_BYTES as usize <= KEPT_BYTES);

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Active<F> {
    pub id: SegmentId,
    pub file: F,
    pub salt: Salt,
    /// Where the next batch goes.
    pub end: u32,
    /// Where the room ahead of that ends; not above `end` when there is none.
    pub room: u32,
    /// Every byte below is durable.
    pub durable: u32,
    /// The last record.
    pub previous: Previous,
    /// The end of the last mark: equal to `end` when nothing came after it.
    pub marked: u32,
    /// The hint to be; `None` for a damaged segment, which gets none so that it is read again.
    pub hint: Option<Draft<F>>,
}

/// Entries that were appended and not yet committed.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub bytes: Vec<u8>,
    pub previous: Previous,
    pub lines: Lines,
    pub records: u64,
    /// Bytes of the entries' records, marks and retirements not counted.
    pub live: u64,
}

impl<F: DiskFile> Active<F> {
    /// A segment that was made just now: everything in it is durable, and ends with a mark.
    pub(super) fn new(
        (id, salt): (SegmentId, Salt),
        file: F,
        (end, previous): (u32, Previous),
        segment_bytes: u32,
    ) -> Self {
        Self {
            id,
            salt,
            file,
            end,
            room: end,
            durable: end,
            previous,
            marked: end,
            hint: Some(Draft::new(id, segment_bytes)),
        }
    }

    /// Leaves nothing of the hint to be, and gets none.
    pub(super) fn discard_hint<D: Disk<File = F>>(&mut self, disk: &D) {
        if let Some(hint) = self.hint.take() {
            hint.discard(disk);
        }
    }

    /// Gives back the room ahead of the end.
    pub(super) fn cut_room(&mut self) -> io::Result<()> {
        if self.room > self.end {
            self.file.truncate(u64::from(self.end))?;
            self.room = self.end;
        }
        Ok(())
    }
}

impl Batch {
    /// Begins with a mark, unless it has begun. What the mark says is settled at the commit.
    pub(super) fn begin<F>(&mut self, active: &Active<F>, mark: Mark) {
        if self.bytes.is_empty() {
            let place = (active.salt, u64::from(active.end));
            self.previous = push_mark(&mut self.bytes, place, active.previous, mark);
        }
    }

    /// Writes the mark anew, now that all it says is known.
    pub(super) fn settle<F>(&mut self, active: &Active<F>, mark: Mark) {
        let mut settled = Vec::new();
        let place = (active.salt, u64::from(active.end));
        push_mark(&mut settled, place, active.previous, mark);
        self.bytes[..settled.len()].copy_from_slice(&settled);
    }

    /// Adds an entry; the batch has begun.
    pub(super) fn add<F>(
        &mut self,
        active: &Active<F>,
        entry: &Entry,
    ) -> Result<Location, AppendError> {
        let most = HEADER_BYTES + BODY_BYTES_MAX;
        // Room for this record, and for the marks and the footer that end a segment.
        let last_offset = u32::MAX as usize - 2 * most;
        let pending = self.bytes.len();
        let offset = Some(active.end as usize + pending)
            .filter(|&offset| offset < last_offset && pending + most <= BATCH_BYTES_MAX)
            .and_then(|offset| u32::try_from(offset).ok())
            .ok_or(AppendError::BatchFull { pending })?;
        entry
            .check()
            .map_err(|reason| AppendError::Invalid { reason })?;
        let (kind, slot) = entry.kind();
        let place = (active.salt, u64::from(active.end));
        let mut kept = 0;
        let what = (kind, Some(slot));
        self.previous = push(&mut self.bytes, place, what, self.previous, |body| {
            kept = entry.write_body(body);
        });
        let location = Location {
            segment: active.id,
            offset,
            length: self.previous.bytes,
        };
        let body = pending + HEADER_BYTES;
        let part = &self.bytes[body..body + kept];
        if active.hint.is_some() {
            self.lines.push(location, kind, slot, part);
        }
        self.records += 1;
        self.live += u64::from(location.length);
        Ok(location)
    }

    /// Adds the note that a segment leaves the log; the batch has begun.
    pub(super) fn add_retired<F>(&mut self, active: &Active<F>, segment: SegmentId) {
        let place = (active.salt, u64::from(active.end));
        self.previous = push_retired(&mut self.bytes, place, self.previous, segment);
    }

    /// Empties the batch; a large buffer is given back.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.lines.clear();
        self.records = 0;
        self.live = 0;
    }
}
