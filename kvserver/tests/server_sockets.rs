//! What comes in by the peer port: wrong, rude, slow, large and many.

// Test helpers outside of #[test] functions may unwrap too.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use kvcore::{
    limits::{CHUNK_BYTES, CLOCK_SKEW_MS_MAX, VALUE_BYTES_MAX},
    placement::{ClusterId, Epoch, MemberId, Placement},
    record::{Record, UploadId},
    replica::Replica,
    slot::Slot,
    status::StorageMode,
    version::{HybridTime, Version, WriterId},
    wire::{
        Frame, Intent, Refusal, Reply, Request, RequestId, Scope, Secret, Standing,
        handshake::Expected,
    },
};
use kvnet::peer::client::PeerClient;
use kvserver::{
    limits::REQUEST_AGE_MS_MAX,
    process::{self, Running, ServerOptions},
    store::StoreOptions,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

#[path = "fixture/members.rs"]
mod members;
#[path = "fixture/raw.rs"]
mod raw;
#[path = "fixture/records.rs"]
mod records;

use members::{Reachable, get_request, now, placement, put_request, quiet, scope, secret, until};
use raw::Raw;
use records::{key, large, payload, small};

/// One server behind a socket, with a placement.
struct One {
    _directory: TempDir,
    running: Running,
    placement: Placement,
    address: SocketAddr,
}

impl One {
    async fn start(mode: StorageMode) -> Self {
        let store = StoreOptions {
            mode,
            ..StoreOptions::default()
        };
        Self::start_with(store).await
    }

    async fn start_with(store: StoreOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = ServerOptions {
            peer: Some("127.0.0.1:0".to_owned()),
            ..quiet(directory.path(), &store)
        };
        let dial = Arc::new(Reachable::default());
        let running = process::start(options, dial).await.unwrap();
        let address = running.peer().unwrap();
        let me = (running.server().member(), address.to_string());
        let placement = placement(&[me], 1, 1);
        let adopted = running
            .server()
            .call(Request::Adopt(placement.clone()))
            .await;
        assert!(matches!(adopted, Ok(Reply::Adopted { .. })));
        Self {
            _directory: directory,
            running,
            placement,
            address,
        }
    }

    async fn client(&self) -> PeerClient {
        let expected = Expected {
            cluster: Some(self.placement.cluster()),
            member: Some(self.running.server().member()),
        };
        let client = PeerClient::start(self.address.to_string(), expected, secret());
        until("a connection", || client.trouble().is_none()).await;
        client
    }

    /// Whether somebody else is served.
    async fn serves(&self) {
        let client = self.client().await;
        assert!(matches!(
            client.call(Request::Ping).await,
            Ok(Reply::Pong { .. })
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_and_told_why() {
    let one = One::start(StorageMode::Memory).await;
    let me = Expected {
        cluster: Some(one.placement.cluster()),
        member: Some(one.running.server().member()),
    };
    let other_secret = Secret::new(b"another secret of thirty-two bytes").unwrap();
    let cases = [
        (other_secret, me, "secret"),
        (
            secret(),
            Expected {
                cluster: Some(ClusterId(Uuid::from_u128(99))),
                ..me
            },
            "cluster",
        ),
        (
            secret(),
            Expected {
                member: Some(MemberId(Uuid::from_u128(99))),
                ..me
            },
            "member",
        ),
    ];
    for (secret, expected, named) in cases {
        let mut raw = Raw::connect(one.address).await;
        let refused = raw.shake(secret, expected).await.unwrap_err().to_string();
        assert!(refused.contains(named), "{refused}");
        assert_eq!(raw.receive().await, None, "the connection ends");
    }
    one.serves().await;
}

fn scope_at(slot: kvcore::slot::Slot, epoch: u64, began_at: kvcore::version::UnixMillis) -> Scope {
    Scope {
        slot,
        epoch: Epoch(epoch),
        began_at,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_another_time_or_place_are_refused() {
    let one = One::start(StorageMode::Memory).await;
    let client = one.client().await;
    let members: Vec<_> = [one.running.server().member(), MemberId(Uuid::from_u128(5))]
        .iter()
        .map(|&id| (id, "127.0.0.1:1".to_owned()))
        .collect();
    let second = placement(&members, 1, 2);
    let adopted = client.call(Request::Adopt(second.clone())).await;
    assert!(matches!(
        adopted,
        Ok(Reply::Adopted {
            epoch: Epoch(2),
            ..
        })
    ));
    let mine = second.slots_of(second.index_of(members[0].0).unwrap());
    let keys = |held| {
        (0..1_000)
            .map(key)
            .find(|key| mine.contains(key.slot()) == held)
    };
    let (key, foreign) = (keys(true).unwrap(), keys(false).unwrap());
    let get = |key: &kvcore::key::Key, epoch, began_at| Request::Get {
        scope: scope_at(key.slot(), epoch, began_at),
        key: key.clone(),
    };
    let refusal = async |request| match client.call(request).await {
        Ok(Reply::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let stale = refusal(get(&key, 1, now())).await;
    assert_eq!(stale, Refusal::StaleEpoch(second.clone()));
    let behind = refusal(get(&key, 3, now())).await;
    assert_eq!(behind, Refusal::BehindEpoch { have: Epoch(2) });
    let not_held = refusal(get(&foreign, 2, now())).await;
    assert_eq!(not_held, Refusal::NotHeld(foreign.slot()));
    let long_ago = kvcore::version::UnixMillis(now().0 - REQUEST_AGE_MS_MAX - 60_000);
    let old = refusal(get(&key, 2, long_ago)).await;
    assert!(matches!(old, Refusal::TooOld { .. }), "{old:?}");
    let other = mine.iter().find(|&slot| slot != key.slot()).unwrap();
    let wrong_slot = Request::Get {
        scope: scope_at(other, 2, now()),
        key: key.clone(),
    };
    assert!(matches!(refusal(wrong_slot).await, Refusal::Invalid(_)));
    let ahead = HybridTime::at(now().plus(2 * CLOCK_SKEW_MS_MAX));
    let ahead = Version::new(ahead, WriterId::from_random(4));
    for (intent, is_taken) in [
        (Intent::Fresh, false),
        (Intent::Successor, true),
        (Intent::Repair, true),
    ] {
        let request = Request::Put {
            scope: scope_at(key.slot(), 2, now()),
            key: key.clone(),
            record: Record::tombstone(ahead),
            intent,
        };
        match client.call(request).await.unwrap() {
            Reply::Stored { .. } => assert!(is_taken),
            Reply::Refused(Refusal::TooFarAhead { .. }) => assert!(!is_taken),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_protocol_end_their_own_connection_alone() {
    let one = One::start(StorageMode::Memory).await;
    let mut held = Vec::new();
    // Before the handshake: garbage, another protocol, a length beyond it.
    let http = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
    for bytes in [vec![0xFF; 100], http, (1u32 << 20).to_le_bytes().to_vec()] {
        let mut raw = Raw::connect(one.address).await;
        raw.socket.write_all(&bytes).await.unwrap();
        assert_eq!(raw.receive().await, None);
    }
    // Half a handshake, left open.
    let mut half = Raw::connect(one.address).await;
    half.socket.write_all(&[60, 0, 0]).await.unwrap();
    held.push(half);
    // After it: a length beyond any frame, a length below the smallest, a wrong checksum.
    let mut wrong = 40u32.to_le_bytes().to_vec();
    wrong.extend_from_slice(&[7; 40]);
    let lengths = [u32::MAX, 3].map(|length| length.to_le_bytes().to_vec());
    for bytes in lengths.into_iter().chain([wrong]) {
        let mut raw = Raw::open(one.address).await;
        raw.socket.write_all(&bytes).await.unwrap();
        assert_eq!(raw.receive().await, None);
    }
    // A frame that is whole and says nothing sensible is answered, and the connection goes on.
    let mut raw = Raw::open(one.address).await;
    for (kind, body) in [(250, &b""[..]), (4, b"short"), (1, b"too long")] {
        let frame = Frame {
            kind,
            id: RequestId(9),
            body: Bytes::copy_from_slice(body),
        };
        raw.send_frame(&frame).await;
        let (id, reply) = raw.reply().await;
        assert_eq!(id, 9);
        assert!(
            matches!(reply, Reply::Refused(Refusal::Invalid(_))),
            "{reply:?}"
        );
    }
    // Stalled in the middle of a frame.
    raw.socket.write_all(&[200, 0, 0, 0, 1, 2]).await.unwrap();
    held.push(raw);
    one.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_idle_connections_leave_room_for_those_who_ask() {
    kvnet::descriptors::raise_limit().unwrap();
    let one = One::start(StorageMode::Memory).await;
    let mut idle = Vec::new();
    for number in 0..1_500 {
        if number % 2 == 0 {
            idle.push(Raw::connect(one.address).await);
        } else {
            idle.push(Raw::open(one.address).await);
        }
    }
    let client = one.client().await;
    for number in 0..200 {
        let request = put_request(&key(number), small(1, payload(1, 100)));
        let standing = Standing::Voter;
        assert_eq!(client.call(request).await, Ok(Reply::Stored { standing }));
    }
    let last = idle.last_mut().unwrap();
    last.send(3, &Request::Ping).await;
    assert_eq!(last.reply().await, (3, Reply::Pong { epoch: Epoch(1) }));
    // And none of them keeps the server from stopping.
    one.running.stop().await.unwrap();
}

/// A client that asks and never reads is not worked for without bound, and harms nobody.
#[tokio::test(flavor = "multi_thread")]
async fn who_never_reads_is_not_answered_without_bound() {
    let one = One::start(StorageMode::Memory).await;
    let client = one.client().await;
    let big = key(1);
    let record = small(1, payload(1, CHUNK_BYTES));
    client.call(put_request(&big, record)).await.unwrap();
    let mut deaf = Raw::open(one.address).await;
    let mut sent = 0;
    // 256 MiB of replies are asked for; the server stops reading long before.
    let flood = async {
        for id in 0..1_000_000 {
            deaf.send(id, &get_request(&big)).await;
            sent = id;
        }
    };
    let stalled = tokio::time::timeout(std::time::Duration::from_secs(2), flood).await;
    assert!(stalled.is_err(), "all was taken");
    assert!(sent < 500_000);
    for number in 2..100 {
        let request = put_request(&key(number), small(1, payload(1, 100)));
        assert!(matches!(
            client.call(request).await,
            Ok(Reply::Stored { .. })
        ));
    }
    one.running.stop().await.unwrap();
}

/// The largest value goes in and out in chunks while small requests on the same connection are
/// answered: a hundred of them are done long before the transfer.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_value_holds_up_nobody_on_its_connection() {
    for mode in [StorageMode::Memory, StorageMode::Disk] {
        let one = One::start(mode).await;
        let client = one.client().await;
        let large_key = key(0);
        let bytes = payload(9, VALUE_BYTES_MAX);
        let part = |index: u32| {
            let start = index as usize * CHUNK_BYTES;
            bytes.slice(start..start + CHUNK_BYTES)
        };
        let count = (VALUE_BYTES_MAX / CHUNK_BYTES) as u32;
        let put_chunk = async |index| {
            let request = Request::PutChunk {
                scope: scope(large_key.slot()),
                upload: UploadId(5),
                index,
                bytes: part(index),
            };
            assert_eq!(client.call(request).await, Ok(Reply::ChunkStored));
        };
        let small_puts = async {
            let put = |number| client.call(put_request(&key(number), small(1, payload(1, 50))));
            let mut puts: FuturesUnordered<_> = (1..101).map(put).collect();
            while let Some(reply) = puts.next().await {
                assert!(matches!(reply, Ok(Reply::Stored { .. })), "{reply:?}");
            }
        };
        let sent = beside(count, put_chunk, small_puts).await;
        assert!(sent < count / 2, "{sent} of {count} chunks before 100 puts");
        let record = large(1, 5, VALUE_BYTES_MAX);
        let stored = client.call(put_request(&large_key, record.clone())).await;
        assert!(matches!(stored, Ok(Reply::Stored { .. })), "{stored:?}");
        let get_chunk = async |index| {
            let request = Request::GetChunk {
                scope: scope(large_key.slot()),
                key: large_key.clone(),
                version: record.version,
                index,
            };
            assert_eq!(client.call(request).await, Ok(Reply::Chunk(part(index))));
        };
        let small_gets = async {
            let get = |number| client.call(get_request(&key(number)));
            let mut gets: FuturesUnordered<_> = (1..101).map(get).collect();
            while let Some(reply) = gets.next().await {
                assert!(matches!(
                    reply,
                    Ok(Reply::Record {
                        record: Some(_),
                        ..
                    })
                ));
            }
        };
        let read = beside(count, get_chunk, small_gets).await;
        assert!(read < count / 2, "{read} of {count} chunks before 100 gets");
        one.running.stop().await.unwrap();
    }
}

/// Does all chunks, eight at a time, beside something small; gives how many were done when that
/// was.
async fn beside(count: u32, chunk: impl AsyncFn(u32), small: impl Future<Output = ()>) -> u32 {
    let mut small = std::pin::pin!(small);
    let (mut next, mut done, mut at_end) = (0, 0, None);
    let mut under_way = FuturesUnordered::new();
    while done < count {
        while under_way.len() < 8 && next < count {
            under_way.push(chunk(next));
            next += 1;
        }
        tokio::select! {
            biased;
            () = &mut small, if at_end.is_none() => at_end = Some(done),
            Some(()) = under_way.next() => done += 1,
        }
    }
    if let Some(done) = at_end {
        return done;
    }
    small.await;
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_memory_limit_deletes_and_reads_go_on() {
    let limit_bytes = 600_000;
    let one = One::start_with(StoreOptions {
        memory_limit: Some(limit_bytes),
        ..StoreOptions::default()
    })
    .await;
    let client = one.client().await;
    let mut number = 0;
    let refusal = loop {
        let request = put_request(&key(number), small(1, payload(1, 5_000)));
        match client.call(request).await.unwrap() {
            Reply::Stored { .. } if number < 1_000 => number += 1,
            Reply::Refused(refusal) => break refusal,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refusal, Refusal::MemoryLimit { limit_bytes });
    assert!(refusal.to_string().contains("600000 bytes"));
    assert!(number > 10 && one.running.server().status().memory_bytes <= limit_bytes + 5_000);
    let reply = client.call(get_request(&key(0))).await;
    assert!(matches!(
        reply,
        Ok(Reply::Record {
            record: Some(_),
            ..
        })
    ));
    for number in 0..number / 2 {
        let tombstone = Record::tombstone(records::version(2));
        let reply = client.call(put_request(&key(number), tombstone)).await;
        assert!(matches!(reply, Ok(Reply::Stored { .. })), "{reply:?}");
    }
    let request = put_request(&key(number), small(1, payload(1, 5_000)));
    let reply = client.call(request).await;
    assert!(
        matches!(reply, Ok(Reply::Stored { .. })),
        "room again: {reply:?}"
    );
    assert_eq!(Slot::all().len(), 1024);
}
