//! One pass: everything newer that one other member has in some slots. Pure.
//!
//! ```text
//!   Digests  -> slots that differ
//!     Buckets  -> buckets that differ          a few slots at a time
//!       Versions -> keys whose version there is higher, page by page
//!         Get [GetChunk ...] -> Put            a bounded number at a time
//! ```
//!
//! Bytes moved are proportional to the differences: a digest a slot, 2 KiB for a slot that
//! differs, keys and versions for its differing buckets, records for what is newer.

use std::collections::{HashMap, VecDeque};

use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    placement::Epoch,
    record::{Body, Payload, Record, UploadId},
    slot::{Slot, SlotSet},
    version::{UnixMillis, Version},
    wire::{
        BUCKETS, Bucket, BucketSet, Intent, Refusal, Reply, Request, Scope, ScopedSlots, Standing,
        VersionPage,
    },
};

use crate::limits::FETCH_WINDOW;

/// Slots compared at once.
const OPEN_SLOTS_MAX: usize = 4;

/// Keys waiting to be fetched beyond which no further page of versions is asked for.
const WANTED_MAX: usize = 4_096;

/// What the pass asks of this member's own data.
pub(super) trait Local {
    fn digest(&self, slot: Slot) -> u64;
    fn buckets(&self, slot: Slot) -> Box<[u64; BUCKETS]>;
    fn version(&self, key: &Key) -> Option<Version>;
}

impl<D: crate::log::disk::Disk> Local for crate::store::Store<D> {
    fn digest(&self, slot: Slot) -> u64 {
        crate::store::Store::digest(self, slot).digest
    }
    fn buckets(&self, slot: Slot) -> Box<[u64; BUCKETS]> {
        crate::store::Store::buckets(self, slot)
    }
    fn version(&self, key: &Key) -> Option<Version> {
        self.known_version(key)
    }
}

/// Ties an answer to what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tag(u64);

/// Something to do.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    /// Ask the other member.
    Ask { tag: Tag, request: Request },
    /// Ask this member.
    Apply { tag: Tag, request: Request },
}

/// Something that happened.
#[derive(Debug)]
pub(super) enum Event {
    Answer { tag: Tag, reply: Reply },
    Failed { why: String },
}

/// What a whole pass is worth.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Passed {
    /// Slots synced from a member whose answers count.
    pub(super) from_voter: SlotSet,
    /// Slots synced from a member that is itself catching up.
    pub(super) from_unsynced: SlotSet,
    /// Slots that differed when the pass began.
    pub(super) differed: SlotSet,
}

/// What an answer belongs to.
#[derive(Debug)]
enum Asked {
    Digests,
    Buckets(Slot),
    Versions(Slot, BucketSet),
    Record(Key),
    Chunk(Copying, u32),
    ChunkKept(Copying, u32),
    Stored,
}

/// A large value on its way.
#[derive(Debug, Clone)]
struct Copying {
    key: Key,
    record: Record,
    upload: UploadId,
    chunks: u32,
}

#[derive(Debug)]
pub(super) struct Pass {
    epoch: Epoch,
    slots: SlotSet,
    now: UnixMillis,
    passed: Passed,
    unopened: Vec<Slot>,
    open: usize,
    /// Further pages wait while enough keys are wanted.
    pages: VecDeque<(Slot, BucketSet, Option<Key>)>,
    wanted: VecDeque<Key>,
    fetching: usize,
    asked: HashMap<Tag, Asked>,
    next_tag: u64,
    failed: Option<String>,
    effects: Vec<Effect>,
}

impl Pass {
    pub(super) fn new(epoch: Epoch, slots: SlotSet) -> Self {
        let empty = SlotSet::empty;
        Self {
            epoch,
            slots,
            now: UnixMillis::default(),
            passed: Passed {
                from_voter: empty(),
                from_unsynced: empty(),
                differed: empty(),
            },
            unopened: Vec::new(),
            open: 0,
            pages: VecDeque::new(),
            wanted: VecDeque::new(),
            fetching: 0,
            asked: HashMap::new(),
            next_tag: 0,
            failed: None,
            effects: Vec::new(),
        }
    }

