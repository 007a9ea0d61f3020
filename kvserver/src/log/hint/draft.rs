//! A hint on its way: its lines go into the file while the segment is written or read, so that
//! neither their number nor the moment of sealing costs much memory.

use std::{io, mem};

use super::{HEAD_BYTES, Lines, MAGIC};
use crate::log::{
    Location, SegmentId,
    disk::{Disk, DiskFile},
    frame::Kind,
    segment::{FORMAT, hint_name, unfinished_hint_name},
};
use kvcore::slot::Slot;

/// Lines wait in memory up to this part of a segment: 64 KiB of one of 64 MiB. Small segments, as
/// tests have them, go the same ways.
const BUFFERED_PART: u32 = 1024;

/// The hint of a segment that is not finished.
#[derive(Debug)]
pub(in crate::log) struct Draft<F> {
    segment: SegmentId,
    /// Lines that are not in the file yet.
    lines: Lines,
    /// From how many bytes on they go there.
    buffer_bytes: usize,
    sheet: Sheet<F>,
}

/// Where a draft is written.
#[derive(Debug)]
enum Sheet<F> {
    /// Nowhere yet.
    Blank,
    /// In a file, which has place for the head and then these lines.
    File {
        file: F,
        bytes: u64,
        count: u32,
        crc: crc32fast::Hasher,
    },
    /// Nowhere any more: the segment gets no hint, and is read instead.
    GivenUp(io::Error),
}

impl<F: DiskFile> Draft<F> {
    /// A hint without lines, of a segment in a log with segments of about `segment_bytes`.
    pub(in crate::log) fn new(segment: SegmentId, segment_bytes: u32) -> Self {
        Self {
            segment,
            lines: Lines::default(),
            buffer_bytes: (segment_bytes / BUFFERED_PART) as usize,
            sheet: Sheet::Blank,
        }
    }

    /// Whose hint it is.
    pub(in crate::log) fn segment(&self) -> SegmentId {
        self.segment
    }

    /// Adds a line, as [`Lines::push`] does.
    pub(in crate::log) fn push<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        (at, kind, slot): (Location, Kind, Slot),
        part: &[u8],
    ) {
        self.lines.push(at, kind, slot, part);
        self.unload(disk);
    }

    /// Moves the lines of a batch that was committed behind these.
    pub(in crate::log) fn take<D: Disk<File = F>>(&mut self, disk: &D, batch: &mut Lines) {
        self.lines.bytes.append(&mut batch.bytes);
        self.lines.count += mem::take(&mut batch.count);
        self.unload(disk);
    }

    /// Writes the lines where there are many.
    fn unload<D: Disk<File = F>>(&mut self, disk: &D) {
        if self.lines.bytes.len() < self.buffer_bytes {
            return;
        }
        if let Err(error) = self.write_lines(disk) {
            self.give_up(disk, error);
        }
    }

    /// Writes all lines, into a new file if there is none yet.
    fn write_lines<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<()> {
        if matches!(self.sheet, Sheet::Blank) {
            self.sheet = Sheet::File {
                file: create(disk, self.segment)?,
                bytes: 0,
                count: 0,
                crc: crc32fast::Hasher::new(),
            };
        }
        if let Sheet::File {
            file,
            bytes,
            count,
            crc,
        } = &mut self.sheet
        {
            file.write_at(HEAD_BYTES as u64 + *bytes, &self.lines.bytes)?;
            *bytes += self.lines.bytes.len() as u64;
            *count += self.lines.count;
            crc.update(&self.lines.bytes);
        }
        self.lines.clear();
        Ok(())
    }

    fn give_up<D: Disk<File = F>>(&mut self, disk: &D, error: io::Error) {
        self.lines = Lines::default();
        if let Sheet::File { .. } = mem::replace(&mut self.sheet, Sheet::GivenUp(error)) {
            remove(disk, self.segment);
        }
    }

    /// Makes it the hint of its segment, which was sealed with `segment_bytes`. A failure leaves no
    /// hint, or one that does not pass its check.
    pub(in crate::log) fn finish<D: Disk<File = F>>(
        mut self,
        disk: &D,
        log: u128,
        segment_bytes: u64,
    ) -> io::Result<()> {
        let unfinished = unfinished_hint_name(self.segment);
        let written = self.write_lines(disk).and_then(|()| match &self.sheet {
            Sheet::File {
                file,
                bytes,
                count,
                crc,
            } => {
                let lines = (*bytes, *count, crc.clone().finalize());
                file.write_at(0, &head(log, self.segment, segment_bytes, lines))?;
                file.sync()?;
                disk.rename(&unfinished, &hint_name(self.segment))?;
                disk.sync_directory()
            }
            Sheet::Blank => unreachable!("writing lines makes the file"),
            Sheet::GivenUp(error) => Err(io::Error::new(error.kind(), error.to_string())),
        });
        written.inspect_err(|_| self.discard(disk))
    }

    /// Leaves nothing of it on the disk.
    pub(in crate::log) fn discard<D: Disk<File = F>>(self, disk: &D) {
        if let Sheet::File { .. } = self.sheet {
            remove(disk, self.segment);
        }
    }
}

