//! Walking over a segment record by record, past whatever is broken.
//!
//! Behind bad bytes the walk goes on at the next header that passes its check. The header after a
//! single lost record tells that record's slot; where more is lost, only a hint can.

use kvcore::planted::{self, Bug};
use std::{io, ops::Range, sync::Arc};

use super::{
    disk::DiskFile,
    frame::{HEADER_BYTES, Header, Kind, MAGIC, Previous, Salt},
    recovery::Damage,
    room,
    sectors::read_around,
    segment::HEAD_BYTES,
};

/// Bytes read at once.
const READ_BYTES: usize = 1024 * 1024;

/// A walk over the records of one segment's file.
#[derive(Debug)]
pub(super) struct Walk<F> {
    file: Arc<F>,
    salt: Salt,
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
    previous: Previous,
    footer_seen: bool,
    /// Where room begins that was never written over.
    room: u64,
    /// Bytes met so far that the disk cannot read, in order.
    unreadable: Vec<Range<u64>>,
}

/// What the walk meets.
#[derive(Debug)]
pub(super) enum Step<'w> {
    /// A good record.
    Record {
        /// Its first byte.
        offset: u64,
        /// Its header.
        header: Header,
        /// Its body.
        body: &'w [u8],
    },
    /// Bytes that are no record; rare, and kept apart so that records stay short.
    Bad(Box<Bad>),
}

/// Bytes that are no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    /// Where.
    pub range: Range<u64>,
    /// The slots whose records they may have held, as far as records around tell.
    pub slots: Damage,
    /// What is wrong.
    pub flaw: Flaw,
}

/// What is wrong with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The file ends within a record. A file that was synced does not get shorter: what is
    /// missing was never durable.
    CutShort,
    /// The header does not pass its check.
    Header,
    /// The body does not pass its check.
    Body,
    /// There is something behind the footer.
    BehindFooter,
    /// Some of them were never written: room that was made ahead. A sync would have written them,
    /// so what should be there was never durable.
    Unwritten,
    /// The disk cannot read some of them.
    Unreadable,
}

impl Flaw {
    /// In words.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::CutShort => "the file ends within a record",
            Self::Header => "no record header passes its check",
            Self::Body => "the body of a record does not pass its check",
            Self::BehindFooter => "there are bytes behind the footer",
            Self::Unwritten => "a record was not written to its end",
            Self::Unreadable => "the disk cannot read them",
        }
    }
}

impl<F: DiskFile> Walk<F> {
    /// A walk over the records between the head and `end`.
    pub(super) fn new(file: Arc<F>, salt: Salt, end: u64) -> Self {
        Self {
            file,
            salt,
            position: HEAD_BYTES as u64,
            end,
            buffer: Vec::new(),
            buffer_start: 0,
            previous: Previous::default(),
            footer_seen: false,
            room: end,
            unreadable: Vec::new(),
        }
    }

    /// The same, over a file that has room from there on.
    pub(super) fn before_room(mut self, room: u64) -> Self {
        self.room = room;
        self
    }