    pub(super) fn start(&mut self, now: UnixMillis) -> Vec<Effect> {
        self.now = now;
        let scope = ScopedSlots {
            slots: self.slots.clone(),
            epoch: self.epoch,
            began_at: now,
        };
        self.ask(Asked::Digests, Request::Digests { scope });
        std::mem::take(&mut self.effects)
    }

    /// How the pass ended, once it has.
    pub(super) fn end(&self) -> Option<Result<Passed, String>> {
        if let Some(why) = &self.failed {
            return Some(Err(why.clone()));
        }
        self.asked.is_empty().then(|| Ok(self.passed.clone()))
    }

    pub(super) fn step(
        &mut self,
        event: Event,
        now: UnixMillis,
        local: &impl Local,
    ) -> Vec<Effect> {
        self.now = now;
        match event {
            Event::Failed { why } => self.failed = Some(why),
            Event::Answer { tag, reply } => {
                if let Some(asked) = self.asked.remove(&tag) {
                    self.on_answer(asked, reply, local);
                }
            }
        }
        if self.failed.is_none() {
            self.go_on();
        }
        std::mem::take(&mut self.effects)
    }

    fn on_answer(&mut self, asked: Asked, reply: Reply, local: &impl Local) {
        match (asked, reply) {
            (Asked::Digests, Reply::Digests(digests)) => {
                for digest in digests {
                    match digest.standing {
                        Standing::Voter => self.passed.from_voter.insert(digest.slot),
                        Standing::Unsynced => self.passed.from_unsynced.insert(digest.slot),
                        // What is damaged there teaches nothing here.
                        Standing::Damaged => continue,
                    };
                    if local.digest(digest.slot) != digest.digest {
                        self.passed.differed.insert(digest.slot);
                        self.unopened.push(digest.slot);
                    }
                }
            }
            (Asked::Buckets(slot), Reply::Buckets(theirs)) => {
                self.on_buckets(slot, &theirs, local);
            }
            (Asked::Versions(slot, buckets), Reply::Versions(page)) => {
                self.on_versions(slot, buckets, page, local);
            }
            (
                Asked::Record(key),
                Reply::Record {
                    record: Some(record),
                    ..
                },
            ) => {
                self.on_record(key, record);
            }
            // Records never go away, but a slot that turned out damaged may lack one.
            (Asked::Record(_), Reply::Record { record: None, .. }) | (Asked::Stored, _) => {
                self.fetching -= 1;
            }
            (Asked::Chunk(copying, index), Reply::Chunk(bytes)) => {
                let (scope, upload) = (self.scope(copying.key.slot()), copying.upload);
                let request = Request::PutChunk {
                    scope,
                    upload,
                    index,
                    bytes,
                };
                self.apply(Asked::ChunkKept(copying, index), request);
            }
            // Overwritten meanwhile: the next pass brings what is newer.
            (Asked::Chunk(..), Reply::Refused(Refusal::Gone)) => self.fetching -= 1,
            (Asked::ChunkKept(copying, index), Reply::ChunkStored) => {
                self.copy_on(copying, index + 1);
            }
            (asked, reply) => {
                let what = match asked {
                    Asked::Digests => "digests",
                    Asked::Buckets(_) => "buckets",
                    Asked::Versions(..) => "versions",
                    Asked::Record(_) => "a record",
                    Asked::Chunk(..) | Asked::ChunkKept(..) => "a chunk",
                    Asked::Stored => "a write",
                };
                self.failed = Some(match reply {
                    Reply::Refused(refusal) => format!("asked for {what}: {refusal}"),
                    other => format!("asked for {what}, it answered {other:?}"),
                });
            }
        }
    }

