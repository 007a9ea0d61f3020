//! Bringing one record to a write quorum of every live set.
//!
//! Used by writes with a version of their own, and by reads to spread what they found. A large
//! value's record is offered first: a member that has it, or a newer one, says so, and is not sent
//! a value that it would have to keep for nothing. One that lacks the chunks is sent them, a few at a
//! time, and then the record again.

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    placement::MemberIndex,
    planted::{self, Bug},
    record::{Body, Payload, Record, UploadId, ValueMeta},
    version::Version,
    wire::{Intent, Refusal, Reply, Request, Scope, Standing},
};

use super::{
    effect::{Context, Effect, Event, Progress, Tag},
    few::Few,
    outcome::{Absent, Failure},
    quorum::WriteQuorum,
};

/// Chunks on their way to one member: enough to fill the wire while one is being answered.
const CHUNK_WINDOW: u32 = 4;

/// Times a member is sent the chunks again because it lost them, or the placement because its own
/// was older.
const RESENDS_MAX: u32 = 3;

/// What is stored: a tombstone, or a value with its bytes at hand.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A delete.
    Tombstone,
    /// A value; its bytes are at most [`kvcore::limits::VALUE_BYTES_MAX`].
    Value(ValueMeta, Bytes),
}

/// How a store ended.
#[derive(Debug, PartialEq)]
pub enum StoreEnd {
    /// Enough members of every set have the record.
    Stored,
    /// A member has a newer one.
    Superseded(Version),
    /// Enough cannot be reached any more. `may_exist`: some member may have it.
    Failed {
        /// Why.
        failure: Failure,
        /// Whether some member may have stored the record.
        may_exist: bool,
    },
    /// A member has a newer placement, which is being learned: begin again.
    PlacementChanged {
        /// Whether some member may have stored the record.
        may_exist: bool,
    },
}

/// Where one member stands.
#[derive(Debug)]
enum Ask {
    /// It was asked to store the record of a large value, before it was sent the chunks.
    Offered,
    /// Chunks are being sent: next to send, acknowledged.
    Uploading { next: u32, stored: u32 },
    /// It was asked to store the record.
    Asked,
    /// It is being given the placement, with what to do afterwards.
    Teaching,
    /// It has the record.
    Stored,
    /// It has the record but counts in no quorum.
    StoredUncounted,
    /// It will not help; `may_exist` when it may have stored the record all the same.
    Failed { why: String, may_exist: bool },
}

/// The store of one record.
#[derive(Debug)]
pub struct Store {
    key: Key,
    version: Version,
    content: Content,
    intent: Intent,
    upload: UploadId,
    quorum: WriteQuorum,
    asks: Few<MemberIndex, Ask, 3>,
    resends: Few<MemberIndex, u32, 1>,
    tags: Few<Tag, MemberIndex, 4>,
}

impl Store {
    /// Begins; `known` are members that are known to have the record.
    pub fn start(
        cx: &mut Context<'_>,
        key: Key,
        version: Version,
        content: Content,
        intent: Intent,
        known: &[MemberIndex],
    ) -> (Self, Progress<StoreEnd>) {
        let mut quorum = WriteQuorum::new(cx.placement, key.slot());
        for &member in known {
            quorum.add(member);
        }
        let mut store = Self {
            key,
            version,
            content,
            intent,
            // Its own for every record: a read that is overtaken spreads another value next, and
            // chunks of the first may still be on their way.
            upload: UploadId(cx.upload().0 ^ u128::from_be_bytes(version.to_bytes())),
            quorum,
            asks: Few::default(),
            resends: Few::default(),
            tags: Few::default(),
        };
        let members = store.quorum.members();
        // Where too few can be asked from the start, nobody is: nothing is left behind then.
        let is_possible = store
            .quorum
            .shortfall(|member| cx.is_live(member))
            .is_none();
        for member in members {
            if store.quorum.has(member) {
                store.asks.insert(member, Ask::Stored);
            } else if cx.is_live(member) {
                store
                    .asks
                    .insert(member, Ask::Uploading { next: 0, stored: 0 });
                if is_possible {
                    store.begin(cx, member);
                }
            } else {
                let why = "not connected".to_owned();
                store.asks.insert(
                    member,
                    Ask::Failed {
                        why,
                        may_exist: false,
                    },
                );
            }
        }
        let progress = store.progress(cx);
        (store, progress)
    }

    /// Whether some member may have stored the record.
    pub fn may_exist(&self) -> bool {
        self.asks.values().any(|ask| match ask {
            // Of an offer, too: chunks of an earlier try may still be there.
            Ask::Offered | Ask::Asked | Ask::Stored | Ask::StoredUncounted => true,
            Ask::Failed { may_exist, .. } => *may_exist,
            Ask::Uploading { .. } | Ask::Teaching => false,
        })
    }

