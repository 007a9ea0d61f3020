//! Slots that move between real members, step by step as the conductor decides.

// Test helpers outside of #[test] functions may unwrap too.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    placement::{
        Member, MemberId, Placement, Quorums,
        conductor::{Conductor, Limits, Report, Session, Sighting, Sightings, Wanted},
    },
    record::{Record, UploadId},
    replica::Replica,
    slot::Slot,
    status::{MemberStatus, StorageMode},
    wire::{Intent, Refusal, Reply, Request, Scope},
};
use kvserver::store::StoreOptions;

#[path = "fixture/members.rs"]
mod members;
#[path = "fixture/records.rs"]
mod records;

use members::{Members, now, until};
use records::{key, large, payload, small, version};

/// An author over some members, for as long as a test goes on.
struct Author {
    conductor: Conductor,
    placement: Placement,
    wanted: Wanted,
    limits: Limits,
    destroyed: BTreeSet<MemberId>,
    away: BTreeSet<MemberId>,
    steps: u64,
}

impl Author {
    fn of(members: &Members) -> Self {
        let placement = members.server(0).placement().unwrap();
        Self {
            conductor: Conductor::default(),
            wanted: Wanted {
                members: placement.members().to_vec(),
                drained: BTreeSet::new(),
                copies: placement.parts().copies,
                quorums: Quorums::default(),
            },
            placement,
            limits: Limits {
                moves_per_member: 200,
                ..Limits::default()
            },
            destroyed: BTreeSet::new(),
            away: BTreeSet::new(),
            steps: 0,
        }
    }

    fn want(&mut self, id: MemberId) {
        self.wanted.members.push(Member {
            id,
            address: format!("{id}:1"),
            zone: String::new(),
            weight: 1,
        });
    }

    fn sightings(&self, members: &Members) -> Sightings {
        let mut sightings = Sightings::new();
        for number in 0..members.running.len() {
            if members.running[number].is_some() {
                let status = members.server(number).status();
                sightings.insert(status.id, seen(&status));
            }
        }
        for &id in &self.away {
            sightings.entry(id).or_default().away_ms = self.limits.repair_after_ms;
        }
        for &id in &self.destroyed {
            sightings.entry(id).or_default().is_destroyed = true;
        }
        sightings
    }

    /// Publishes the next placement, if there is one.
    async fn step(&mut self, members: &Members) -> bool {
        let sightings = self.sightings(members);
        let decision =
            self.conductor
                .decide(&self.placement, &self.wanted, &sightings, &self.limits);
        let Some(next) = decision.next else {
            return false;
        };
        self.placement = next.clone();
        self.steps += 1;
        for number in 0..members.running.len() {
            if members.running[number].is_some() {
                members.adopt(number, next.clone()).await;
            }
        }
        true
    }

