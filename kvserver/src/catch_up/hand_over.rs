//! Handing over: what a member that leaves slots brings to one of their owners. Pure.
//!
//! ```text
//!   Buckets -> buckets that differ            a slot at a time
//!     own keys in them -> GetVersion          a bounded number at a time
//!       what is older there, or not there -> own record -> Put [PutChunk ...]
//! ```
//!
//! What leaves a slot takes no writes of it any more, so one way through its keys is enough. A
//! member whose slots found another home while it was away only looks: nothing it holds is merged
//! again, and what nobody else has stays with it for a person.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    placement::Epoch,
    record::{Body, Payload, Record},
    slot::{Slot, SlotSet},
    version::{UnixMillis, Version},
    wire::{
        BUCKETS, Bucket, BucketSet, Intent, Refusal, Reply, Request, Scope, Standing, VersionPage,
    },
};

use super::pass::{Broken, Tag};
use crate::limits::FETCH_WINDOW;

/// Whether what an owner lacks is brought to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offer {
    /// It is: the placement names this member as the one that leaves.
    Bring,
    /// It is not: the slot has been somebody else's since.
    Look,
}

/// What this member holds, whatever the placement says.
pub trait Holding {
    /// The digests of a slot's buckets.
    fn buckets(&self, slot: Slot) -> Box<[u64; BUCKETS]>;
    /// Keys and versions in some buckets, in the order of keys, above one of them.
    fn versions(&self, slot: Slot, buckets: &BucketSet, after: Option<&Key>) -> VersionPage;
}

impl<D: crate::log::disk::Disk> Holding for crate::store::Store<D> {
    fn buckets(&self, slot: Slot) -> Box<[u64; BUCKETS]> {
        crate::store::Store::buckets(self, slot)
    }
    fn versions(&self, slot: Slot, buckets: &BucketSet, after: Option<&Key>) -> VersionPage {
        crate::store::Store::versions(self, slot, buckets, after.map(Key::as_bytes))
    }
}

