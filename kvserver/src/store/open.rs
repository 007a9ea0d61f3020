//! Opening: the log's records become tries again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    thread::Scope,
};

use bytes::Bytes;
use kvcore::{
    key::Key,
    planted::{self, Bug},
    record::{UploadId, ValueMeta},
    slot::Slot,
    status::StorageMode,
    wire::Standing,
};

use self::{crew::Crew, gather::Gathered};
use super::{
    Store, StoreOptions, ValidFrom,
    held::{Content, Held},
    shelf::Shelves,
    staging::{StagedChunk, Staging, is_whole, large},
    writer::{Pending, Trouble, Writer},
};
use crate::log::{
    Damage, Location, Log, LogOptions, OpenError, Recovered, RecoveredContent, Recovery, disk::Disk,
};

mod crew;
mod gather;
mod share;

pub use self::crew::Opening;

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
///
/// Records below the place from which their slot counts are dead, wherever they are found.
pub fn open<D: Disk>(
    disk: Arc<D>,
    options: StoreOptions,
    log_id: u128,
    valid_from: &ValidFrom,
) -> Result<Opened<D>, OpenError> {
    let shelves = Arc::new(Shelves::new());
    let log_options = LogOptions {
        segment_bytes: options.segment_bytes,
        load_values: options.mode == StorageMode::Memory,
        log_id,
        reaches: valid_from.highest(),
        ..LogOptions::default()
    };
    let (opened, rebuilt) = std::thread::scope(|scope| {
        let mut rebuild = Rebuild::new(scope, &shelves, &options, valid_from);
        let opened = Log::open(disk, log_options, &mut |location, recovered| {
            rebuild.visit(location, &recovered);
        });
        (opened, rebuild.finish())
    });
    let (mut log, recovery) = opened?;
    let Rebuilt {
        large,
        dead,
        incomplete,
    } = rebuilt.completed(&shelves);
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
        compaction_waits: None,
        options,
        unmarked: false,
        trouble: Trouble::default(),
        pending: Pending::default(),
        emptied: Vec::new(),
    };
    Ok(Opened {
        store,
        writer,
        recovery,
    })
}

/// What is known while records are handed out.
struct Rebuild<'scope, 'env> {
    mode: StorageMode,
    valid_from: &'env ValidFrom,
    gathered: Gathered,
    crew: Crew<'scope, 'env>,
    chunks: Chunks,
    /// Chunks that are not needed any more, and whatever slots discarded.
    dead: Vec<Location>,
}

type Chunks = HashMap<UploadId, BTreeMap<u32, StagedChunk>>;

impl<'scope, 'env> Rebuild<'scope, 'env> {
    fn new(
        scope: &'scope Scope<'scope, 'env>,
        shelves: &'env Shelves,
        options: &StoreOptions,
        valid_from: &'env ValidFrom,
    ) -> Self {
        Self {
            mode: options.mode,
            valid_from,
            gathered: Gathered::new(),
            crew: Crew::new(scope, shelves, options.opening),
            chunks: HashMap::new(),
            dead: Vec::new(),
        }
    }

    fn visit(&mut self, location: Location, recovered: &Recovered<'_>) {
        if location.place() < self.valid_from.of(recovered.slot()) {
            self.dead.push(location);
            return;
        }
        match *recovered {
            Recovered::Record {
                key,
                slot,
                version,
                content,
            } => {
                let content = match (content, self.mode) {
                    (RecoveredContent::Tombstone, _) => Content::Tombstone,
                    (RecoveredContent::Whole(meta, payload), StorageMode::Memory) => {
                        Content::InMemory(meta, payload.expect("values are loaded"))
                    }
                    (RecoveredContent::Whole(meta, _), StorageMode::Disk) => Content::OnDisk(meta),
                    (RecoveredContent::Chunked(meta, upload), _) => Content::Large(meta, upload),
                };
                let held = Held {
                    version,
                    location,
                    content,
                };
                if let Some(sheaf) = self.gathered.add(slot, key, &held)
                    && let Some(done) = self.crew.give(sheaf)
                {
                    self.gathered.reuse(done);
                }
            }
            Recovered::Chunk {
                upload,
                index,
                length,
                bytes,
                ..
            } => {
                let chunk = StagedChunk {
                    location,
                    length: length as usize,
                    bytes: bytes.map(Bytes::copy_from_slice),
                };
                // A chunk that compaction moved comes twice; either has the same bytes.
                let replaced = self.chunks.entry(upload).or_default().insert(index, chunk);
                self.dead.extend(replaced.map(|chunk| chunk.location));
            }
        }
    }

    /// Waits until every record is in its trie.
    fn finish(mut self) -> Unfinished {
        let share = self.crew.finish(self.gathered.rest());
        self.dead.extend(share.dead);
        Unfinished {
            large: share.large,
            chunks: self.chunks,
            dead: self.dead,
        }
    }
}

/// Every record is in its trie, values in chunks without them.
struct Unfinished {
    /// Keys that had a value in chunks at some time, and its upload.
    large: Vec<(UploadId, Key)>,
    chunks: Chunks,
    dead: Vec<Location>,
}

/// What the writer has to know of what is in the tries.
struct Rebuilt {
    large: HashMap<UploadId, Key>,
    /// Records that are not needed any more.
    dead: Vec<Location>,
    /// Slots of values whose chunks are not all there.
    incomplete: Damage,
}

impl Unfinished {
    /// Brings values and their chunks together; chunks that belong to nobody are dead.
    fn completed(mut self, shelves: &Shelves) -> Rebuilt {
        let mut rebuilt = Rebuilt {
            large: HashMap::new(),
            dead: std::mem::take(&mut self.dead),
            incomplete: Damage::None,
        };
        for (upload, (location, key, meta)) in self.current(shelves) {
            let mut shelf = shelves.write(key.slot());
            match self.chunks.remove(&upload) {
                Some(chunks) if is_whole(&chunks, &meta) => {
                    shelves.complete(&mut shelf, upload, large(chunks));
                    rebuilt.large.insert(upload, key.clone());
                }
                found => {
                    tracing::error!(%key, "chunks of a value are missing");
                    rebuilt.incomplete = rebuilt.incomplete.and(&Damage::of(key.slot()));
                    shelves.take(&mut shelf, key.as_bytes());
                    rebuilt.dead.push(location);
                    let chunks = found.into_iter().flat_map(BTreeMap::into_values);
                    rebuilt.dead.extend(chunks.map(|chunk| chunk.location));
                }
            }
        }
        let orphans = self.chunks.into_values().flat_map(BTreeMap::into_values);
        rebuilt.dead.extend(orphans.map(|chunk| chunk.location));
        rebuilt
    }

    /// The values in chunks that are in the tries, by their uploads; of two with the same, the
    /// later one.
    fn current(&mut self, shelves: &Shelves) -> HashMap<UploadId, (Location, Key, ValueMeta)> {
        let mut current: HashMap<_, (Location, Key, ValueMeta)> = HashMap::new();
        for (upload, key) in std::mem::take(&mut self.large) {
            let shelf = shelves.read(key.slot());
            let Some(held) = shelf.get(key.as_bytes()) else {
                continue;
            };
            let Content::Large(meta, of) = held.content else {
                continue;
            };
            let earlier = current.get(&upload);
            let is_later = earlier.is_none_or(|(location, ..)| *location < held.location);
            if of == upload && is_later {
                current.insert(upload, (held.location, key.clone(), meta));
            }
        }
        current
    }
}
