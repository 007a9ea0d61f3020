//! Reading records, from any thread, while the writer appends.

use std::{marker::PhantomData, sync::Arc};

use super::{Entry, Location, disk::Disk, error::ReadError};

/// Reads records of the log by their location; cheap to clone.
#[derive(Debug)]
pub struct LogReader<D: Disk> {
    disk: Arc<D>,
}

impl<D: Disk> Clone for LogReader<D> {
    fn clone(&self) -> Self {
        Self {
            disk: Arc::clone(&self.disk),
        }
    }
}

impl<D: Disk> LogReader<D> {
    /// The entry at a location that was committed.
    pub fn read(&self, _location: Location) -> Result<Entry, ReadError> {
        todo!()
    }
}

/// The entries of one sealed segment in order.
///
/// After [`ReadError::Damaged`] it goes on behind the damage; a segment that gave one must not be
/// retired before its slots were repaired. After [`ReadError::Io`] it ends.
#[derive(Debug)]
pub struct SegmentScan<D: Disk>(PhantomData<D>);

impl<D: Disk> Iterator for SegmentScan<D> {
    type Item = Result<(Location, Entry), ReadError>;
    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}