    /// Where it stands: behind what it gave.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next record or bad range; `None` at the end.
    pub(super) fn step(&mut self) -> io::Result<Option<Step<'_>>> {
        self.step_checking(|_| true)
    }

    /// The same, where only the bodies that are asked for have to pass their check.
    pub(super) fn step_checking(
        &mut self,
        wants: impl FnOnce(&Header) -> bool,
    ) -> io::Result<Option<Step<'_>>> {
        let start = self.position;
        let left = self.end.saturating_sub(start);
        if left == 0 || start >= self.room {
            return Ok(None);
        }
        if self.footer_seen {
            return Ok(Some(Step::Bad(self.bad(
                self.end,
                Damage::None,
                Flaw::BehindFooter,
            ))));
        }
        if left < HEADER_BYTES as u64 {
            self.look_at_rest()?;
            return Ok(Some(Step::Bad(self.bad(
                self.end,
                Damage::All,
                Flaw::CutShort,
            ))));
        }
        let salt = self.salt;
        let Some(header) = Header::parse(self.bytes(start, HEADER_BYTES)?, salt, start) else {
            let header = self.bytes(start, HEADER_BYTES)?;
            let flaw = if room::is_left_in(salt, start, header) {
                Flaw::Unwritten
            } else {
                Flaw::Header
            };
            return self.resynchronise(flaw).map(|bad| Some(Step::Bad(bad)));
        };
        let slots = || header.slot.map_or(Damage::None, Damage::of);
        let record_end = start + u64::from(header.record_bytes());
        if record_end > self.end {
            self.look_at_rest()?;
            return Ok(Some(Step::Bad(self.bad(self.end, slots(), Flaw::CutShort))));
        }
        self.previous = header.as_previous();
        let record = self.bytes(start, header.record_bytes() as usize)?;
        let is_accepted = !wants(&header)
            || header.accepts(&record[HEADER_BYTES..])
            || planted::is(Bug::TornTailUnchecked);
        let is_left = !is_accepted && room::is_left_in(salt, start, record);
        // Zeros stand in for what cannot be read, and may happen to be right.
        if !is_accepted || self.is_unreadable(&(start..record_end)) {
            let flaw = if is_left { Flaw::Unwritten } else { Flaw::Body };
            return Ok(Some(Step::Bad(self.bad(record_end, slots(), flaw))));
        }
        self.position = record_end;
        self.footer_seen = header.kind == Kind::Footer;
        let body = self.buffered(start + HEADER_BYTES as u64, header.body_bytes as usize);
        Ok(Some(Step::Record {
            offset: start,
            header,
            body,
        }))
    }

    /// The last record that was good, as a next one would name it.
    pub(super) fn previous(&self) -> Previous {
        self.previous
    }

    fn bad(&mut self, end: u64, slots: Damage, flaw: Flaw) -> Box<Bad> {
        let range = self.position..end;
        let flaw = if self.is_unreadable(&range) {
            Flaw::Unreadable
        } else {
            flaw
        };
        self.position = end;
        Box::new(Bad { range, slots, flaw })
    }

    /// Whether the disk could not read any of these bytes, as far as they were read.
    fn is_unreadable(&self, range: &Range<u64>) -> bool {
        let touches = |lost: &Range<u64>| lost.start < range.end && range.start < lost.end;
        self.unreadable.iter().rev().any(touches)
    }

    /// Reads up to the end only to know whether the disk can.
    fn look_at_rest(&mut self) -> io::Result<()> {
        let left = usize::try_from(self.end - self.position).map_err(io::Error::other)?;
        self.bytes(self.position, left)?;
        Ok(())
    }

    /// Passes the bytes up to the next header that can be trusted.
    fn resynchronise(&mut self, flaw: Flaw) -> io::Result<Box<Bad>> {
        let (start, salt, end) = (self.position, self.salt, self.room);
        let mut at = start + 1;
        while at + HEADER_BYTES as u64 <= end {
            let window = usize::try_from(end - at).map_or(READ_BYTES, |n| n.min(READ_BYTES));
            let file_end = self.end;
            let bytes = self.bytes(at, window)?;
            let found = (0..=window - HEADER_BYTES).find_map(|skip| {
                if bytes[skip..skip + 2] != MAGIC {
                    return None;
                }
                let offset = at + skip as u64;
                let header = Header::parse(&bytes[skip..], salt, offset)?;
                (offset + u64::from(header.record_bytes()) <= file_end).then_some((offset, header))
            });
            if let Some((offset, header)) = found {
                let single = offset - start == u64::from(header.previous.bytes);
                let slots = match header.previous.slot {
                    _ if !single => Damage::All,
                    Some(slot) => Damage::of(slot),
                    None => Damage::None,
                };
                return Ok(self.bad(offset, slots, flaw));
            }
            at += (window - HEADER_BYTES + 1) as u64;
        }
        Ok(self.bad(end, Damage::All, flaw))
    }

    /// These bytes of the file, which lie before the end.
    fn bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let buffered = self.buffer_start..self.buffer_start + self.buffer.len() as u64;
        if offset < buffered.start || offset + length as u64 > buffered.end {
            let left = usize::try_from(self.end - offset).unwrap_or(usize::MAX);
            self.buffer.resize(left.min(length.max(READ_BYTES)), 0);
            self.buffer_start = offset;
            match read_around(&*self.file, offset, &mut self.buffer) {
                Ok(lost) => self.unreadable.extend(lost),
                Err(error) => {
                    self.buffer.clear();
                    return Err(error);
                }
            }
        }
        Ok(self.buffered(offset, length))
    }

    /// These bytes of the file, which were read before.
    fn buffered(&self, offset: u64, length: usize) -> &[u8] {
        let start = usize::try_from(offset - self.buffer_start).expect("within the buffer");
        &self.buffer[start..start + length]
    }
}
