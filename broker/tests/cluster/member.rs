//! A member in memory: stores what is newer, refuses other epochs, fails as it is told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::{CHUNK_BYTES, PAGE_VALUE_BYTES_MAX},
    placement::{Epoch, MemberId, Placement},
    record::{Body, Payload, Record, UploadId, ValueMeta},
    replica::{CallError, PendingReply, Replica},
    slot::SlotSet,
    version::Version,
    wire::{Found, Page, PageEntry, Refusal, Reply, Request, Standing, Want},
};
use parking_lot::Mutex;

/// What a member stores under a key.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) version: Version,
    pub(crate) value: Option<(ValueMeta, Bytes)>,
}

impl Stored {
    fn found(&self) -> Found {
        match self.value {
            Some(_) => Found::Value(self.version),
            None => Found::Tombstone(self.version),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) is_down: AtomicBool,
    /// Carries requests out, and its replies to writes are lost.
    pub(crate) loses_replies: AtomicBool,
    pub(crate) delay_ms: AtomicU64,
    pub(crate) chunks_served: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    placement: Option<Placement>,
    records: BTreeMap<Key, Stored>,
    chunks: HashMap<(UploadId, u32), Bytes>,
}

impl Member {
    pub(crate) fn new(id: MemberId) -> Self {
        Self {
            id,
            is_down: AtomicBool::new(false),
            loses_replies: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            chunks_served: AtomicUsize::new(0),
            state: Mutex::default(),
        }
    }

    /// The member as brokers see it.
    pub(crate) fn way(self: &Arc<Self>) -> Arc<dyn Replica> {
        Arc::new(Way(Arc::clone(self)))
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    pub(crate) fn set_delay(&self, delay_ms: u64) {
        self.delay_ms.store(delay_ms, Ordering::Relaxed);
    }

    pub(crate) fn placement(&self) -> Option<Placement> {
        self.state.lock().placement.clone()
    }

    pub(crate) fn stored(&self, key: &Key) -> Option<Stored> {
        self.state.lock().records.get(key).cloned()
    }

    /// Puts a record there behind everybody's back; `None` takes it away.
    pub(crate) fn set(&self, key: &Key, stored: Option<Stored>) {
        let mut state = self.state.lock();
        match stored {
            Some(stored) => state.records.insert(key.clone(), stored),
            None => state.records.remove(key),
        };
    }

    fn answer(&self, request: Request) -> Reply {
        let mut state = self.state.lock();
        let epoch = match &request {
            Request::Get { scope, .. }
            | Request::GetVersion { scope, .. }
            | Request::GetChunk { scope, .. }
            | Request::Put { scope, .. }
            | Request::PutChunk { scope, .. } => Some(scope.epoch),
            Request::Scan { scope, .. } => Some(scope.epoch),
            _ => None,
        };
        if let Some(refusal) = epoch.and_then(|epoch| state.refusal(epoch)) {
            return Reply::Refused(refusal);
        }
        match request {
            Request::FetchPlacement => Reply::Placement(state.placement.clone()),
            Request::Adopt(placement) => state.adopt(placement),
            Request::Get { key, .. } => state.get(&key),
            Request::GetVersion { key, .. } => Reply::Version {
                standing: Standing::Voter,
                found: state.records.get(&key).map(Stored::found),
            },
            Request::GetChunk {
                key,
                version,
                index,
                ..
            } => {
                self.chunks_served.fetch_add(1, Ordering::Relaxed);
                state.chunk(&key, version, index as usize)
            }
            Request::Put { key, record, .. } => state.put(key, record),
            Request::PutChunk {
                upload,
                index,
                bytes,
                ..
            } => {
                state.chunks.insert((upload, index), bytes);
                Reply::ChunkStored
            }
            Request::Scan {
                scope,
                prefix,
                after,
                limit,
                want,
            } => state.scan(&scope.slots, &prefix, after.as_ref(), limit, want),
            other => Reply::Refused(Refusal::Invalid(format!("{other:?}"))),
        }
    }
}

impl State {
    fn refusal(&self, epoch: Epoch) -> Option<Refusal> {
        let have = self.placement.as_ref().map_or(Epoch(0), Placement::epoch);
        match epoch.cmp(&have) {
            std::cmp::Ordering::Less => {
                let placement = self.placement.clone().expect("epoch is above zero");
                Some(Refusal::StaleEpoch(placement))
            }
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Refusal::BehindEpoch { have }),
        }
    }

