//! Records that the log cannot give back: taken out, counted, and their space released.
//!
//! Whoever reads takes the record out, so that the slot's digests differ from the other copies' and
//! catching up brings it back; until then the slot does not count. What it took up in the log is
//! the writer's, which learns of it here. The segments stay until every slot is repaired: they are
//! what a restart knows the loss by.

use std::sync::atomic::{AtomicU64, Ordering};

use kvcore::{key::Key, wire::Standing};
use parking_lot::Mutex;

use super::{
    shelf::{Former, Shelves},
    writer::Writer,
};
use crate::log::{Location, disk::Disk};

/// What was lost since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Records that were taken out, and whose space is not released yet.
    unreleased: Mutex<Vec<(Key, Former)>>,
    records: AtomicU64,
    met: AtomicU64,
}

impl Losses {
    /// Records that were taken out.
    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Acquire)
    }

    /// Times damage was met, whether it cost a record or not.
    pub(super) fn met(&self) -> u64 {
        self.met.load(Ordering::Relaxed)
    }

    /// Notes that damage was met.
    pub(super) fn meet(&self, times: u64) {
        self.met.fetch_add(times, Ordering::Relaxed);
    }
}

impl Shelves {
    /// Takes a record out that cannot be read at `location`; false if it is not there any more.
    pub(super) fn lose(&self, key: &Key, location: Location) -> bool {
        let mut shelf = self.write(key.slot());
        let held = shelf.get(key.as_bytes());
        if !held.is_some_and(|held| shelf.locations(&held).any(|of| of == location)) {
            return false;
        }
        shelf.standing = Standing::Damaged;
        shelf.damages += 1;
        let taken = self.take(&mut shelf, key.as_bytes());
        let lost = taken.map(|former| (key.clone(), former));
        self.losses.unreleased.lock().extend(lost);
        self.losses.meet(1);
        self.losses.records.fetch_add(1, Ordering::AcqRel);
        true
    }
}

impl<D: Disk> Writer<D> {
    /// Releases what lost records took up in the log. Nothing is pending there.
    pub(super) fn settle_losses(&mut self) {
        let lost = std::mem::take(&mut *self.shelves.losses.unreleased.lock());
        for (key, former) in lost {
            for location in former.locations() {
                self.log.lose(location);
            }
            if let Some(upload) = former.upload {
                let shelf = self.shelves.read(key.slot());
                let now = shelf.get(key.as_bytes());
                // It may have come back meanwhile, under the same upload.
                if now.is_none_or(|now| now.upload() != Some(upload)) {
                    self.large.remove(&upload);
                }
            }
        }
    }
}
