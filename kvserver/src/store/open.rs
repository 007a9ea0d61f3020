//! Opening: the log's records become tries again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use kvcore::{
    key::Key,
    planted::{self, Bug},
    record::{Body, Payload, Record, UploadId},
    slot::Slot,
    status::StorageMode,
    wire::Standing,
};

use super::{
    Store, StoreOptions,
    held::{Content, Held},
    shelf::Shelves,
    staging::{StagedChunk, Staging, is_whole, large},
    writer::{Trouble, Writer},
};
use crate::log::{
    Damage, Location, Log, LogOptions, OpenError, RecoveredEntry, Recovery, disk::Disk,
};

/// A store that was opened.
#[derive(Debug)]
pub struct Opened<D: Disk> {
    /// For reads.
    pub store: Store<D>,
    /// For writes.
    pub writer: Writer<D>,
    /// What the log found.
    pub recovery: Recovery,
}

/// Opens the store in `disk`, made if there is none.
///
/// Slots that damage may touch stand as [`Standing::Damaged`]; where the log cannot say that all
/// it ever acknowledged is there, the others stand as [`Standing::Unsynced`].
pub fn open<D: Disk>(
    disk: Arc<D>,
    options: StoreOptions,
    log_id: u128,
) -> Result<Opened<D>, OpenError> {
    let shelves = Arc::new(Shelves::new());
    let mut rebuild = Rebuild {
        shelves: &shelves,
        mode: options.mode,
        chunks: HashMap::new(),
        large: HashMap::new(),
        dead: Vec::new(),
        incomplete: Damage::None,
    };
    let log_options = LogOptions {
        segment_bytes: options.segment_bytes,
        load_values: options.mode == StorageMode::Memory,
        log_id,
        ..LogOptions::default()
    };
    let (mut log, recovery) = Log::open(disk, log_options, &mut |location, entry| {
        rebuild.visit(location, entry);
    })?;
    rebuild.complete_large();
    let Rebuild {
        large,
        dead,
        incomplete,
        ..
    } = rebuild;
    for location in dead {
        log.release(location);
    }
    shelves.losses.meet(recovery.damaged.len() as u64);
    let damage = recovery.damage.clone().and(&incomplete);
    for slot in Slot::all() {
        shelves.write(slot).standing = if damage.touches(slot) {
            Standing::Damaged
        } else if recovery.intact || planted::is(Bug::DoubtfulVotes) {
            Standing::Voter
        } else {
            Standing::Unsynced
        };
    }
    let store = Store {
        shelves: Arc::clone(&shelves),
        reader: log.reader(),
        mode: options.mode,
    };
    let writer = Writer {
        shelves,
        log,
        staging: Staging::default(),
        large,
        compaction: None,
        barred: Vec::new(),
        options,
        unmarked: false,
        trouble: Trouble::default(),
    };
    Ok(Opened {
        store,
        writer,
        recovery,
    })
}

/// What is known while records are handed out.
struct Rebuild<'a> {
    shelves: &'a Shelves,
    mode: StorageMode,
    chunks: HashMap<UploadId, BTreeMap<u32, StagedChunk>>,
    large: HashMap<UploadId, Key>,
    /// Records that are not needed any more.
    dead: Vec<Location>,
    /// Slots of values whose chunks are not all there.
    incomplete: Damage,
}

impl Rebuild<'_> {
    fn visit(&mut self, location: Location, entry: RecoveredEntry) {
        match entry {
            RecoveredEntry::Record { key, record, .. } => {
                self.visit_record(&key, &record, location);
            }
            RecoveredEntry::Chunk {
                upload,
                index,
                length,
                bytes,
                ..
            } => {
                let length = length as usize;
                let chunk = StagedChunk {
                    location,
                    length,
                    bytes,
                };
                // A chunk that compaction moved comes twice; either has the same bytes.
                let replaced = self.chunks.entry(upload).or_default().insert(index, chunk);
                self.dead.extend(replaced.map(|chunk| chunk.location));
            }
        }
    }

    fn visit_record(&mut self, key: &Key, record: &Record, location: Location) {
        let mut shelf = self.shelves.write(key.slot());
        let held = shelf.get(key.as_bytes());
        let same_chunks = held.is_some_and(|held| !has_other_chunks(&held, record));
        match held.map(|held| (held.version, held.location)) {
            Some((version, _)) if version > record.version => return self.dead.push(location),
            Some((version, from))
                if version == record.version && from.length == location.length && same_chunks =>
            {
                // Moved by compaction: the later place is the one that lasts.
                self.dead.push(from);
                shelf.point(key.as_bytes(), from, location);
                return;
            }
            _ => {}
        }
        let content = match &record.body {
            Body::Tombstone => Content::Tombstone,
            Body::Value {
                meta,
                payload: Payload::Whole(bytes),
            } => match self.mode {
                StorageMode::Memory => Content::InMemory(*meta, bytes),
                StorageMode::Disk => Content::OnDisk(*meta),
            },
            Body::Value {
                meta,
                payload: Payload::Chunked(upload),
            } => {
                // The chunks are brought in when all of them have been seen.
                self.large.insert(*upload, key.clone());
                Content::Large(*meta, *upload)
            }
        };
        let new = Held {
            version: record.version,
            location,
            content,
        };
        let former = self.shelves.replace(&mut shelf, key.as_bytes(), &new, None);
        self.dead.extend(former.map(|former| former.location));
    }

    /// Brings values and their chunks together; chunks that belong to nobody are dead.
    fn complete_large(&mut self) {
        let mut needed = HashMap::new();
        for (upload, key) in std::mem::take(&mut self.large) {
            let mut shelf = self.shelves.write(key.slot());
            let Some(Held {
                location,
                content: Content::Large(meta, current),
                ..
            }) = shelf.get(key.as_bytes())
            else {
                continue;
            };
            if current != upload {
                continue;
            }
            match self.chunks.remove(&upload) {
                Some(chunks) if is_whole(&chunks, &meta) => {
                    self.shelves.complete(&mut shelf, upload, large(chunks));
                    needed.insert(upload, key.clone());
                }
                found => {
                    tracing::error!(%key, "chunks of a value are missing");
                    self.incomplete = std::mem::replace(&mut self.incomplete, Damage::None)
                        .and(&Damage::of(key.slot()));
                    self.shelves.take(&mut shelf, key.as_bytes());
                    self.dead.push(location);
                    let chunks = found.into_iter().flat_map(BTreeMap::into_values);
                    self.dead.extend(chunks.map(|chunk| chunk.location));
                }
            }
        }
        self.large = needed;
        let orphans = self
            .chunks
            .drain()
            .flat_map(|(_, chunks)| chunks.into_values());
        self.dead.extend(orphans.map(|chunk| chunk.location));
    }
}

/// Whether the record's value is in other chunks than the ones held. It was stored again after
/// those were damaged, so the later ones count.
fn has_other_chunks(held: &Held<'_>, record: &Record) -> bool {
    match (held.content, &record.body) {
        (
            Content::Large(_, held),
            Body::Value {
                payload: Payload::Chunked(upload),
                ..
            },
        ) => held != *upload,
        _ => false,
    }
}