    /// The failure when time has run out.
    pub fn deadline(&self, cx: &Context<'_>, limit_ms: u64) -> Failure {
        let slot = self.key.slot();
        Failure::Deadline {
            slot,
            needed: self.quorum.needed(),
            limit_ms,
            absent: self.absent(cx),
        }
    }

    /// Takes an event that answers one of this store's tags.
    pub fn step(&mut self, cx: &mut Context<'_>, event: Event) -> Progress<StoreEnd> {
        let Some(member) = event.tag().and_then(|tag| self.tags.remove(tag)) else {
            return Progress::Pending;
        };
        match event {
            Event::Reply { reply, .. } => self.on_reply(cx, member, reply),
            Event::NotSent { why, .. } => self.fail(cx, member, why),
            Event::Lost { why, .. } => {
                let asked = matches!(self.asks.get(member), Some(Ask::Offered | Ask::Asked));
                let is_forgotten = planted::is(Bug::LostDeleteNotDone)
                    && matches!(self.content, Content::Tombstone);
                self.asks.insert(
                    member,
                    Ask::Failed {
                        why,
                        may_exist: asked && !is_forgotten,
                    },
                );
                self.progress(cx)
            }
            Event::PlacementChanged | Event::Wake => Progress::Pending,
        }
    }

    fn on_reply(
        &mut self,
        cx: &mut Context<'_>,
        member: MemberIndex,
        reply: Reply,
    ) -> Progress<StoreEnd> {
        match reply {
            Reply::Stored {
                standing: Standing::Voter,
            } => {
                self.quorum.add(member);
                self.asks.insert(member, Ask::Stored);
                self.progress(cx)
            }
            Reply::Stored { .. } => {
                self.asks.insert(member, Ask::StoredUncounted);
                self.progress(cx)
            }
            Reply::Superseded { by } => Progress::Ended(StoreEnd::Superseded(by)),
            Reply::ChunkStored => {
                if let Some(Ask::Uploading { stored, .. }) = self.asks.get_mut(member) {
                    *stored += 1;
                    self.go_on(cx, member);
                }
                self.progress(cx)
            }
            Reply::Adopted { .. } => {
                self.begin(cx, member);
                self.progress(cx)
            }
            Reply::Refused(Refusal::StaleEpoch(placement)) => {
                let may_exist = self.may_exist_beside(member);
                cx.effects.push(Effect::Learn(placement));
                Progress::Ended(StoreEnd::PlacementChanged { may_exist })
            }
            Reply::Refused(Refusal::BehindEpoch { .. }) if self.may_resend(member) => {
                // What else was sent to it is refused for the same reason.
                self.tags.retain(|_, &of| of != member);
                let tag = cx.send(member, Request::Adopt(cx.placement.clone()));
                self.tags.insert(tag, member);
                self.asks.insert(member, Ask::Teaching);
                Progress::Pending
            }
            Reply::Refused(Refusal::ChunksMissing) if self.may_upload(member) => {
                // Chunks still on their way to it from before are not waited for.
                self.tags.retain(|_, &of| of != member);
                self.asks
                    .insert(member, Ask::Uploading { next: 0, stored: 0 });
                self.go_on(cx, member);
                Progress::Pending
            }
            Reply::Uncertain(why) => {
                self.asks.insert(
                    member,
                    Ask::Failed {
                        why,
                        may_exist: true,
                    },
                );
                self.progress(cx)
            }
            Reply::Refused(refusal) => self.fail(cx, member, refusal.to_string()),
            other => self.fail(cx, member, format!("it answered {other:?}")),
        }
    }

    /// The member refused, so only the others can have it.
    fn may_exist_beside(&mut self, member: MemberIndex) -> bool {
        self.asks.insert(
            member,
            Ask::Failed {
                why: "a newer placement".into(),
                may_exist: false,
            },
        );
        self.may_exist()
    }

    /// What was offered and not there yet is no loss.
    fn may_upload(&mut self, member: MemberIndex) -> bool {
        matches!(self.asks.get(member), Some(Ask::Offered)) || self.may_resend(member)
    }

    fn may_resend(&mut self, member: MemberIndex) -> bool {
        let resends = self.resends.get(member).unwrap_or(&0) + 1;
        self.resends.insert(member, resends);
        resends <= RESENDS_MAX
    }

    fn fail(
        &mut self,
        cx: &mut Context<'_>,
        member: MemberIndex,
        why: String,
    ) -> Progress<StoreEnd> {
        self.asks.insert(
            member,
            Ask::Failed {
                why,
                may_exist: false,
            },
        );
        self.progress(cx)
    }