/// Something to do.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Ask the owner.
    Ask {
        /// Comes back with the answer.
        tag: Tag,
        /// What.
        request: Request,
    },
    /// Read a record of this member's own.
    Record {
        /// Comes back with the record.
        tag: Tag,
        /// Of which key.
        key: Key,
    },
    /// Read a chunk of this member's own.
    Chunk {
        /// Comes back with the chunk.
        tag: Tag,
        /// Of which key.
        key: Key,
        /// Of which version.
        version: Version,
        /// Which one.
        index: u32,
    },
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// The owner answered.
    Answer {
        /// What it answers.
        tag: Tag,
        /// Its answer.
        reply: Reply,
    },
    /// A record of this member's own; `None` where it cannot be read.
    Record {
        /// What was asked for.
        tag: Tag,
        /// The record.
        record: Option<Record>,
    },
    /// A chunk of this member's own; `None` where it cannot be read.
    Chunk {
        /// What was asked for.
        tag: Tag,
        /// The chunk.
        chunk: Option<Bytes>,
    },
    /// Something was not answered.
    Failed {
        /// Why.
        why: String,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct HandedOver {
    /// Slots of which the owner has everything that this member has, or newer.
    pub whole: SlotSet,
    /// Keys of the others that the owner lacks.
    pub lacking: u64,
    /// Why it ended early, if it did.
    pub broken: Option<Broken>,
}

impl HandedOver {
    /// Nothing: it could not begin.
    pub fn none(why: Broken) -> Self {
        Self {
            whole: SlotSet::empty(),
            lacking: 0,
            broken: Some(why),
        }
    }
}

/// What an answer belongs to.
#[derive(Debug)]
enum Asked {
    Buckets(Slot),
    Version(Key, Version),
    Own(Key),
    OwnChunk(Sending, u32),
    Chunk(Sending, u32),
    Stored,
}

/// A value in chunks on its way.
#[derive(Debug, Clone)]
struct Sending {
    key: Key,
    record: Record,
    chunks: u32,
}

/// Handing slots over to one owner, one slot after the other.
#[derive(Debug)]
pub struct HandOver {
    epoch: Epoch,
    offer: Offer,
    now: UnixMillis,
    left: VecDeque<Slot>,
    open: Option<Open>,
    waiting: usize,
    asked: HashMap<Tag, Asked>,
    next_tag: u64,
    done: HandedOver,
    effects: Vec<Effect>,
}

/// The slot under way.
#[derive(Debug)]
struct Open {
    slot: Slot,
    /// Buckets that differ, and the last key looked at; `None` when all were.
    pages: Option<(BucketSet, Option<Key>)>,
    keys: VecDeque<(Key, Version)>,
    /// Whether the owner has everything so far.
    is_whole: bool,
}

impl HandOver {
    /// Over these slots, all of which the owner holds.
    pub fn new(epoch: Epoch, slots: &SlotSet, offer: Offer) -> Self {
        Self {
            epoch,
            offer,
            now: UnixMillis::default(),
            left: slots.iter().collect(),
            open: None,
            waiting: 0,
            asked: HashMap::new(),
            next_tag: 0,
            done: HandedOver {
                whole: SlotSet::empty(),
                lacking: 0,
                broken: None,
            },
            effects: Vec::new(),
        }
    }

    /// Begins.
    pub fn start(&mut self, now: UnixMillis, own: &impl Holding) -> Vec<Effect> {
        self.now = now;
        self.go_on(own);
        std::mem::take(&mut self.effects)
    }

    /// How it ended, once it has.
    pub fn end(&self) -> Option<HandedOver> {
        let is_over = self.asked.is_empty() && self.left.is_empty() && self.open.is_none();
        (is_over || self.done.broken.is_some()).then(|| self.done.clone())
    }

    /// Takes an event.
    pub fn step(&mut self, event: Event, now: UnixMillis, own: &impl Holding) -> Vec<Effect> {
        self.now = now;
        match event {
            Event::Failed { why } => self.done.broken = Some(Broken { why, newer: None }),
            Event::Answer { tag, reply } => {
                if let Some(asked) = self.asked.remove(&tag) {
                    self.on_answer(asked, reply, own);
                }
            }
            Event::Record { tag, record } => {
                if let Some(Asked::Own(key)) = self.asked.remove(&tag) {
                    self.on_own(key, record);
                }
            }
            Event::Chunk { tag, chunk } => {
                if let Some(Asked::OwnChunk(sending, index)) = self.asked.remove(&tag) {
                    self.on_own_chunk(sending, index, chunk);
                }
            }
        }
        if self.done.broken.is_none() {
            self.go_on(own);
        }
        std::mem::take(&mut self.effects)
    }

    fn on_answer(&mut self, asked: Asked, reply: Reply, own: &impl Holding) {
        match (asked, reply) {
            (Asked::Buckets(slot), Reply::Buckets(theirs)) => {
                self.on_buckets(slot, &theirs, own);
            }
            (Asked::Version(key, ours), Reply::Version { standing, found }) => {
                let has = found.is_some_and(|found| found.version() >= ours);
                if standing != Standing::Voter {
                    // What it has now it may not keep.
                    self.lacks(false);
                } else if has {
                    self.waiting -= 1;
                } else if self.offer == Offer::Look {
                    self.lacks(true);
                } else {
                    let tag = self.tag(Asked::Own(key.clone()));
                    self.effects.push(Effect::Record { tag, key });
                }
            }
            (
                Asked::Stored,
                Reply::Stored {
                    standing: Standing::Voter,
                }
                | Reply::Superseded { .. },
            ) => self.waiting -= 1,
            (Asked::Chunk(sending, index), Reply::ChunkStored) => self.send(sending, index + 1),
            // Another time: its chunks were dropped meanwhile, or what it has does not count.
            (
                Asked::Stored,
                Reply::Stored { .. } | Reply::Uncertain(_) | Reply::Refused(Refusal::ChunksMissing),
            ) => self.lacks(false),
            (asked, reply) => self.on_refusal(&asked, reply),
        }
    }

    fn on_refusal(&mut self, asked: &Asked, reply: Reply) {
        // A slot or a record that is refused leaves the others to be brought.
        let ends = matches!(
            reply,
            Reply::Refused(Refusal::StaleEpoch(_) | Refusal::BehindEpoch { .. })
        );
        if !ends && matches!(reply, Reply::Refused(_)) {
            return self.lacks(false);
        }
        let what = match asked {
            Asked::Buckets(_) => "asked for buckets",
            Asked::Version(..) => "asked for a version",
            Asked::Own(_) | Asked::OwnChunk(..) => "read here",
            Asked::Chunk(..) => "given a chunk",
            Asked::Stored => "given a record",
        };
        let why = super::pass::not_done(what, &reply);
        let newer = match reply {
            Reply::Refused(Refusal::StaleEpoch(placement)) => Some(placement),
            _ => None,
        };
        self.done.broken = Some(Broken { why, newer });
    }

    fn on_buckets(&mut self, slot: Slot, theirs: &[u64; BUCKETS], own: &impl Holding) {
        let ours = own.buckets(slot);
        let mut differing = BucketSet::EMPTY;
        for bucket in 0..=u8::MAX {
            let at = usize::from(bucket);
            // An empty bucket has nothing to bring.
            if ours[at] != theirs[at] && ours[at] != 0 {
                differing.insert(Bucket(bucket));
            }
        }
        if let Some(open) = &mut self.open {
            open.pages = (differing != BucketSet::EMPTY).then_some((differing, None));
        }
        self.waiting -= 1;
    }

    fn on_own(&mut self, key: Key, record: Option<Record>) {
        let Some(record) = record else {
            return self.lacks(false);
        };
        let chunks = match &record.body {
            Body::Value {
                meta,
                payload: Payload::Chunked(_),
            } => (meta.length as usize).div_ceil(CHUNK_BYTES),
            _ => 0,
        };
        let chunks = u32::try_from(chunks).expect("values are limited");
        self.send(
            Sending {
                key,
                record,
                chunks,
            },
            0,
        );
    }

    /// One chunk after the other, then the record.
    fn send(&mut self, sending: Sending, index: u32) {
        let key = sending.key.clone();
        if index < sending.chunks {
            let version = sending.record.version;
            let tag = self.tag(Asked::OwnChunk(sending, index));
            self.effects.push(Effect::Chunk {
                tag,
                key,
                version,
                index,
            });
            return;
        }
        let request = Request::Put {
            scope: self.scope(key.slot()),
            key,
            record: sending.record,
            intent: Intent::Repair,
        };
        self.ask(Asked::Stored, request);
    }

    fn on_own_chunk(&mut self, sending: Sending, index: u32, chunk: Option<Bytes>) {
        let upload = match &sending.record.body {
            Body::Value {
                payload: Payload::Chunked(upload),
                ..
            } => *upload,
            _ => return self.lacks(false),
        };
        let Some(bytes) = chunk else {
            return self.lacks(false);
        };
        let scope = self.scope(sending.key.slot());
        let request = Request::PutChunk {
            scope,
            upload,
            index,
            bytes,
        };
        self.ask(Asked::Chunk(sending, index), request);
    }

    /// The owner does not have a key, or may lose it again.
    fn lacks(&mut self, is_counted: bool) {
        self.waiting -= 1;
        self.done.lacking += u64::from(is_counted);
        if let Some(open) = &mut self.open {
            open.is_whole = false;
        }
    }

    /// Asks for as much as the window allows.
    fn go_on(&mut self, own: &impl Holding) {
        loop {
            let Some(open) = &mut self.open else {
                let Some(slot) = self.left.pop_front() else {
                    return;
                };
                self.begin(slot);
                return;
            };
            while self.waiting < FETCH_WINDOW {
                let Some((key, version)) = open.keys.pop_front() else {
                    break;
                };
                self.waiting += 1;
                let request = Request::GetVersion {
                    scope: Scope {
                        slot: open.slot,
                        epoch: self.epoch,
                        began_at: self.now,
                    },
                    key: key.clone(),
                };
                self.next_tag += 1;
                let tag = Tag(self.next_tag);
                self.asked.insert(tag, Asked::Version(key, version));
                self.effects.push(Effect::Ask { tag, request });
            }
            if !open.keys.is_empty() {
                return;
            }
            if let Some((buckets, after)) = open.pages.take() {
                let page = own.versions(open.slot, &buckets, after.as_ref());
                let last = page.entries.last().map(|entry| entry.key.clone());
                let entries = page.entries.into_iter();
                open.keys
                    .extend(entries.map(|entry| (entry.key, entry.version)));
                open.pages = last.filter(|_| page.more).map(|last| (buckets, Some(last)));
                continue;
            }
            if self.waiting > 0 {
                return;
            }
            if open.is_whole {
                self.done.whole.insert(open.slot);
            }
            self.open = None;
        }
    }

    fn begin(&mut self, slot: Slot) {
        self.open = Some(Open {
            slot,
            pages: None,
            keys: VecDeque::new(),
            is_whole: true,
        });
        self.waiting += 1;
        let scope = self.scope(slot);
        self.ask(Asked::Buckets(slot), Request::Buckets { scope });
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
}