/// It would be removed when the log is opened; here it makes room.
fn remove<D: Disk>(disk: &D, segment: SegmentId) {
    let _ = disk.remove(&unfinished_hint_name(segment));
}

fn create<D: Disk>(disk: &D, segment: SegmentId) -> io::Result<D::File> {
    let unfinished = unfinished_hint_name(segment);
    match disk.create(&unfinished) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(&unfinished)?;
            disk.create(&unfinished)
        }
        other => other,
    }
}

fn head(
    log: u128,
    segment: SegmentId,
    segment_bytes: u64,
    (bytes, count, crc): (u64, u32, u32),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&segment.0.to_le_bytes());
    out.extend_from_slice(&log.to_le_bytes());
    out.extend_from_slice(&segment_bytes.to_le_bytes());
    out.extend_from_slice(&bytes.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::Hint, *};
    use crate::log::disk::memory::MemoryDisk;

    const SEGMENT: SegmentId = SegmentId(3);

    fn pushed(disk: &MemoryDisk, lines: u32) -> Draft<<MemoryDisk as Disk>::File> {
        let mut draft = Draft::new(SEGMENT, 1024 * 1024);
        for number in 0..lines {
            let at = Location {
                segment: SEGMENT,
                offset: 200 + number * 100,
                length: 100,
            };
            let slot = Slot::new(7).expect("one of 1,024");
            draft.push(disk, (at, Kind::Record, slot), &[b'k'; 60]);
            assert!(draft.lines.bytes.len() < 1024 + 100, "they leave memory");
        }
        draft
    }

    #[test]
    fn lines_leave_memory_and_are_all_there_in_the_end() {
        for lines in [0, 1, 3, 14, 15, 500] {
            let disk = MemoryDisk::new();
            pushed(&disk, lines)
                .finish(&disk, 9, 100_000)
                .expect("there is room");
            let hint = Hint::open_summed(&disk, (9, SEGMENT)).expect("its sums are right");
            assert_eq!((hint.segment_bytes, hint.count), (100_000, lines));
            assert_eq!(
                disk.list().expect("listed").len(),
                1,
                "nothing else is left"
            );
        }
    }

    #[test]
    fn one_that_finds_no_room_is_given_up_and_leaves_nothing() {
        let disk = Arc::new(MemoryDisk::new());
        disk.set_room(Some(3_000));
        let draft = pushed(&disk, 500);
        assert!(matches!(draft.sheet, Sheet::GivenUp(_)));
        assert_eq!(disk.list().expect("listed"), Vec::<String>::new());
        disk.set_room(None);
        draft.finish(&*disk, 9, 100_000).expect_err("given up");
        assert_eq!(disk.list().expect("listed"), Vec::<String>::new());
    }
}