    /// Goes on until everything is as it is wanted.
    async fn settle(&mut self, members: &Members) {
        let began = Instant::now();
        loop {
            if self.step(members).await {
                continue;
            }
            let sightings = self.sightings(members);
            let decision =
                self.conductor
                    .decide(&self.placement, &self.wanted, &sightings, &self.limits);
            if decision.is_nothing() {
                return;
            }
            let waits: Vec<_> = decision
                .waits
                .iter()
                .map(|w| w.reason.to_string())
                .collect();
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "not within 60 s, after {} steps: {waits:?}",
                self.steps
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn scope(&self, slot: Slot) -> Scope {
        Scope {
            slot,
            epoch: self.placement.epoch(),
            began_at: now(),
        }
    }

    /// The members that hold a key's slot when everything is settled.
    fn holders(&self, members: &Members, key: &Key) -> Vec<usize> {
        let set = self.placement.slot(key.slot()).current().members();
        let ids: BTreeSet<_> = set.iter().map(|&m| self.placement.member(m).id).collect();
        (0..members.ids.len())
            .filter(|&number| ids.contains(&members.ids[number]))
            .collect()
    }

    async fn get(&self, members: &Members, number: usize, key: &Key) -> Reply {
        let request = Request::Get {
            scope: self.scope(key.slot()),
            key: key.clone(),
        };
        members.server(number).call(request).await.unwrap()
    }

    /// Everybody has what its slots should have, and nobody else has anything.
    async fn check(&self, members: &Members, keys: u32) {
        for number in 0..keys {
            let key = key(number);
            let holders = self.holders(members, &key);
            assert_eq!(holders.len(), self.placement.copies());
            for &holder in &holders {
                let reply = self.get(members, holder, &key).await;
                let expected = value_of(number);
                let Reply::Record { record, .. } = reply else {
                    panic!("{key} of member {holder}: {reply:?}");
                };
                assert_eq!(record, Some(expected), "{key} of member {holder}");
            }
        }
        for number in 0..members.running.len() {
            if members.running[number].is_none() {
                continue;
            }
            let server = members.server(number);
            let index = self.placement.index_of(server.member());
            for slot in Slot::all() {
                let is_held = index.is_some_and(|index| self.placement.slot(slot).names(index));
                assert!(
                    is_held || !server.store().has_records(slot),
                    "member {number} still has records of slot {slot}"
                );
            }
        }
    }
}

fn value_of(number: u32) -> Record {
    let text = format!("value {number}");
    small(u64::from(number) + 1, Bytes::from(text))
}

fn seen(status: &MemberStatus) -> Sighting {
    let sessions = status.sessions.iter().map(|session| {
        let slot = Slot::new(session.slot).unwrap();
        let said = Session {
            epoch: session.since,
            pulled: session.pulled.iter().copied().collect(),
            given: session.given.iter().copied().collect(),
            handed_over: session.handed_over,
        };
        (slot, said)
    });
    Sighting {
        report: Some(Report {
            epoch: status.epoch,
            digest: status.digest,
            is_caught_up: status.ready,
            sessions: sessions.collect(),
        }),
        ..Sighting::default()
    }
}

fn options(mode: StorageMode) -> StoreOptions {
    records::options(mode)
}

/// Stores small values on all members of their slots.
async fn fill(author: &Author, members: &Members, keys: u32) {
    let put = |number: u32, holder: usize| {
        let key = key(number);
        let request = Request::Put {
            scope: author.scope(key.slot()),
            key,
            record: value_of(number),
            intent: Intent::Repair,
        };
        members.server(holder).call(request)
    };
    for first in (0..keys).step_by(500) {
        let numbers = first..keys.min(first + 500);
        let puts = numbers.flat_map(|number| {
            let holders = author.holders(members, &key(number));
            holders.into_iter().map(move |holder| (number, holder))
        });
        let puts = puts.map(|(number, holder)| put(number, holder));
        for reply in futures_util::future::join_all(puts).await {
            assert!(matches!(reply, Ok(Reply::Stored { .. })), "{reply:?}");
        }
    }
}

async fn add_blank(members: &mut Members, author: &mut Author) -> usize {
    let number = members.running.len();
    members.directories.push(tempfile::tempdir().unwrap());
    members.running.push(None);
    members.ids.push(MemberId(uuid::Uuid::nil()));
    members.restart(number).await;
    members.ids[number] = members.server(number).member();
    author.want(members.ids[number]);
    number
}

async fn joins_and_leaves(mode: StorageMode) {
    let keys = 3_000;
    let mut members = Members::start(3, 3, options(mode)).await;
    for number in 0..3 {
        members.until_ready(number).await;
    }
    let mut author = Author::of(&members);
    fill(&author, &members, keys).await;
    let joined = add_blank(&mut members, &mut author).await;
    author.settle(&members).await;
    author.check(&members, keys).await;
    assert_eq!(members.server(joined).status().slots, 768);
    let before = members.server(0).store().memory_bytes();
    author.wanted.drained.insert(members.ids[0]);
    author.settle(&members).await;
    author.check(&members, keys).await;
    assert_eq!(members.server(0).status().slots, 0);
    assert_eq!(members.server(0).store().keys(), 0);
    let server = members.server(0);
    until("memory comes back", || {
        server.store().memory_bytes() < before / 2
    })
    .await;
    // What was dropped stays so, and what was copied is there, from the disk alone.
    for number in 0..4 {
        members.kill(number).await;
        members.restart(number).await;
    }
    for number in 0..4 {
        members.until_ready(number).await;
    }
    author.check(&members, keys).await;
    members.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_joins_and_another_leaves_with_values_in_memory() {
    joins_and_leaves(StorageMode::Memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_joins_and_another_leaves_with_values_on_disk() {
    joins_and_leaves(StorageMode::Disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_member_is_replaced_from_those_that_are_left() {
    let keys = 500;
    let mut members = Members::start(4, 3, options(StorageMode::Memory)).await;
    for number in 0..4 {
        members.until_ready(number).await;
    }
    let mut author = Author::of(&members);
    fill(&author, &members, keys).await;
    members.stop(2).await;
    author.away.insert(members.ids[2]);
    author.settle(&members).await;
    author.check(&members, keys).await;
    // It comes back when its slots have another home: what it holds is known there, and goes.
    author.away.clear();
    author.wanted.drained.insert(members.ids[2]);
    members.restart(2).await;
    members.adopt(2, author.placement.clone()).await;
    author.settle(&members).await;
    let returned = members.server(2);
    until("the returned member has dropped what others have", || {
        returned.store().keys() == 0
    })
    .await;
    author.check(&members, keys).await;
    members.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_else_has_stays_with_a_member_that_returns() {
    let mut members = Members::start(4, 3, options(StorageMode::Memory)).await;
    for number in 0..4 {
        members.until_ready(number).await;
    }
    let mut author = Author::of(&members);
    fill(&author, &members, 50).await;
    let mut held = (0..50).map(key);
    let alone = held.find(|key| author.holders(&members, key).contains(&2));
    let alone = alone.unwrap();
    // Nobody else has it, and no quorum ever did.
    let request = Request::Put {
        scope: author.scope(alone.slot()),
        key: alone.clone(),
        record: small(9_000, Bytes::from_static(b"alone")),
        intent: Intent::Repair,
    };
    members.reachable.remove(members.ids[2]);
    members.server(2).call(request).await.unwrap();
    members.stop(2).await;
    author.away.insert(members.ids[2]);
    author.settle(&members).await;
    author.away.clear();
    author.wanted.drained.insert(members.ids[2]);
    members.restart(2).await;
    members.adopt(2, author.placement.clone()).await;
    let returned = members.server(2);
    until("all but one slot is dropped", || {
        let left = Slot::all().filter(|&slot| returned.store().has_records(slot));
        left.count() == 1
    })
    .await;
    assert!(returned.store().has_records(alone.slot()));
    until("it is told", || returned.status().slots_left == Some(1)).await;
    // And it was merged into nobody's.
    for holder in author.holders(&members, &alone) {
        let Reply::Record { record, .. } = author.get(&members, holder, &alone).await else {
            panic!("it answers with a record");
        };
        assert_ne!(record.unwrap().version, version(9_000));
    }
    members.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_go_up_and_down_and_large_values_come_along() {
    let keys = 300;
    let members = Members::start(4, 2, options(StorageMode::Disk)).await;
    for number in 0..4 {
        members.until_ready(number).await;
    }
    let mut author = Author::of(&members);
    fill(&author, &members, keys).await;
    let big = Key::copy_from(b"a large one").unwrap();
    let bytes = payload(3, 2 * CHUNK_BYTES + 7);
    for holder in author.holders(&members, &big) {
        for (index, part) in (0u32..).zip(bytes.chunks(CHUNK_BYTES)) {
            let request = Request::PutChunk {
                scope: author.scope(big.slot()),
                upload: UploadId(77),
                index,
                bytes: bytes.slice_ref(part),
            };
            members.server(holder).call(request).await.unwrap();
        }
        let request = Request::Put {
            scope: author.scope(big.slot()),
            key: big.clone(),
            record: large(5, 77, bytes.len()),
            intent: Intent::Repair,
        };
        members.server(holder).call(request).await.unwrap();
    }
    for copies in [3, 4, 3, 1, 3] {
        author.wanted.copies = copies;
        author.settle(&members).await;
        author.check(&members, keys).await;
        for holder in author.holders(&members, &big) {
            let request = Request::GetChunk {
                scope: author.scope(big.slot()),
                key: big.clone(),
                version: version(5),
                index: 2,
            };
            let reply = members.server(holder).call(request).await.unwrap();
            assert_eq!(
                reply,
                Reply::Chunk(bytes.slice(2 * CHUNK_BYTES..)),
                "{copies}"
            );
        }
    }
    members.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_by_an_older_placement_is_told_the_newer_one() {
    let mut members = Members::start(3, 3, options(StorageMode::Memory)).await;
    for number in 0..3 {
        members.until_ready(number).await;
    }
    let mut author = Author::of(&members);
    fill(&author, &members, 100).await;
    let old = author.placement.clone();
    add_blank(&mut members, &mut author).await;
    author.settle(&members).await;
    let moved = (0..100)
        .map(key)
        .find(|key| author.placement.slot(key.slot()).since() > old.epoch());
    let stayed = (0..100)
        .map(key)
        .find(|key| author.placement.slot(key.slot()).since() == old.epoch());
    let ask = |key: Key| Request::Get {
        scope: Scope {
            slot: key.slot(),
            epoch: old.epoch(),
            began_at: now(),
        },
        key,
    };
    for number in 0..3 {
        let reply = members
            .server(number)
            .call(ask(moved.clone().unwrap()))
            .await;
        let Ok(Reply::Refused(Refusal::StaleEpoch(newer))) = reply else {
            panic!("{reply:?}");
        };
        assert_eq!(newer, author.placement);
        let reply = members
            .server(number)
            .call(ask(stayed.clone().unwrap()))
            .await;
        assert!(matches!(reply, Ok(Reply::Record { .. })), "{reply:?}");
    }
    members.stop_all().await;
}
