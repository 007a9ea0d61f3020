//! Reading: records, versions, chunks, pages.

use std::collections::BTreeMap;

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::{PAGE_BYTES, PAGE_ENTRIES_MAX, PAGE_VALUE_BYTES_MAX},
    record::{Body, Payload, Record},
    slot::{Slot, SlotSet},
    version::Version,
    wire::{Bucket, BucketSet, Found, Page, PageEntry, Standing, VersionEntry, VersionPage, Want},
};

use super::{Store, held::Held, shelf::Shelf};
use crate::{
    limits::{MOVED_MAX, WALK_KEYS_MAX},
    log::{Entry, Location, ReadError, disk::Disk},
};

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadFailure {
    /// The slot's data may be damaged: it can say neither "absent" nor what is newest.
    #[error("slot {0} is damaged")]
    Damaged(Slot),
    /// The version asked for has been replaced.
    #[error("the version has been replaced")]
    Replaced,
    /// The slot was emptied while its record was being read.
    #[error("slot {0} was emptied")]
    Emptied(Slot),
    /// The disk failed.
    #[error("{0}")]
    Disk(String),
}

/// What a scan asks for.
#[derive(Debug)]
pub struct ScanRequest<'a> {
    /// Only these slots.
    pub slots: &'a SlotSet,
    /// Only keys that start with this.
    pub prefix: &'a [u8],
    /// Only keys above this one.
    pub after: Option<&'a [u8]>,
    /// At most this many entries.
    pub limit: usize,
    /// Values or versions.
    pub want: Want,
}

impl<D: Disk> Store<D> {
    /// The record of a key. In disk mode this reads from the disk.
    ///
    /// A damaged slot shows the records that it still has, for other members to save them; it
    /// never says that there is none.
    pub fn get(&self, key: &Key) -> Result<(Standing, Option<Record>), ReadFailure> {
        for turn in 0..MOVED_MAX {
            let (standing, version, location) = {
                let shelf = self.shelves.read(key.slot());
                let Some(held) = shelf.get(key.as_bytes()) else {
                    return match shelf.standing {
                        Standing::Damaged => Err(ReadFailure::Damaged(key.slot())),
                        // It was there: a delete would have left a tombstone.
                        _ if turn > 0 => Err(ReadFailure::Emptied(key.slot())),
                        standing => Ok((standing, None)),
                    };
                };
                if let Some(record) = held.record() {
                    return Ok((shelf.standing, Some(record)));
                }
                (shelf.standing, held.version, held.location)
            };
            match self.reader.read(location) {
                Ok(Entry::Record {
                    key: stored,
                    record,
                }) if stored == *key && record.version == version => {
                    return Ok((standing, Some(record)));
                }
                Ok(_) => self.damaged(key, location)?,
                Err(error) => self.on_read_error(key, location, &error)?,
            }
        }
        Err(ReadFailure::Disk(
            "compaction moved the record again and again".to_owned(),
        ))
    }

    /// The version of a key's record.
    pub fn version(&self, key: &Key) -> Result<(Standing, Option<Found>), ReadFailure> {
        let shelf = self.readable(key.slot())?;
        Ok((
            shelf.standing,
            shelf.get(key.as_bytes()).map(|held| held.found()),
        ))
    }

    /// The version of a key's record whatever the slot's standing; for catching up.
    pub fn known_version(&self, key: &Key) -> Option<Version> {
        let shelf = self.shelves.read(key.slot());
        shelf.get(key.as_bytes()).map(|held| held.version)
    }

    /// One chunk of a value in chunks.
    pub fn chunk(&self, key: &Key, version: Version, index: u32) -> Result<Bytes, ReadFailure> {
        for _ in 0..MOVED_MAX {
            let location = {
                let shelf = self.shelves.read(key.slot());
                let held = shelf.get(key.as_bytes());
                let held = held.filter(|held| held.version == version);
                let upload = held.and_then(|held| held.upload());
                let Some(large) = upload.and_then(|upload| shelf.large(upload)) else {
                    return Err(ReadFailure::Replaced);
                };
                let index = index as usize;
                if index >= large.locations.len() {
                    return Err(ReadFailure::Replaced);
                }
                if let Some(bytes) = &large.bytes {
                    return Ok(bytes[index].clone());
                }
                large.locations[index]
            };
            match self.reader.read(location) {
                Ok(Entry::Chunk {
                    bytes,
                    index: stored,
                    ..
                }) if stored == index => {
                    return Ok(bytes);
                }
                Ok(_) => self.damaged(key, location)?,
                Err(error) => self.on_read_error(key, location, &error)?,
            }
        }
        Err(ReadFailure::Disk(
            "compaction moved the chunk again and again".to_owned(),
        ))
    }

