//! What the newest segments say of the log: marks, roster, retirements, and where it ends.

use std::{io, sync::Arc};

use super::super::{
    SegmentId,
    control::{self, Mark, Occasion},
    disk::DiskFile,
    frame::{Kind, Previous, Salt},
    recovery::inventory::{Found, creation_bytes_max},
    room,
    segment::HeadState,
    walk::{Bad, Flaw, Step, Walk},
};

/// What one segment says of the log.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The segments of the log when it was made.
    pub roster: Option<Vec<SegmentId>>,
    /// Segments that left the log since, and where that stands.
    retired: Vec<(u64, SegmentId)>,
    /// Every byte below was durable.
    pub durable: u64,
    /// Whether it has a footer.
    pub sealed: bool,
    /// Whether every record follows the one before.
    is_plain: bool,
    /// Behind the first byte of the last entry whose body was not checked.
    unchecked: u64,
    /// Whether nothing but what segments are created with was found, nor can be hidden.
    blank: bool,
    /// Bad bytes at or above `durable`, and how the log stood before them.
    torn: Option<(Bad, Point)>,
    /// How the log stands at the end.
    end: Point,
    /// Where that is.
    stops: u64,
    /// Where room begins that was never written over: the file's length if it has none.
    pub written: u64,
}

/// Which bodies are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bodies {
    /// Those of the records of the log about itself.
    OfControl,
    /// All.
    All,
}

/// How the log stands at some place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Point {
    /// The last mark before.
    pub mark: Option<Mark>,
    /// The last record before.
    pub previous: Previous,
    /// Whether that is the mark.
    pub ends_with_mark: bool,
}

/// How a segment ends if it is the last one.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// Where the bytes to keep end.
    pub kept: u64,
    /// How the log stands there.
    pub point: Point,
    /// What is wrong with the bytes behind, if there are any.
    pub flaw: Option<Flaw>,
}

impl Survey {
    /// Reads the whole segment.
    ///
    /// What entries hold tells nothing of the log, and is looked at only if they may be torn: where
    /// every header follows the one before, and what was durable ends behind the last entry, a bad
    /// body is damage, and is found when the entries are handed out.
    pub(super) fn take<F: DiskFile>(file: &Arc<F>, salt: Salt, length: u64) -> io::Result<Self> {
        let written = room::begins(&**file, salt, length)?;
        let by_headers = Self::read(file, salt, (length, written), Bodies::OfControl)?;
        if by_headers.is_plain && by_headers.unchecked <= by_headers.durable {
            return Ok(by_headers);
        }
        Self::read(file, salt, (length, written), Bodies::All)
    }

    fn read<F: DiskFile>(
        file: &Arc<F>,
        salt: Salt,
        (length, written): (u64, u64),
        checked: Bodies,
    ) -> io::Result<Self> {
        let mut walk = Walk::new(Arc::clone(file), salt, length).before_room(written);
        let mut survey = Self {
            blank: true,
            is_plain: true,
            written,
            ..Self::default()
        };
        // Bad bytes that no later mark has called durable yet.
        let mut open: Vec<(Bad, Point)> = Vec::new();
        loop {
            // Until there is an entry that is good, the segment may be one that was being made.
            let checks_all = checked == Bodies::All || survey.blank;
            let Some(step) = walk.step_checking(|header| checks_all || !header.kind.has_slot())?
            else {
                break;
            };
            match step {
                Step::Bad(bad) => {
                    survey.is_plain = false;
                    // What the disk cannot read may be anything.
                    survey.blank &= bad.flaw != Flaw::Unreadable;
                    open.push((*bad, survey.end));
                }
                Step::Record {
                    offset,
                    header,
                    body,
                } => {
                    if !checks_all && header.kind.has_slot() {
                        survey.unchecked = offset + 1;
                    }
                    survey.note(offset, header.kind, body);
                    open.retain(|(bad, _)| bad.range.start >= survey.durable);
                }
            }
            survey.end.previous = walk.previous();
        }
        // A walk begins behind the head, which may not be whole.
        survey.stops = walk.position().min(length);
        survey.torn = open.into_iter().next();
        Ok(survey)
    }

