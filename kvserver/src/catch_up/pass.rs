//! One pass: everything newer that one other member has in some slots. Pure.
//!
//! ```text
//!   Digests  -> slots that differ
//!     Buckets  -> buckets that differ          a few slots at a time
//!       Versions -> keys whose version there is higher, page by page
//!         Get [GetChunk ...] -> Put            a bounded number at a time
//! ```
//!
//! A slot that something was not fetched of, or not stored here, is worth nothing: the pass goes
//! on for the others.
//!
//! Bytes moved are proportional to the differences: a digest a slot, 2 KiB for a slot that
//! differs, keys and versions for its differing buckets, records for what is newer.

mod large;

use std::collections::{HashMap, VecDeque};

use kvcore::{
    key::Key,
    placement::{Epoch, Placement},
    record::Record,
    slot::{Slot, SlotSet},
    version::{UnixMillis, Version},
    wire::{
        BUCKETS, Bucket, BucketSet, Intent, Refusal, Reply, Request, Scope, ScopedSlots,
        SlotDigest, Standing, VersionPage,
    },
};

use self::large::{Copying, LargeWindow};
use crate::limits::FETCH_WINDOW;

/// Slots compared at once.
const OPEN_SLOTS_MAX: usize = 4;

/// Keys waiting to be fetched beyond which no further page of versions is asked for.
const WANTED_MAX: usize = 4_096;

/// What the pass asks of this member's own data.
pub trait Local {
    /// The digest of a slot.
    fn digest(&self, slot: Slot) -> u64;
    /// The digests of a slot's buckets.
    fn buckets(&self, slot: Slot) -> Box<[u64; BUCKETS]>;
    /// The version of a key's record, whatever the slot's standing.
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
pub struct Tag(pub(super) u64);

/// Something to do.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Ask the other member.
    Ask {
        /// Comes back with the answer.
        tag: Tag,
        /// What.
        request: Request,
    },
    /// Ask this member.
    Apply {
        /// Comes back with the answer.
        tag: Tag,
        /// What.
        request: Request,
    },
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// An answer, of the other member or of this one.
    Answer {
        /// What it answers.
        tag: Tag,
        /// The answer.
        reply: Reply,
    },
    /// Something was not answered.
    Failed {
        /// Why.
        why: String,
    },
}

/// What a whole pass is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Passed {
    /// Slots synced from a member whose answers count.
    pub from_voter: SlotSet,
    /// Slots synced from a member that does not vote itself: it has not caught up, or not all of
    /// what it had.
    pub from_silent: SlotSet,
    /// Slots that differed when the pass began.
    pub differed: SlotSet,
    /// Why some slots are in neither of the first two.
    pub left_out: Option<String>,
    /// A newer placement that the other member has, where slots were left out for it.
    pub newer: Option<Placement>,
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
    /// A record, and bytes of its chunks, which were uploads until then.
    Stored(Slot, u32),
}

impl Asked {
    /// The slot it is about, if it is one.
    fn slot(&self) -> Option<Slot> {
        match self {
            Self::Digests => None,
            Self::Buckets(slot) | Self::Versions(slot, _) | Self::Stored(slot, _) => Some(*slot),
            Self::Record(key) => Some(key.slot()),
            Self::Chunk(copying, _) | Self::ChunkKept(copying, _) => Some(copying.slot()),
        }
    }
}

/// Why a pass ended early.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    /// For people.
    pub why: String,
    /// The placement that the other member has, where it is newer.
    pub newer: Option<Placement>,
}

/// One pass.
#[derive(Debug)]
pub struct Pass {
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
    large: LargeWindow,
    asked: HashMap<Tag, Asked>,
    next_tag: u64,
    broken: Option<Broken>,
    effects: Vec<Effect>,
}

impl Pass {
    /// A pass over these slots, all of which both members hold.
    pub fn new(epoch: Epoch, slots: SlotSet) -> Self {
        let empty = SlotSet::empty;
        Self {
            epoch,
            slots,
            now: UnixMillis::default(),
            passed: Passed {
                from_voter: empty(),
                from_silent: empty(),
                differed: empty(),
                left_out: None,
                newer: None,
            },
            unopened: Vec::new(),
            open: 0,
            pages: VecDeque::new(),
            wanted: VecDeque::new(),
            fetching: 0,
            large: LargeWindow::default(),
            asked: HashMap::new(),
            next_tag: 0,
            broken: None,
            effects: Vec::new(),
        }
    }

