//! A read: the newest record of a key, known on enough members before it is answered.
//!
//! One member is asked for the value, the others for the version alone. When the newest record
//! is not known on a write quorum of every live set, it is first written back with its own
//! version; otherwise a later read could miss it and time would seem to run backwards.

mod collect;

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    placement::MemberIndex,
    planted::{self, Bug},
    record::{Body, Payload, ValueMeta},
    version::Version,
    wire::Intent,
};

use self::collect::{Collect, Collected};
use super::{
    effect::{Context, Effect, Event, Progress},
    fetch::{Fetch, FetchEnd},
    outcome::{Absent, Failure, Outcome},
    quorum::WriteQuorum,
    store::{Content, Store, StoreEnd},
    write::PLACEMENT_CHANGES_MAX,
};

/// Times a read begins again because the key was overwritten while it was being read.
const OVERTAKEN_MAX: u32 = 8;

/// How long a holder may give no chunk before another is asked, in milliseconds. Far above what a
/// chunk takes, and several times below an operation's time.
const CHUNK_PATIENCE_MS: u64 = 500;

/// How many members must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// A read quorum, or the read fails.
    Quorum,
    /// Whatever copies can be had; the answer says when they were fewer than a quorum.
    Available,
}

/// What of the value is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of its bytes.
    Value,
    /// Whether there is one, and its version.
    Presence,
}

/// The answer of a read.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadAnswer {
    /// The newest version, of a value or of a tombstone.
    pub version: Option<Version>,
    /// The value, where there is one. Its bytes are empty when only presence was asked for and
    /// they did not come along.
    pub value: Option<(ValueMeta, Bytes)>,
    /// Set when fewer members answered than a read quorum has.
    pub partial: Option<Partial>,
}

/// Says that an answer may be incomplete.
#[derive(Debug, Clone, PartialEq)]
pub struct Partial {
    /// Members that answered.
    pub answered: usize,
    /// Members of a read quorum.
    pub needed: usize,
    /// The others.
    pub absent: Vec<Absent>,
}

/// One read.
#[derive(Debug)]
pub struct Read {
    key: Key,
    demand: Demand,
    extent: Extent,
    hedge_ms: u64,
    deadline_ms: u64,
    hedged: bool,
    /// When slow members are looked at next, in milliseconds since the read began.
    look_ms: u64,
    phase: Phase,
    overtaken: u32,
    placement_changes: u32,
}

#[derive(Debug)]
enum Phase {
    /// Not started, or waiting for a placement.
    Idle,
    Collecting(Collect),
    Fetching {
        fetch: Fetch,
        meta: ValueMeta,
        found: Found,
    },
    Spreading {
        store: Store,
        answer: ReadAnswer,
    },
}

/// What collecting found out about the newest record.
#[derive(Debug, Clone)]
struct Found {
    version: Version,
    /// Voters that have exactly this version.
    holders: Vec<MemberIndex>,
    partial: Option<Partial>,
}

impl Read {
    /// A read of `key`; after `hedge_ms` without a decision more members are asked.
    pub fn new(key: Key, demand: Demand, extent: Extent, hedge_ms: u64, deadline_ms: u64) -> Self {
        Self {
            key,
            demand,
            extent,
            hedge_ms,
            deadline_ms,
            hedged: false,
            look_ms: u64::MAX,
            phase: Phase::Idle,
            overtaken: 0,
            placement_changes: 0,
        }
    }

    /// When the machine wants to be woken, in milliseconds since it began.
    pub fn wake_at(&self) -> u64 {
        self.look_ms.min(self.deadline_ms)
    }

    /// Whether more members than a quorum were asked because answers were slow.
    pub fn was_hedged(&self) -> bool {
        self.hedged
    }

    /// Begins.
    pub fn start(&mut self, cx: &mut Context<'_>) -> Progress<Outcome<ReadAnswer>> {
        // Each attempt has its own patience: the member that is silent now may be another.
        self.look_ms = cx.now.elapsed_ms.saturating_add(self.hedge_ms);
        let (collect, progress) = Collect::start(cx, &self.key, self.demand);
        self.phase = Phase::Collecting(collect);
        self.on_collected(cx, progress)
    }

    /// Takes an event.
    pub fn step(&mut self, cx: &mut Context<'_>, event: Event) -> Progress<Outcome<ReadAnswer>> {
        match event {
            Event::Wake => return self.on_wake(cx),
            Event::PlacementChanged if matches!(self.phase, Phase::Idle) => return self.start(cx),
            Event::PlacementChanged => return Progress::Pending,
            _ => {}
        }
        match &mut self.phase {
            Phase::Idle => Progress::Pending,
            Phase::Collecting(collect) => {
                let progress = collect.step(cx, event);
                self.on_collected(cx, progress)
            }
            Phase::Fetching { fetch, .. } => {
                let progress = fetch.step(cx, event);
                self.on_fetched(cx, progress)
            }
            Phase::Spreading { store, .. } => {
                let progress = store.step(cx, event);
                self.on_spread(cx, progress)
            }
        }
    }

