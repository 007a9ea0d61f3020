//! Reading records, from any thread, while the writer appends.

use std::{collections::BTreeMap, io, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    Entry, Location, SegmentId,
    disk::{Disk, DiskFile},
    error::ReadError,
    frame::{BODY_BYTES_MAX, HEADER_BYTES, Header, Salt},
    recovery::{Damage, DamagedRange},
    sectors::is_unreadable,
    segment::segment_name,
    walk::{Bad, Step, Walk},
};

/// Most files kept open for reading: far below the usual limit of descriptors, and 32 GiB of
/// segments at their default size.
const OPEN_FILES_MAX: usize = 512;

/// The files of one log.
#[derive(Debug)]
pub(super) struct Files<D: Disk> {
    pub(super) disk: Arc<D>,
    /// The log's id.
    pub(super) log: u128,
    /// Held to look up or change the map and to open a file, never while reading one.
    open: Mutex<BTreeMap<SegmentId, Arc<D::File>>>,
}

impl<D: Disk> Files<D> {
    /// No file is open yet.
    pub(super) fn new(disk: Arc<D>, log: u128) -> Self {
        Self {
            disk,
            log,
            open: Mutex::new(BTreeMap::new()),
        }
    }

    /// The salt of a segment's header checks.
    pub(super) fn salt(&self, segment: SegmentId) -> Salt {
        Salt::new(self.log, segment)
    }

    /// The file of a segment, opened if it is not.
    pub(super) fn get(&self, segment: SegmentId) -> Result<Arc<D::File>, ReadError> {
        let mut open = self.open.lock();
        if let Some(file) = open.get(&segment) {
            return Ok(Arc::clone(file));
        }
        // Under the lock, though it is a system call: it is one for a segment, and a file that was
        // removed meanwhile would stay in the map, and its space taken, for good.
        let opened = self.disk.open_read(&segment_name(segment));
        let file = Arc::new(opened.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ReadError::Gone(segment),
            _ => ReadError::Io { segment, source },
        })?);
        if open.len() >= OPEN_FILES_MAX {
            // The oldest segment: compaction takes old ones first, new ones are read most.
            open.pop_first();
        }
        open.insert(segment, Arc::clone(&file));
        Ok(file)
    }

    /// Closes the file of a segment that was removed, once its readers are done.
    pub(super) fn forget(&self, segment: SegmentId) {
        self.open.lock().remove(&segment);
    }
}

/// Reads records of the log by their location; cheap to clone.
#[derive(Debug)]
pub struct LogReader<D: Disk>(pub(super) Arc<Files<D>>);

impl<D: Disk> Clone for LogReader<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Disk> LogReader<D> {
    /// The entry at a location that was committed. Only what is no good twice is damaged.
    pub fn read(&self, location: Location) -> Result<Entry, ReadError> {
        match self.read_once(location) {
            Err(ReadError::Damaged(_)) => self.read_once(location),
            read => read,
        }
    }

    fn read_once(&self, location: Location) -> Result<Entry, ReadError> {
        let Location {
            segment,
            offset,
            length,
        } = location;
        let offset = u64::from(offset);
        let damaged = |slots, reason| {
            let range = offset..offset + u64::from(length);
            ReadError::Damaged(Box::new(DamagedRange {
                segment,
                range,
                slots,
                reason,
            }))
        };
        let sizes = HEADER_BYTES..=HEADER_BYTES + BODY_BYTES_MAX;
        if !sizes.contains(&(length as usize)) {
            return Err(damaged(Damage::None, "no record has this length"));
        }
        let file = self.0.get(segment)?;
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(offset, &mut bytes)
            .map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => damaged(Damage::All, "the file ends before"),
                _ if is_unreadable(&source) => damaged(Damage::All, "the disk cannot read them"),
                _ => ReadError::Io { segment, source },
            })?;
        let bytes = Bytes::from(bytes);
        let header = Header::parse(&bytes, self.0.salt(segment), offset)
            .filter(|header| header.record_bytes() == length)
            .ok_or_else(|| damaged(Damage::All, "the header does not pass its check"))?;
        let body = bytes.slice(HEADER_BYTES..);
        let slots = || header.slot.map_or(Damage::None, Damage::of);
        if !header.accepts(&body) {
            return Err(damaged(slots(), "the body does not pass its check"));
        }
        header
            .slot
            .and_then(|slot| Entry::from_body(header.kind, slot, &body))
            .ok_or_else(|| damaged(slots(), "the record holds no entry"))
    }
}

/// The entries of one segment in order.
///
/// After [`ReadError::Damaged`] it goes on behind the damage; a segment that gave one must not be
/// retired before its slots were repaired. After [`ReadError::Io`] it ends.
#[derive(Debug)]
pub struct SegmentScan<D: Disk> {
    segment: SegmentId,
    walk: Option<Walk<D::File>>,
}

impl<D: Disk> SegmentScan<D> {
    /// A scan of the first `end` bytes of a segment.
    pub(super) fn new(files: &Files<D>, segment: SegmentId, end: u64) -> Result<Self, ReadError> {
        let file = files.get(segment)?;
        Ok(Self {
            segment,
            walk: Some(Walk::new(file, files.salt(segment), end)),
        })
    }
}

impl<D: Disk> Iterator for SegmentScan<D> {
    type Item = Result<(Location, Entry), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let segment = self.segment;
        loop {
            let (offset, header, body) = match self.walk.as_mut()?.step() {
                Ok(None) => return None,
                Ok(Some(Step::Bad(bad))) => {
                    return Some(Err(ReadError::Damaged(Box::new(bad.at(segment)))));
                }
                Ok(Some(Step::Record {
                    offset,
                    header,
                    body,
                })) => (offset, header, Bytes::copy_from_slice(body)),
                Err(source) => {
                    self.walk = None;
                    return Some(Err(ReadError::Io { segment, source }));
                }
            };
            let Some(slot) = header.slot else { continue };
            let location = location(segment, offset, &header);
            return Some(match Entry::from_body(header.kind, slot, &body) {
                Some(entry) => Ok((location, entry)),
                None => Err(ReadError::Damaged(Box::new(no_entry(location, &header)))),
            });
        }
    }
}

/// Where the walk met a record.
pub(super) fn location(segment: SegmentId, offset: u64, header: &Header) -> Location {
    Location {
        segment,
        offset: u32::try_from(offset).expect("segments are limited"),
        length: header.record_bytes(),
    }
}

/// A record that passes its checks and still makes no sense: another program wrote it.
pub(super) fn no_entry(location: Location, header: &Header) -> DamagedRange {
    let start = u64::from(location.offset);
    DamagedRange {
        segment: location.segment,
        range: start..start + u64::from(location.length),
        slots: header.slot.map_or(Damage::None, Damage::of),
        reason: "the record holds no entry",
    }
}

impl Bad {
    /// As damage of a segment.
    pub(super) fn at(self, segment: SegmentId) -> DamagedRange {
        DamagedRange {
            segment,
            range: self.range,
            slots: self.slots,
            reason: self.flaw.reason(),
        }
    }
}
