//! What files there are, and whose.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use super::super::{
    OpenError, SegmentId,
    disk::{Disk, DiskFile},
    frame::{HEADER_BYTES, Salt},
    sectors::read_around,
    segment::{FORMAT, HEAD_BYTES, Head, HeadState, Name, hint_name, segment_name},
    walk::{Step, Walk},
};

/// The files of a log.
#[derive(Debug)]
pub(super) struct Inventory {
    /// The log's id; `None` when no head tells it.
    pub log: Option<u128>,
    /// Why the log cannot be opened, unless its records can be read without any head.
    pub headless: Option<OpenError>,
    /// The segments.
    pub segments: BTreeMap<SegmentId, Found>,
    /// The segments that have hints.
    pub hints: BTreeSet<SegmentId>,
    /// Files that were not finished.
    pub unfinished: Vec<String>,
}

/// A segment's file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Its bytes.
    pub length: u64,
    /// What it begins with.
    pub head: HeadState,
    /// Whether the disk cannot read that.
    pub is_unreadable: bool,
}

/// An [`OpenError::Io`].
pub(super) fn failed(action: &'static str, name: &str) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io {
        action,
        name: name.to_owned(),
        source,
    }
}

/// Most bytes that a segment has before its first batch: a head, a roster that names at most all
/// segments up to its own, a mark.
pub(super) fn creation_bytes_max(id: SegmentId) -> u64 {
    (HEAD_BYTES + 2 * HEADER_BYTES + 8) as u64 + 4 * u64::from(id.0)
}

impl Inventory {
    /// Lists the directory and reads every head.
    pub(super) fn take<D: Disk>(disk: &D) -> Result<Self, OpenError> {
        let mut inventory = Self {
            log: None,
            headless: None,
            segments: BTreeMap::new(),
            hints: BTreeSet::new(),
            unfinished: Vec::new(),
        };
        for name in disk.list().map_err(failed("list", "the directory"))? {
            match Name::parse(&name) {
                Name::Segment(id) => {
                    let found = Found::read(disk, &name)?;
                    inventory.segments.insert(id, found);
                }
                Name::Hint(id) => {
                    inventory.hints.insert(id);
                }
                Name::Unfinished => inventory.unfinished.push(name),
                Name::Foreign => {
                    let reason = "the log gives no such name".to_owned();
                    return Err(OpenError::Foreign { name, reason });
                }
                Name::Other => {}
            }
        }
        inventory.identify()?;
        Ok(inventory)
    }

    /// Finds the log's id, the same in every head.
    fn identify(&mut self) -> Result<(), OpenError> {
        for (&id, found) in &self.segments {
            let name = segment_name(id);
            match found.head {
                HeadState::UnknownFormat(found) => {
                    let known = FORMAT;
                    return Err(OpenError::UnknownFormat { name, found, known });
                }
                HeadState::Good(head, _) if head.segment != id => {
                    let reason = format!("its head says segment {}", head.segment);
                    return Err(OpenError::Foreign { name, reason });
                }
                HeadState::Good(head, _) if self.log.is_some_and(|log| log != head.log) => {
                    let reason = "its head names another log than the segments before".to_owned();
                    return Err(OpenError::Foreign { name, reason });
                }
                HeadState::Good(head, _) => self.log = Some(head.log),
                HeadState::Bad => {}
            }
        }
        if self.log.is_some() {
            return Ok(());
        }
        // Without any head there is either no log, or one whose first segment was being made.
        let first = SegmentId(1);
        let being_made = |(&id, found): (&SegmentId, &Found)| {
            id == first && found.length <= creation_bytes_max(first)
        };
        self.headless = match self.segments.iter().find(|&segment| !being_made(segment)) {
            // Another disk controller, or a copy of the disk, may yet read it.
            Some((&id, found)) if found.is_unreadable => {
                let source = rustix::io::Errno::IO.into();
                Some(failed("read the head of", &segment_name(id))(source))
            }
            Some((&id, _)) => Some(OpenError::Unreadable {
                name: segment_name(id),
            }),
            None => self.hints.first().map(|&id| OpenError::Unreadable {
                name: hint_name(id),
            }),
        };
        Ok(())
    }

    /// The log's id: what the heads say, else the given one if records bear it out. A wrong one
    /// would make every record look torn, and what is torn is cut.
    pub(super) fn log_id<D: Disk>(&mut self, disk: &D, given: u128) -> Result<u128, OpenError> {
        let Some(error) = self.headless.take() else {
            return Ok(self.log.unwrap_or(given));
        };
        for (&id, found) in &self.segments {
            let name = segment_name(id);
            let file = disk.open_read(&name).map_err(failed("open", &name))?;
            let mut walk = Walk::new(Arc::new(file), Salt::new(given, id), found.length);
            while let Some(step) = walk.step().map_err(failed("read", &name))? {
                if matches!(step, Step::Record { .. }) {
                    return Ok(given);
                }
            }
        }
        Err(error)
    }
}

impl Found {
    fn read<D: Disk>(disk: &D, name: &str) -> Result<Self, OpenError> {
        let file = disk.open_read(name).map_err(failed("open", name))?;
        let length = file.length().map_err(failed("measure", name))?;
        let mut head = [0; HEAD_BYTES];
        let size = usize::try_from(length).map_or(HEAD_BYTES, |length| length.min(HEAD_BYTES));
        let lost = read_around(&file, 0, &mut head[..size]).map_err(failed("read", name))?;
        if length > u64::from(u32::MAX) {
            let reason = "it is larger than any segment".to_owned();
            let name = name.to_owned();
            return Err(OpenError::Foreign { name, reason });
        }
        Ok(Self {
            length,
            head: Head::parse(&head[..size]),
            is_unreadable: !lost.is_empty(),
        })
    }
}