    fn note(&mut self, offset: u64, kind: Kind, body: &[u8]) {
        self.end.ends_with_mark = false;
        match kind {
            Kind::Roster => {
                let roster = self.roster.get_or_insert_default();
                roster.extend(control::segments(body));
            }
            Kind::Retired => {
                let retired = control::segments(body).map(|segment| (offset, segment));
                self.retired.extend(retired);
            }
            Kind::Mark => {
                let mark = Mark::from_body(body).filter(|mark| u64::from(mark.durable) <= offset);
                let Some(mark) = mark else { return };
                self.durable = self.durable.max(u64::from(mark.durable));
                self.end.mark = Some(mark);
                self.end.ends_with_mark = true;
                self.blank &= mark.occasion == Occasion::Created;
            }
            Kind::Footer => {
                // It was written after a sync of everything before it.
                self.durable = self.durable.max(offset);
                self.sealed = true;
            }
            Kind::Record | Kind::Chunk => {}
        }
        self.blank &= matches!(kind, Kind::Roster | Kind::Mark);
    }

    /// Whether the segment was being made when the log stopped, so that nothing was ever in it.
    pub(super) fn is_unfinished(&self, id: SegmentId, found: &Found) -> bool {
        let whole = matches!(found.head, HeadState::Good(..))
            && self.roster.is_some()
            && self.end.mark.is_some();
        self.blank && !whole && found.length <= creation_bytes_max(id)
    }

    /// How the segment ends if it is the last one.
    pub(super) fn end(&self) -> End {
        match &self.torn {
            Some((bad, point)) => End {
                kept: bad.range.start,
                point: *point,
                flaw: Some(bad.flaw),
            },
            None => End {
                kept: self.stops,
                point: self.end,
                flaw: None,
            },
        }
    }

    /// The segments that left the log, as far as is told before `end`.
    pub(super) fn retired(&self, end: u64) -> impl Iterator<Item = SegmentId> + '_ {
        let before = self
            .retired
            .iter()
            .filter(move |&&(offset, _)| offset < end);
        before.map(|&(_, segment)| segment)
    }
}

#[cfg(test)]
mod tests {
    use kvcore::{key::Key, record::Record, version::Version};
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;
    use crate::log::{
        Entry, Log, LogOptions, SyncNow,
        disk::{Disk, memory::MemoryDisk},
    };

    const NAME: &str = "segment-0000000001.log";

    /// A segment of random batches, closed, left or cut off by a crash.
    fn segment(random: &mut StdRng) -> MemoryDisk {
        let disk = MemoryDisk::new();
        let options = LogOptions {
            segment_bytes: [4096, 1 << 20][random.random_range(0..2)],
            log_id: 7,
            ..LogOptions::default()
        };
        let opened = Log::open(Arc::new(disk.clone()), options, &mut |_, _| {});
        let (mut log, _) = opened.expect("a new log opens");
        for _ in 0..random.random_range(0..12) {
            for _ in 0..random.random_range(0..6) {
                let key = [b'k'; 90][..random.random_range(1..90)].to_vec();
                let record = Record::tombstone(Version::from_bytes(random.random()));
                let key = Key::new(key).expect("it is short");
                log.append(&Entry::Record { key, record }).expect("it fits");
            }
            let sync = [SyncNow::Yes, SyncNow::No, SyncNow::Later][random.random_range(0..3)];
            log.commit(sync).expect("the disk is whole");
        }
        if random.random_bool(0.4) {
            log.close().expect("the disk is whole");
        } else {
            drop(log);
            if random.random_bool(0.5) {
                disk.crash(random.random());
            }
        }
        disk
    }

    fn told(survey: &Survey) -> String {
        format!(
            "{:?}",
            Survey {
                roster: survey.roster.clone(),
                retired: survey.retired.clone(),
                torn: survey.torn.clone(),
                // How it was read says nothing of the log.
                is_plain: true,
                unchecked: 0,
                ..*survey
            }
        )
    }

    #[test]
    fn headers_tell_what_bodies_would() {
        let mut plain = 0;
        for seed in 0..3_000 {
            let mut random = StdRng::seed_from_u64(seed);
            let disk = segment(&mut random);
            let length = disk.contents(NAME).expect("it is there").len();
            for _ in 0..random.random_range(0..3) {
                let byte = random.random_range(0..length);
                if random.random_bool(0.9) {
                    disk.flip(NAME, byte, random.random());
                } else {
                    disk.lose(NAME, byte);
                }
            }
            let file = Arc::new(disk.open_read(NAME).expect("it is there"));
            let (salt, length) = (Salt::new(7, SegmentId(1)), length as u64);
            let taken = Survey::take(&file, salt, length).expect("the disk answers");
            let written = room::begins(&*file, salt, length).expect("the disk answers");
            let read = Survey::read(&file, salt, (length, written), Bodies::All)
                .expect("the disk answers");
            assert_eq!(told(&taken), told(&read), "seed {seed}");
            plain += u32::from(taken.unchecked > 0);
        }
        assert!(plain > 500, "hardly any was told by its headers: {plain}");
    }
}
