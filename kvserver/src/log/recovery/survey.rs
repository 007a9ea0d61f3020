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
    pub(super) fn take<F: DiskFile>(file: Arc<F>, salt: Salt, length: u64) -> io::Result<Self> {
        let written = room::begins(&*file, salt, length)?;
        let mut walk = Walk::new(file, salt, length).before_room(written);
        let mut survey = Self {
            blank: true,
            written,
            ..Self::default()
        };
        // Bad bytes that no later mark has called durable yet.
        let mut open: Vec<(Bad, Point)> = Vec::new();
        while let Some(step) = walk.step()? {
            match step {
                Step::Bad(bad) => {
                    // What the disk cannot read may be anything.
                    survey.blank &= bad.flaw != Flaw::Unreadable;
                    open.push((bad, survey.end));
                }
                Step::Record {
                    offset,
                    header,
                    body,
                } => {
                    survey.note(offset, header.kind, &body);
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
