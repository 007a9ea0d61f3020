//! What still lives in a segment that was read to its end: it lies where nothing could be read.
//!
//! What memory has of it is written again from there. The rest is lost here, and fetched from the
//! other copies. All slots are searched, a few in each step, since bytes that cannot be read do
//! not tell whose they are.

use kvcore::{key::Key, limits::SLOTS, slot::Slot, version::UnixMillis};

use super::{
    super::{held::Held, shelf::Shelf, writer::Writer},
    Compaction, Moved, Owner,
};
use crate::{
    limits::{COMPACTION_STEP_BYTES, SWEEP_SLOTS},
    log::{AppendError, Entry, Location, ReadError, SegmentId, disk::Disk},
};

/// One log record that could not be read.
struct Unread {
    owner: Owner,
    from: Location,
    /// What memory has of it.
    entry: Option<Entry>,
}

/// Why a sweep cannot go on now.
enum Halt {
    /// The log takes no more at the moment.
    Full(AppendError),
    /// Files cannot be read at all, which says nothing about what is in them.
    Reading(ReadError),
}

impl<D: Disk> Writer<D> {
    /// Searches some slots; true when there is more to do.
    pub(super) fn sweep_step(&mut self, mut compaction: Compaction<D>, now: UnixMillis) -> bool {
        let segment = compaction.segment;
        let first = compaction.sweep.unwrap_or(0);
        let slots = u16::try_from(SLOTS).expect("1024 slots");
        let (mut next, mut moved, mut bytes) = (first, Vec::new(), 0);
        while next < slots.min(first + SWEEP_SLOTS) && bytes < COMPACTION_STEP_BYTES {
            let slot = Slot::new(next).expect("it is less than their number");
            let unread = self.unread_in_slot(slot, segment);
            match self.save(unread, &mut moved, &mut bytes) {
                // What was moved is not found again: the same slot once more is no harm.
                Err(Halt::Full(_)) if !moved.is_empty() => break,
                Err(Halt::Full(error)) => {
                    self.wait_with_compaction(&error, now);
                    return false;
                }
                Err(Halt::Reading(error)) => {
                    tracing::error!(%error, %segment, "not compacted now");
                    self.bar(segment, now);
                    return self.commit_moved(moved, now);
                }
                Ok(()) => next += 1,
            }
        }
        if next == slots {
            let unread = self.unread_uploads(segment);
            if self.save(unread, &mut moved, &mut bytes).is_err() {
                next -= 1;
            }
        }
        if !self.commit_moved(moved, now) {
            return false;
        }
        if next == slots {
            return self.retire(segment, now);
        }
        compaction.sweep = Some(next);
        self.compaction = Some(compaction);
        true
    }

    /// Appends what can be had, and loses the rest.
    fn save(
        &mut self,
        unread: Vec<Unread>,
        moved: &mut Vec<Moved>,
        bytes: &mut u64,
    ) -> Result<(), Halt> {
        for Unread { owner, from, entry } in unread {
            let read = entry.map_or_else(|| self.log.reader().read(from), Ok);
            match read {
                Ok(entry) => {
                    let to = self.log.append(&entry).map_err(Halt::Full)?;
                    *bytes += u64::from(from.length);
                    moved.push(Moved { owner, from, to });
                }
                Err(ReadError::Damaged(_)) => self.lose(&owner, from),
                Err(error) => return Err(Halt::Reading(error)),
            }
        }
        Ok(())
    }

    fn lose(&mut self, owner: &Owner, from: Location) {
        let key = match owner {
            Owner::Record(key) => Some(key.clone()),
            Owner::Chunk(upload, _) if self.staging.has(*upload) => {
                // Nothing was promised for it: who sends the record is told to send the chunks.
                let dropped = self.staging.take(*upload);
                for location in dropped.into_iter().flat_map(|large| large.locations) {
                    self.log.release(location);
                }
                None
            }
            Owner::Chunk(upload, _) => self.large.get(upload).cloned(),
        };
        if let Some(key) = key {
            tracing::error!(%key, segment = %from.segment, "a stored value is lost here");
            self.shelves.lose(&key, from);
        }
    }

    fn unread_in_slot(&self, slot: Slot, segment: SegmentId) -> Vec<Unread> {
        let shelf = self.shelves.read(slot);
        let mut cursor = shelf.trie.scan_prefix(&[], None);
        let mut unread = Vec::new();
        while let Some((key, packed)) = cursor.next_entry() {
            let held = Held::unpack(packed);
            if shelf.locations(&held).any(|at| at.segment == segment) {
                let key = Key::copy_from(key).expect("only keys are stored");
                unread_of(&shelf, &key, &held, segment, &mut unread);
            }
        }
        unread
    }

    fn unread_uploads(&self, segment: SegmentId) -> Vec<Unread> {
        let chunks = self.staging.chunks();
        let there = chunks.filter(|(_, _, _, chunk)| chunk.location.segment == segment);
        there
            .map(|(upload, slot, index, chunk)| Unread {
                owner: Owner::Chunk(upload, index),
                from: chunk.location,
                entry: chunk.bytes.clone().map(|bytes| Entry::Chunk {
                    upload,
                    slot,
                    index,
                    bytes,
                }),
            })
            .collect()
    }
}

/// The parts of one record that lie in the segment.
fn unread_of(
    shelf: &Shelf,
    key: &Key,
    held: &Held<'_>,
    segment: SegmentId,
    unread: &mut Vec<Unread>,
) {
    if held.location.segment == segment {
        unread.push(Unread {
            owner: Owner::Record(key.clone()),
            from: held.location,
            entry: held.record().map(|record| Entry::Record {
                key: key.clone(),
                record,
            }),
        });
    }
    let Some((upload, large)) = held
        .upload()
        .and_then(|upload| Some((upload, shelf.large(upload)?)))
    else {
        return;
    };
    for (index, &from) in (0u32..).zip(&large.locations) {
        if from.segment != segment {
            continue;
        }
        let bytes = large.bytes.as_ref().map(|all| all[index as usize].clone());
        unread.push(Unread {
            owner: Owner::Chunk(upload, index),
            from,
            entry: bytes.map(|bytes| Entry::Chunk {
                upload,
                slot: key.slot(),
                index,
                bytes,
            }),
        });
    }
}