    fn on_wake(&mut self, cx: &mut Context<'_>) -> Progress<Outcome<ReadAnswer>> {
        let late = cx.now.elapsed_ms >= self.deadline_ms;
        if !late {
            return self.look_for_slow(cx);
        }
        match &mut self.phase {
            Phase::Collecting(collect) => {
                let progress = collect.give_up(cx, self.deadline_ms);
                self.on_collected(cx, progress)
            }
            Phase::Spreading { store, .. } => {
                let failure = store.deadline(cx, self.deadline_ms);
                let end = StoreEnd::Failed {
                    failure,
                    may_exist: store.may_exist(),
                };
                self.on_spread(cx, Progress::Ended(end))
            }
            Phase::Idle => Progress::Ended(Outcome::NotDone(Failure::PlacementChanges(
                self.placement_changes,
            ))),
            Phase::Fetching { .. } => Progress::Ended(Outcome::NotDone(Failure::Deadline {
                slot: self.key.slot(),
                needed: 1,
                limit_ms: self.deadline_ms,
                absent: Vec::new(),
            })),
        }
    }

    /// Asks others where members are slow to answer.
    fn look_for_slow(&mut self, cx: &mut Context<'_>) -> Progress<Outcome<ReadAnswer>> {
        if cx.now.elapsed_ms < self.look_ms {
            return Progress::Pending;
        }
        self.look_ms = u64::MAX;
        match &mut self.phase {
            Phase::Collecting(collect) => {
                self.hedged = true;
                let progress = collect.ask_everyone(cx);
                self.on_collected(cx, progress)
            }
            Phase::Fetching { fetch, .. } => {
                fetch.turn_from_silent(cx);
                self.look_ms = cx.now.elapsed_ms.saturating_add(CHUNK_PATIENCE_MS);
                Progress::Pending
            }
            Phase::Idle | Phase::Spreading { .. } => Progress::Pending,
        }
    }

    fn on_collected(
        &mut self,
        cx: &mut Context<'_>,
        progress: Progress<Collected>,
    ) -> Progress<Outcome<ReadAnswer>> {
        let Progress::Ended(end) = progress else {
            return Progress::Pending;
        };
        match end {
            Collected::Absent { partial } => Progress::Ended(Outcome::Done(ReadAnswer {
                version: None,
                value: None,
                partial,
            })),
            Collected::Newest {
                record,
                holders,
                sources,
                partial,
            } => {
                let found = Found {
                    version: record.version,
                    holders,
                    partial,
                };
                self.on_newest(cx, record.body, found, sources)
            }
            Collected::Failed(failure) => Progress::Ended(Outcome::NotDone(failure)),
            Collected::NewerPlacement(placement) => {
                cx.effects.push(Effect::Learn(placement));
                self.placement_changes += 1;
                self.phase = Phase::Idle;
                if self.placement_changes > PLACEMENT_CHANGES_MAX {
                    let failure = Failure::PlacementChanges(self.placement_changes);
                    return Progress::Ended(Outcome::NotDone(failure));
                }
                Progress::Pending
            }
        }
    }

    fn on_newest(
        &mut self,
        cx: &mut Context<'_>,
        body: Body,
        found: Found,
        sources: Vec<MemberIndex>,
    ) -> Progress<Outcome<ReadAnswer>> {
        match body {
            Body::Tombstone => self.decide(cx, found, Content::Tombstone),
            Body::Value { meta, .. } if is_expired(cx, &meta) => {
                // Whoever sees it first makes the same tombstone; nobody has it yet, as far as
                // this read knows.
                let version = if planted::is(Bug::ExpiryAsDelete) {
                    own_version(cx, found.version)
                } else {
                    found.version.expiry()
                };
                self.decide(
                    cx,
                    Found {
                        version,
                        holders: Vec::new(),
                        ..found
                    },
                    Content::Tombstone,
                )
            }
            Body::Value {
                meta,
                payload: Payload::Whole(bytes),
            } => self.decide(cx, found, Content::Value(meta, bytes)),
            Body::Value {
                meta,
                payload: Payload::Chunked(_),
            } => {
                let is_known = is_known(cx, &self.key, &found.holders);
                if self.extent == Extent::Presence && is_known {
                    return self.decide(cx, found, Content::Value(meta, Bytes::new()));
                }
                cx.effects.push(Effect::Expect {
                    bytes: meta.length as usize,
                });
                let key = self.key.clone();
                let fetch = Fetch::start(cx, key, found.version, meta.length, sources);
                self.look_ms = cx.now.elapsed_ms.saturating_add(CHUNK_PATIENCE_MS);
                self.phase = Phase::Fetching { fetch, meta, found };
                Progress::Pending
            }
        }
    }

