//! A write or a delete: a version above everything it overwrites, stored by a quorum.

use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    planted::{self, Bug},
    version::Version,
    wire::Intent,
};

use super::{
    effect::{Context, Event, Progress},
    outcome::{Failure, Outcome},
    store::{Content, Store, StoreEnd},
};

/// Times a write is tried again above what superseded it.
const SUPERSEDED_MAX: u32 = 8;

/// Times an operation begins again because the placement changed.
pub(super) const PLACEMENT_CHANGES_MAX: u32 = 8;

/// One write.
#[derive(Debug)]
pub struct Write {
    key: Key,
    content: Content,
    /// A stored version to exceed from the start.
    above: Option<Version>,
    deadline_ms: u64,
    version: Option<Version>,
    intent: Intent,
    store: Option<Store>,
    /// Whether an earlier attempt may have left the value somewhere.
    may_exist: bool,
    superseded: u32,
    placement_changes: u32,
}

impl Write {
    /// A write of `content` under `key`, above the version `above` where one was read.
    pub fn new(key: Key, content: Content, above: Option<Version>, deadline_ms: u64) -> Self {
        Self {
            key,
            content,
            above,
            deadline_ms,
            version: None,
            intent: Intent::Fresh,
            store: None,
            may_exist: false,
            superseded: 0,
            placement_changes: 0,
        }
    }

    /// When the machine wants to be woken, in milliseconds since it began.
    pub fn wake_at(&self) -> u64 {
        self.deadline_ms
    }

    /// Begins.
    pub fn start(&mut self, cx: &mut Context<'_>) -> Progress<Outcome<Version>> {
        self.begin_above(cx, self.above)
    }

    /// Takes an event.
    pub fn step(&mut self, cx: &mut Context<'_>, event: Event) -> Progress<Outcome<Version>> {
        match event {
            Event::Wake if cx.now.elapsed_ms >= self.deadline_ms => {
                let store = self.store.as_ref();
                let failure = store
                    .map_or(Failure::PlacementChanges(self.placement_changes), |s| {
                        s.deadline(cx, self.deadline_ms)
                    });
                let may_exist = store.is_some_and(Store::may_exist);
                self.fail(failure, may_exist)
            }
            Event::PlacementChanged if self.store.is_none() => self.begin_same(cx),
            event if event.tag().is_some() => match &mut self.store {
                Some(store) => {
                    let progress = store.step(cx, event);
                    self.on_store(cx, progress)
                }
                None => Progress::Pending,
            },
            _ => Progress::Pending,
        }
    }

    /// Bytes of the value, if it is a large one.
    pub fn large_bytes(&self) -> usize {
        match &self.content {
            Content::Value(_, bytes) if bytes.len() > CHUNK_BYTES => bytes.len(),
            Content::Value(..) | Content::Tombstone => 0,
        }
    }

    /// Takes an event after the end: members beyond the quorum are still brought what they lack,
    /// the rest of a large value's chunks for instance.
    pub fn aftermath(&mut self, cx: &mut Context<'_>, event: Event) {
        if let Some(store) = &mut self.store {
            // Whatever becomes of them, the outcome stands.
            let _ = store.step(cx, event);
        }
    }

    /// Begins with a new version, above `seen` where something was seen.
    fn begin_above(
        &mut self,
        cx: &mut Context<'_>,
        seen: Option<Version>,
    ) -> Progress<Outcome<Version>> {
        let (version, intent) = match seen {
            None => (cx.clock.fresh(cx.now.wall), Intent::Fresh),
            Some(seen) => (cx.clock.above(seen, cx.now.wall), Intent::Successor),
        };
        let Some(version) = version else {
            return self.fail(Failure::NoVersion, false);
        };
        self.version = Some(version);
        self.intent = intent;
        self.begin_same(cx)
    }

    /// Begins with the version already chosen: the same write, counted from zero.
    fn begin_same(&mut self, cx: &mut Context<'_>) -> Progress<Outcome<Version>> {
        let version = self.version.expect("chosen before the first store");
        let (key, content) = (self.key.clone(), self.content.clone());
        let (store, progress) = Store::start(cx, key, version, content, self.intent, &[]);
        self.store = Some(store);
        self.on_store(cx, progress)
    }

    fn on_store(
        &mut self,
        cx: &mut Context<'_>,
        progress: Progress<StoreEnd>,
    ) -> Progress<Outcome<Version>> {
        let Progress::Ended(end) = progress else {
            return Progress::Pending;
        };
        match end {
            StoreEnd::Stored => Progress::Ended(Outcome::Done(
                self.version.expect("chosen before it was stored"),
            )),
            StoreEnd::Superseded(by) => {
                self.superseded += 1;
                // Members that took this version keep it until the next one overwrites it.
                self.may_exist |= self.store.as_ref().is_some_and(Store::may_exist);
                if self.superseded > SUPERSEDED_MAX {
                    return self.fail(Failure::Contended(self.superseded), false);
                }
                self.begin_above(cx, Some(by))
            }
            StoreEnd::Failed { failure, may_exist } => self.fail(failure, may_exist),
            StoreEnd::PlacementChanged { may_exist } => {
                self.may_exist |= may_exist;
                self.placement_changes += 1;
                self.store = None;
                if self.placement_changes > PLACEMENT_CHANGES_MAX {
                    return self.fail(Failure::PlacementChanges(self.placement_changes), false);
                }
                Progress::Pending
            }
        }
    }

    fn fail(&mut self, failure: Failure, may_exist: bool) -> Progress<Outcome<Version>> {
        Progress::Ended(if may_exist || self.may_exist {
            Outcome::Unknown(failure)
        } else {
            // What is still on its way must not be followed by the record: that would make a
            // write happen that was said not to.
            if !planted::is(Bug::GivenUpGoesOn) {
                self.store = None;
            }
            Outcome::NotDone(failure)
        })
    }
}