    /// Begins.
    pub fn start(&mut self, now: UnixMillis) -> Vec<Effect> {
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
    pub fn end(&self) -> Option<Result<Passed, Broken>> {
        if let Some(broken) = &self.broken {
            return Some(Err(broken.clone()));
        }
        self.asked.is_empty().then(|| Ok(self.passed.clone()))
    }

    /// Takes an event.
    pub fn step(&mut self, event: Event, now: UnixMillis, local: &impl Local) -> Vec<Effect> {
        self.now = now;
        match event {
            Event::Failed { why } => self.broken = Some(Broken { why, newer: None }),
            Event::Answer { tag, reply } => {
                if let Some(asked) = self.asked.remove(&tag) {
                    self.on_answer(asked, reply, local);
                }
            }
        }
        if self.broken.is_none() {
            self.go_on();
        }
        std::mem::take(&mut self.effects)
    }

    fn on_answer(&mut self, asked: Asked, reply: Reply, local: &impl Local) {
        match (asked, reply) {
            (Asked::Digests, Reply::Digests(digests)) => self.on_digests(digests, local),
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
            // Records never go away: it was found damaged meanwhile, or its whole slot was.
            (
                Asked::Record(key),
                Reply::Record { record: None, .. } | Reply::Refused(Refusal::Damaged(_)),
            ) => {
                self.fetching -= 1;
                self.leave_out(key.slot(), || format!("{key} is damaged there"));
            }
            (Asked::Stored(slot, copied), reply) => self.on_stored(slot, copied, &reply),
            (Asked::Chunk(copying, index), reply) => self.on_chunk(copying, index, reply),
            (Asked::ChunkKept(copying, index), reply) => self.on_chunk_kept(copying, index, reply),
            (asked, reply) => self.on_refusal(&asked, reply),
        }
    }

    /// Leaves out a slot that changed meanwhile, for this member or the other: the rest goes on, since
    /// some slot changes all the time while others are copied.
    fn on_changed(&mut self, slot: Slot, asked: &Asked, refusal: Refusal) {
        match asked {
            Asked::Buckets(_) | Asked::Versions(..) => self.open -= 1,
            _ => self.fetching -= 1,
        }
        if let Asked::Chunk(copying, _) | Asked::ChunkKept(copying, _) = asked {
            self.copied(copying.bytes());
        }
        self.pages.retain(|(of, ..)| {
            *of != slot || {
                self.open -= 1;
                false
            }
        });
        self.wanted.retain(|key| key.slot() != slot);
        self.leave_out(slot, || refusal.to_string());
        if let Refusal::StaleEpoch(newer) = refusal {
            self.passed.newer = Some(newer);
        }
    }

    /// Ends the pass: nothing more can be asked of a member that does not answer this.
    fn on_refusal(&mut self, asked: &Asked, reply: Reply) {
        if let Some(slot) = asked.slot()
            && let Reply::Refused(refusal) = &reply
            && matches!(refusal, Refusal::StaleEpoch(_) | Refusal::NotHeld(_))
        {
            let refusal = refusal.clone();
            return self.on_changed(slot, asked, refusal);
        }
        let what = match asked {
            Asked::Digests => "asked for digests",
            Asked::Buckets(_) => "asked for buckets",
            Asked::Versions(..) => "asked for versions",
            Asked::Record(_) => "asked for a record",
            Asked::Chunk(..) | Asked::ChunkKept(..) => "asked for a chunk",
            Asked::Stored(..) => "asked for a write",
        };
        let why = not_done(what, &reply);
        let newer = match reply {
            Reply::Refused(Refusal::StaleEpoch(placement)) => Some(placement),
            _ => None,
        };
        self.broken = Some(Broken { why, newer });
    }

    /// Takes back what the pass is worth for a slot.
    fn leave_out(&mut self, slot: Slot, why: impl FnOnce() -> String) {
        self.passed.from_voter.remove(slot);
        self.passed.from_silent.remove(slot);
        self.passed.left_out.get_or_insert_with(why);
    }

    fn on_digests(&mut self, digests: Vec<SlotDigest>, local: &impl Local) {
        for digest in digests {
            match digest.standing {
                Standing::Voter => self.passed.from_voter.insert(digest.slot),
                // What is left there may be what all others have lost.
                Standing::Unsynced | Standing::Damaged => {
                    self.passed.from_silent.insert(digest.slot)
                }
            };
            if local.digest(digest.slot) != digest.digest {
                self.passed.differed.insert(digest.slot);
                self.unopened.push(digest.slot);
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

    fn put(&mut self, key: Key, record: Record, copied: u32) {
        let scope = self.scope(key.slot());
        self.apply(
            Asked::Stored(scope.slot, copied),
            Request::Put {
                scope,
                key,
                record,
                intent: Intent::Repair,
            },
        );
    }

    fn on_stored(&mut self, slot: Slot, copied: u32, reply: &Reply) {
        self.fetching -= 1;
        self.copied(copied);
        if !matches!(reply, Reply::Stored { .. } | Reply::Superseded { .. }) {
            self.leave_out(slot, || not_done("not stored here", reply));
        }
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

/// What was asked for, and what came instead.
pub(super) fn not_done(what: &str, reply: &Reply) -> String {
    match reply {
        Reply::Refused(refusal) => format!("{what}: {refusal}"),
        other => format!("{what}: {other:?}"),
    }
}

#[cfg(test)]
mod tests;
