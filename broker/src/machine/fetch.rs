//! Bringing the chunks of one large value together.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    placement::MemberIndex,
    version::Version,
    wire::{Refusal, Reply, Request, Scope},
};

use super::effect::{Context, Event, Progress, Tag};

/// Chunks on their way at once: enough to fill the wire while one is being answered.
const CHUNK_WINDOW: usize = 4;

/// How a fetch ended.
#[derive(Debug, PartialEq)]
pub enum FetchEnd {
    /// All bytes of the value.
    Whole(Bytes),
    /// The version was overwritten meanwhile, or a newer placement is needed: read again.
    Again,
    /// No holder could give all chunks; the last one's reason.
    Failed(String),
}

/// The fetch of one value of one version; chunks may come from several holders, since a version
/// has the same bytes everywhere.
#[derive(Debug)]
pub struct Fetch {
    key: Key,
    version: Version,
    length: usize,
    /// Holders not yet given up; the last is being asked.
    holders: Vec<MemberIndex>,
    chunks: Vec<Option<Bytes>>,
    next: usize,
    tags: BTreeMap<Tag, usize>,
    /// Whether a chunk came since the last look.
    progressed: bool,
}

impl Fetch {
    /// Begins with the last of `holders`, which is not empty.
    pub fn start(
        cx: &mut Context<'_>,
        key: Key,
        version: Version,
        length: u32,
        holders: Vec<MemberIndex>,
    ) -> Self {
        let chunks = vec![None; (length as usize).div_ceil(CHUNK_BYTES)];
        let mut fetch = Self {
            key,
            version,
            length: length as usize,
            holders,
            chunks,
            next: 0,
            tags: BTreeMap::new(),
            progressed: true,
        };
        fetch.go_on(cx);
        fetch
    }

    /// Takes an event that answers one of this fetch's tags; others are ignored.
    pub fn step(&mut self, cx: &mut Context<'_>, event: Event) -> Progress<FetchEnd> {
        let Some(index) = event.tag().and_then(|tag| self.tags.remove(&tag)) else {
            return Progress::Pending;
        };
        match event {
            Event::Reply {
                reply: Reply::Chunk(bytes),
                ..
            } if bytes.len() == self.size(index) => {
                self.chunks[index] = Some(bytes);
                self.progressed = true;
                self.go_on(cx);
                self.finish()
            }
            Event::Reply {
                reply: Reply::Refused(Refusal::Gone | Refusal::StaleEpoch(_)),
                ..
            } => Progress::Ended(FetchEnd::Again),
            Event::Reply {
                reply: Reply::Refused(refusal),
                ..
            } => self.turn_to_next(cx, refusal.to_string()),
            Event::Reply { .. } => {
                self.turn_to_next(cx, "a chunk of the wrong size, or no chunk".to_owned())
            }
            Event::NotSent { why, .. } | Event::Lost { why, .. } => self.turn_to_next(cx, why),
            Event::PlacementChanged | Event::Wake => Progress::Pending,
        }
    }

    /// Nothing came for a while: the next holder is asked, this one again after all others.
    pub fn turn_from_silent(&mut self, cx: &mut Context<'_>) {
        if std::mem::take(&mut self.progressed) || self.holders.len() < 2 {
            return;
        }
        self.holders.rotate_right(1);
        self.tags.clear();
        self.next = 0;
        self.go_on(cx);
    }

    fn size(&self, index: usize) -> usize {
        CHUNK_BYTES.min(self.length - index * CHUNK_BYTES)
    }

    fn turn_to_next(&mut self, cx: &mut Context<'_>, why: String) -> Progress<FetchEnd> {
        self.holders.pop();
        if self.holders.is_empty() {
            return Progress::Ended(FetchEnd::Failed(why));
        }
        self.tags.clear();
        self.next = 0;
        self.go_on(cx);
        Progress::Pending
    }

    fn go_on(&mut self, cx: &mut Context<'_>) {
        let Some(&holder) = self.holders.last() else {
            return;
        };
        while self.tags.len() < CHUNK_WINDOW && self.next < self.chunks.len() {
            let index = self.next;
            self.next += 1;
            if self.chunks[index].is_some() {
                continue;
            }
            let scope = Scope {
                slot: self.key.slot(),
                epoch: cx.placement.epoch(),
                began_at: cx.began_at,
            };
            let request = Request::GetChunk {
                scope,
                key: self.key.clone(),
                version: self.version,
                index: u32::try_from(index).expect("values are limited"),
            };
            let tag = cx.send(holder, request);
            self.tags.insert(tag, index);
        }
    }

    fn finish(&mut self) -> Progress<FetchEnd> {
        if !self.chunks.iter().all(Option::is_some) {
            return Progress::Pending;
        }
        let mut whole = BytesMut::with_capacity(self.length);
        for chunk in self.chunks.drain(..).flatten() {
            whole.extend_from_slice(&chunk);
        }
        Progress::Ended(FetchEnd::Whole(whole.freeze()))
    }
}