    fn readable(&self, slot: Slot) -> Result<parking_lot::RwLockReadGuard<'_, Shelf>, ReadFailure> {
        let shelf = self.shelves.read(slot);
        match shelf.standing {
            Standing::Damaged => Err(ReadFailure::Damaged(slot)),
            Standing::Voter | Standing::Unsynced => Ok(shelf),
        }
    }

    /// `Ok` where the record was moved: look it up again.
    fn on_read_error(
        &self,
        key: &Key,
        location: Location,
        error: &ReadError,
    ) -> Result<(), ReadFailure> {
        match error {
            ReadError::Gone(_) => Ok(()),
            ReadError::Damaged(range) => {
                tracing::error!(%key, %range, "a stored value is damaged");
                self.damaged(key, location)
            }
            ReadError::Io { .. } => Err(ReadFailure::Disk(error.to_string())),
        }
    }

    /// Takes the damaged record out; `Ok` where it had left that place: look it up again.
    fn damaged(&self, key: &Key, location: Location) -> Result<(), ReadFailure> {
        if self.shelves.lose(key, location) {
            return Err(ReadFailure::Damaged(key.slot()));
        }
        Ok(())
    }

    /// Keys of several slots in order. Values come along in `Want::Values` where they are small.
    pub fn scan(&self, request: &ScanRequest<'_>) -> Page {
        let limit = request.limit.clamp(1, PAGE_ENTRIES_MAX);
        let mut unanswered = SlotSet::empty();
        let mut lowest = Lowest::new(limit);
        for slot in request.slots.iter() {
            let shelf = self.shelves.read(slot);
            if shelf.standing != Standing::Voter {
                unanswered.insert(slot);
                continue;
            }
            lowest.take_from(&shelf, request);
        }
        let (mut entries, mut more, mut bytes) = (Vec::new(), lowest.cut, 0);
        for (key, found) in lowest.keys {
            if bytes >= PAGE_BYTES {
                more = true;
                break;
            }
            let key = Key::new(key).expect("only keys are stored");
            let value = match (request.want, found) {
                (Want::Values, Found::Value(version)) => self.page_value(&key, version),
                _ => None,
            };
            bytes += key.as_bytes().len() + value.as_ref().map_or(0, |(_, bytes)| bytes.len()) + 48;
            entries.push(PageEntry { key, found, value });
        }
        Page {
            entries,
            more,
            unanswered,
        }
    }

    fn page_value(
        &self,
        key: &Key,
        version: Version,
    ) -> Option<(kvcore::record::ValueMeta, Bytes)> {
        let length = {
            let shelf = self.shelves.read(key.slot());
            shelf.get(key.as_bytes())?.meta()?.length
        };
        if length as usize > PAGE_VALUE_BYTES_MAX {
            return None;
        }
        match self.get(key) {
            Ok((_, Some(record))) if record.version == version => match record.body {
                Body::Value {
                    meta,
                    payload: Payload::Whole(bytes),
                } => Some((meta, bytes)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Keys and versions in some buckets of a slot, whatever its standing; for catching up.
    pub fn versions(&self, slot: Slot, buckets: &BucketSet, after: Option<&[u8]>) -> VersionPage {
        let mut page = VersionPage {
            entries: Vec::new(),
            more: false,
        };
        let (mut bytes, mut after) = (0, after.map(<[u8]>::to_vec));
        'lock: loop {
            let shelf = self.shelves.read(slot);
            let mut cursor = shelf.trie.scan_prefix(&[], after.as_deref());
            let mut passed = 0;
            while let Some((key, packed)) = cursor.next_entry() {
                if buckets.contains(Bucket::of(key)) {
                    if page.entries.len() >= PAGE_ENTRIES_MAX || bytes >= PAGE_BYTES {
                        page.more = true;
                        return page;
                    }
                    bytes += key.len() + 18;
                    page.entries.push(VersionEntry {
                        key: Key::copy_from(key).expect("only keys are stored"),
                        version: Held::unpack(packed).version,
                    });
                }
                passed += 1;
                if passed == WALK_KEYS_MAX {
                    // What changes before the next look is no other than between two pages.
                    after = Some(key.to_vec());
                    continue 'lock;
                }
            }
            return page;
        }
    }
}

/// The lowest keys over several slots.
struct Lowest {
    limit: usize,
    keys: BTreeMap<Vec<u8>, Found>,
    /// Whether keys were left out.
    cut: bool,
}

impl Lowest {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            keys: BTreeMap::new(),
            cut: false,
        }
    }

    fn take_from(&mut self, shelf: &Shelf, request: &ScanRequest<'_>) {
        let mut cursor = shelf.trie.scan_prefix(request.prefix, request.after);
        while let Some((key, packed)) = cursor.next_entry() {
            if self.keys.len() == self.limit {
                let highest = self
                    .keys
                    .last_key_value()
                    .expect("the limit is at least one");
                self.cut = true;
                if key > highest.0.as_slice() {
                    return;
                }
                self.keys.pop_last();
            }
            self.keys.insert(key.to_vec(), Held::unpack(packed).found());
        }
    }
}