    fn on_fetched(
        &mut self,
        cx: &mut Context<'_>,
        progress: Progress<FetchEnd>,
    ) -> Progress<Outcome<ReadAnswer>> {
        let Progress::Ended(end) = progress else {
            return Progress::Pending;
        };
        let Phase::Fetching { meta, found, .. } = std::mem::replace(&mut self.phase, Phase::Idle)
        else {
            return Progress::Pending;
        };
        match end {
            FetchEnd::Whole(bytes) => self.decide(cx, found, Content::Value(meta, bytes)),
            FetchEnd::Again => self.again(cx),
            FetchEnd::Failed(why) => Progress::Ended(Outcome::NotDone(Failure::Refused(format!(
                "no copy could give the whole value: {why}"
            )))),
        }
    }

    /// Answers where the record is known widely enough, else spreads it first.
    fn decide(
        &mut self,
        cx: &mut Context<'_>,
        found: Found,
        content: Content,
    ) -> Progress<Outcome<ReadAnswer>> {
        let value = match &content {
            Content::Tombstone => None,
            // Fetched to be spread: who asked for presence must not be left holding it.
            Content::Value(meta, bytes)
                if self.extent == Extent::Presence && bytes.len() > CHUNK_BYTES =>
            {
                Some((*meta, Bytes::new()))
            }
            Content::Value(meta, bytes) => Some((*meta, bytes.clone())),
        };
        let answer = ReadAnswer {
            version: Some(found.version),
            value,
            partial: found.partial,
        };
        let is_known = is_known(cx, &self.key, &found.holders);
        if is_known || planted::is(Bug::ReadUnconfirmed) {
            return Progress::Ended(Outcome::Done(answer));
        }
        let version = if planted::is(Bug::RepairWithNewVersion) {
            own_version(cx, found.version)
        } else {
            found.version
        };
        let content = match content {
            Content::Value(meta, bytes) if planted::is(Bug::ExpiryDropped) => {
                let expires_at = None;
                Content::Value(ValueMeta { expires_at, ..meta }, bytes)
            }
            content => content,
        };
        let (store, progress) = Store::start(
            cx,
            self.key.clone(),
            version,
            content,
            Intent::Repair,
            &found.holders,
        );
        self.phase = Phase::Spreading { store, answer };
        self.on_spread(cx, progress)
    }

    fn on_spread(
        &mut self,
        cx: &mut Context<'_>,
        progress: Progress<StoreEnd>,
    ) -> Progress<Outcome<ReadAnswer>> {
        let Progress::Ended(end) = progress else {
            return Progress::Pending;
        };
        let Phase::Spreading { answer, .. } = std::mem::replace(&mut self.phase, Phase::Idle)
        else {
            return Progress::Pending;
        };
        match end {
            StoreEnd::Stored => Progress::Ended(Outcome::Done(answer)),
            StoreEnd::Superseded(_) => self.again(cx),
            StoreEnd::PlacementChanged { .. } => {
                self.placement_changes += 1;
                if self.placement_changes > PLACEMENT_CHANGES_MAX {
                    let failure = Failure::PlacementChanges(self.placement_changes);
                    return Progress::Ended(Outcome::NotDone(failure));
                }
                Progress::Pending
            }
            StoreEnd::Failed { failure, .. } => {
                Progress::Ended(self.answer_unspread(cx, answer, failure))
            }
        }
    }

    /// Ends with what was found but could not be brought to a write quorum.
    fn answer_unspread(
        &self,
        cx: &Context<'_>,
        answer: ReadAnswer,
        failure: Failure,
    ) -> Outcome<ReadAnswer> {
        let absent = match failure {
            Failure::TooFew { absent, .. } | Failure::Deadline { absent, .. }
                if self.demand == Demand::Available =>
            {
                absent
            }
            failure => return Outcome::NotDone(failure),
        };
        // It is said to be uncertain, rather than nothing at all.
        let readers = cx.placement.slot(self.key.slot()).read_set();
        let partial = answer.partial.unwrap_or_else(|| Partial {
            answered: readers.copies().saturating_sub(absent.len()),
            needed: readers.read_quorum(),
            absent,
        });
        Outcome::Done(ReadAnswer {
            partial: Some(partial),
            version: answer.version,
            value: answer.value,
        })
    }

    fn again(&mut self, cx: &mut Context<'_>) -> Progress<Outcome<ReadAnswer>> {
        self.overtaken += 1;
        if self.overtaken > OVERTAKEN_MAX {
            return Progress::Ended(Outcome::NotDone(Failure::Contended(self.overtaken)));
        }
        self.start(cx)
    }
}

/// Whether a value has come to its end.
fn is_expired(cx: &Context<'_>, meta: &ValueMeta) -> bool {
    let now = cx.now.wall;
    if planted::is(Bug::ExpiryEarly) {
        return meta.is_expired(now.plus(60_000));
    }
    meta.is_expired(now)
}

/// What two planted bugs store under instead of what was found.
fn own_version(cx: &Context<'_>, found: Version) -> Version {
    cx.clock.above(found, cx.now.wall).unwrap_or(found)
}

/// Whether these members are a write quorum of every live set.
fn is_known(cx: &Context<'_>, key: &Key, holders: &[MemberIndex]) -> bool {
    let mut quorum = WriteQuorum::new(cx.placement, key.slot());
    for &holder in holders {
        quorum.add(holder);
    }
    quorum.is_reached()
}