    /// Starts with a member from the beginning.
    fn begin(&mut self, cx: &mut Context<'_>, member: MemberIndex) {
        // Chunks still on their way to it from before are not waited for.
        self.tags.retain(|_, &of| of != member);
        let is_whole = self.chunks() == 0;
        let ask = if is_whole { Ask::Asked } else { Ask::Offered };
        self.ask(cx, member, ask);
    }

    /// Asks a member to store the record.
    fn ask(&mut self, cx: &mut Context<'_>, member: MemberIndex, ask: Ask) {
        let record = Record {
            version: self.version,
            body: self.body(),
        };
        let (key, intent) = (self.key.clone(), self.intent);
        let request = Request::Put {
            scope: self.scope(cx),
            key,
            record,
            intent,
        };
        let tag = cx.send(member, request);
        self.tags.insert(tag, member);
        self.asks.insert(member, ask);
    }

    /// Sends what the window allows; the record itself once all chunks are there.
    fn go_on(&mut self, cx: &mut Context<'_>, member: MemberIndex) {
        let chunks = self.chunks();
        let Some(Ask::Uploading { next, stored }) = self.asks.get(member) else {
            return;
        };
        let (mut next, stored) = (*next, *stored);
        if stored == chunks {
            return self.ask(cx, member, Ask::Asked);
        }
        while next < chunks && next - stored < CHUNK_WINDOW {
            let bytes = self.chunk(next);
            let (scope, upload) = (self.scope(cx), self.upload);
            let tag = cx.send(
                member,
                Request::PutChunk {
                    scope,
                    upload,
                    index: next,
                    bytes,
                },
            );
            self.tags.insert(tag, member);
            next += 1;
        }
        self.asks.insert(member, Ask::Uploading { next, stored });
    }

    fn scope(&self, cx: &Context<'_>) -> Scope {
        Scope {
            slot: self.key.slot(),
            epoch: cx.placement.epoch(),
            began_at: cx.began_at,
        }
    }

    /// Chunks to send before the record, none when it travels whole.
    fn chunks(&self) -> u32 {
        match &self.content {
            Content::Value(_, bytes) if bytes.len() > CHUNK_BYTES => {
                u32::try_from(bytes.len().div_ceil(CHUNK_BYTES)).expect("values are limited")
            }
            _ => 0,
        }
    }

    fn chunk(&self, index: u32) -> Bytes {
        let Content::Value(_, bytes) = &self.content else {
            return Bytes::new();
        };
        let start = index as usize * CHUNK_BYTES;
        bytes.slice(start..bytes.len().min(start + CHUNK_BYTES))
    }

    fn body(&self) -> Body {
        match &self.content {
            Content::Tombstone => Body::Tombstone,
            Content::Value(meta, _) if self.chunks() > 0 => Body::Value {
                meta: *meta,
                payload: Payload::Chunked(self.upload),
            },
            Content::Value(meta, bytes) => Body::Value {
                meta: *meta,
                payload: Payload::Whole(bytes.clone()),
            },
        }
    }

    fn progress(&self, cx: &Context<'_>) -> Progress<StoreEnd> {
        if self.quorum.is_reached() {
            return Progress::Ended(StoreEnd::Stored);
        }
        let may_still = |member| {
            matches!(
                self.asks.get(member),
                Some(Ask::Offered | Ask::Uploading { .. } | Ask::Asked | Ask::Teaching)
            )
        };
        match self.quorum.shortfall(may_still) {
            None => Progress::Pending,
            Some((needed, copies, able)) => {
                let slot = self.key.slot();
                let absent = self.absent(cx);
                let failure = Failure::TooFew {
                    slot,
                    needed,
                    copies,
                    able,
                    absent,
                };
                Progress::Ended(StoreEnd::Failed {
                    failure,
                    may_exist: self.may_exist(),
                })
            }
        }
    }

    fn absent(&self, cx: &Context<'_>) -> Vec<Absent> {
        let absent = self.asks.iter().filter_map(|(member, ask)| {
            let why = match ask {
                // Nothing was sent to who has taken no chunk yet: it is not in the way.
                Ask::Stored | Ask::Uploading { next: 0, .. } => return None,
                Ask::StoredUncounted => "it is catching up and counts in no quorum",
                Ask::Uploading { .. } => "it was still taking the value's chunks",
                Ask::Offered | Ask::Asked => "no answer yet",
                Ask::Teaching => "it was still taking the placement",
                Ask::Failed { why, .. } => why,
            };
            Some(Absent::new(cx.placement, member, why))
        });
        absent.collect()
    }
}