    fn adopt(&mut self, placement: Placement) -> Reply {
        if let Some(have) = &self.placement {
            if have.epoch() > placement.epoch() {
                return Reply::Refused(Refusal::StaleEpoch(have.clone()));
            }
            if have.epoch() == placement.epoch() && have.digest() != placement.digest() {
                return Reply::Refused(Refusal::Placement("another digest".to_owned()));
            }
        }
        let (epoch, digest) = (placement.epoch(), placement.digest());
        self.placement = Some(placement);
        Reply::Adopted { epoch, digest }
    }

    fn get(&self, key: &Key) -> Reply {
        let record = self.records.get(key).map(|stored| {
            let body = match &stored.value {
                None => Body::Tombstone,
                Some((meta, bytes)) if bytes.len() > CHUNK_BYTES => Body::Value {
                    meta: *meta,
                    payload: Payload::Chunked(UploadId(0)),
                },
                Some((meta, bytes)) => Body::Value {
                    meta: *meta,
                    payload: Payload::Whole(bytes.clone()),
                },
            };
            let version = stored.version;
            Record { version, body }
        });
        Reply::Record {
            standing: Standing::Voter,
            record,
        }
    }

    fn chunk(&self, key: &Key, version: Version, index: usize) -> Reply {
        let stored = self
            .records
            .get(key)
            .filter(|stored| stored.version == version);
        let Some((_, bytes)) = stored.and_then(|stored| stored.value.as_ref()) else {
            return Reply::Refused(Refusal::Gone);
        };
        let start = index * CHUNK_BYTES;
        Reply::Chunk(bytes.slice(start..bytes.len().min(start + CHUNK_BYTES)))
    }

    fn put(&mut self, key: Key, record: Record) -> Reply {
        let standing = Standing::Voter;
        if let Some(have) = self.records.get(&key) {
            if have.version > record.version {
                return Reply::Superseded { by: have.version };
            }
            if have.version == record.version {
                return Reply::Stored { standing };
            }
        }
        let value = match record.body {
            Body::Tombstone => None,
            Body::Value {
                meta,
                payload: Payload::Whole(bytes),
            } => Some((meta, bytes)),
            Body::Value {
                meta,
                payload: Payload::Chunked(upload),
            } => {
                let mut whole = Vec::new();
                for index in (0..).take((meta.length as usize).div_ceil(CHUNK_BYTES)) {
                    let Some(bytes) = self.chunks.remove(&(upload, index)) else {
                        return Reply::Refused(Refusal::ChunksMissing);
                    };
                    whole.extend_from_slice(&bytes);
                }
                Some((meta, whole.into()))
            }
        };
        let version = record.version;
        self.records.insert(key, Stored { version, value });
        Reply::Stored { standing }
    }

    fn scan(
        &self,
        slots: &SlotSet,
        prefix: &[u8],
        after: Option<&Key>,
        limit: u16,
        want: Want,
    ) -> Reply {
        let matching = self.records.iter().filter(|(key, _)| {
            key.as_bytes().starts_with(prefix)
                && slots.contains(key.slot())
                && after.is_none_or(|after| *key > after)
        });
        let mut entries: Vec<_> = matching
            .take(usize::from(limit) + 1)
            .map(|(key, stored)| {
                let fits = |value: &&(ValueMeta, Bytes)| {
                    want == Want::Values && value.1.len() <= PAGE_VALUE_BYTES_MAX
                };
                PageEntry {
                    key: key.clone(),
                    found: stored.found(),
                    value: stored.value.as_ref().filter(fits).cloned(),
                }
            })
            .collect();
        let more = entries.len() > usize::from(limit);
        entries.truncate(usize::from(limit));
        Reply::Page(Page {
            entries,
            more,
            unanswered: SlotSet::empty(),
        })
    }
}

/// A way to a member.
#[derive(Debug)]
struct Way(Arc<Member>);

impl Replica for Way {
    fn call(&self, request: Request) -> PendingReply {
        if let Some(why) = self.trouble() {
            return PendingReply::here(Err(CallError::NotSent(why)));
        }
        let member = Arc::clone(&self.0);
        PendingReply::waits(async move {
            let delay_ms = member.delay_ms.load(Ordering::Relaxed);
            if delay_ms > 0 {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            }
            let writes = matches!(request, Request::Put { .. });
            let reply = member.answer(request);
            if writes && member.loses_replies.load(Ordering::Relaxed) {
                return Err(CallError::Lost("the connection ended".to_owned()));
            }
            Ok(reply)
        })
    }

    fn trouble(&self) -> Option<String> {
        let is_down = self.0.is_down.load(Ordering::Relaxed);
        is_down.then(|| "connection refused".to_owned())
    }
}