    fn on_buckets(&mut self, slot: Slot, theirs: &[u64; BUCKETS], local: &impl Local) {
        let ours = local.buckets(slot);
        let mut differing = BucketSet::EMPTY;
        for bucket in 0..=u8::MAX {
            if ours[usize::from(bucket)] != theirs[usize::from(bucket)] {
                differing.insert(Bucket(bucket));
            }
        }
        if differing == BucketSet::EMPTY {
            self.open -= 1;
        } else {
            self.pages.push_back((slot, differing, None));
        }
    }

    fn on_versions(
        &mut self,
        slot: Slot,
        buckets: BucketSet,
        page: VersionPage,
        local: &impl Local,
    ) {
        let last = page.entries.last().map(|entry| entry.key.clone());
        for entry in page.entries {
            if local
                .version(&entry.key)
                .is_none_or(|ours| ours < entry.version)
            {
                self.wanted.push_back(entry.key);
            }
        }
        match last {
            Some(last) if page.more => self.pages.push_back((slot, buckets, Some(last))),
            _ => self.open -= 1,
        }
    }

    fn on_record(&mut self, key: Key, record: Record) {
        let Body::Value {
            meta,
            payload: Payload::Chunked(upload),
        } = record.body
        else {
            return self.put(key, record);
        };
        let chunks = (meta.length as usize).div_ceil(CHUNK_BYTES);
        let chunks = u32::try_from(chunks).expect("values are limited");
        self.copy_on(
            Copying {
                key,
                record,
                upload,
                chunks,
            },
            0,
        );
    }

    /// One chunk after the other: many values are on their way at once, and memory is bounded.
    fn copy_on(&mut self, copying: Copying, index: u32) {
        if index == copying.chunks {
            return self.put(copying.key, copying.record);
        }
        let request = Request::GetChunk {
            scope: self.scope(copying.key.slot()),
            key: copying.key.clone(),
            version: copying.record.version,
            index,
        };
        self.ask(Asked::Chunk(copying, index), request);
    }

    fn put(&mut self, key: Key, record: Record) {
        let scope = self.scope(key.slot());
        self.apply(
            Asked::Stored,
            Request::Put {
                scope,
                key,
                record,
                intent: Intent::Repair,
            },
        );
    }

    /// Asks for as much as the windows allow.
    fn go_on(&mut self) {
        while self.open < OPEN_SLOTS_MAX {
            let Some(slot) = self.unopened.pop() else {
                break;
            };
            self.open += 1;
            let scope = self.scope(slot);
            self.ask(Asked::Buckets(slot), Request::Buckets { scope });
        }
        while self.wanted.len() < WANTED_MAX {
            let Some((slot, buckets, after)) = self.pages.pop_front() else {
                break;
            };
            let scope = self.scope(slot);
            let request = Request::Versions {
                scope,
                buckets,
                after,
            };
            self.ask(Asked::Versions(slot, buckets), request);
        }
        while self.fetching < FETCH_WINDOW {
            let Some(key) = self.wanted.pop_front() else {
                break;
            };
            self.fetching += 1;
            let scope = self.scope(key.slot());
            self.ask(Asked::Record(key.clone()), Request::Get { scope, key });
        }
    }

    fn scope(&self, slot: Slot) -> Scope {
        Scope {
            slot,
            epoch: self.epoch,
            began_at: self.now,
        }
    }

    fn tag(&mut self, asked: Asked) -> Tag {
        self.next_tag += 1;
        let tag = Tag(self.next_tag);
        self.asked.insert(tag, asked);
        tag
    }

    fn ask(&mut self, asked: Asked, request: Request) {
        let tag = self.tag(asked);
        self.effects.push(Effect::Ask { tag, request });
    }

    fn apply(&mut self, asked: Asked, request: Request) {
        let tag = self.tag(asked);
        self.effects.push(Effect::Apply { tag, request });
    }
}
