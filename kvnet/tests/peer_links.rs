//! Peer connections that break, stall, freeze and come back.

// Test helpers outside of #[test] functions may unwrap too.
#![allow(clippy::unwrap_used)]

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    placement::{
        AuthorId, ClusterId, Epoch, Member, MemberId, Parts, Placement, Quorums, SlotPlacement,
        planner::plan,
    },
    record::UploadId,
    replica::{CallError, PendingReply, Replica},
    version::UnixMillis,
    wire::{
        Frame, FrameDecoder, Refusal, Reply, Request, Scope, Secret,
        handshake::{Expected, HANDSHAKE_FRAME_BYTES_MAX, Reached, ServerHandshake, ServerStep},
    },
};
use kvnet::{
    limits::{
        BACKOFF_MAX, BACKOFF_MIN, HEARTBEAT_INTERVAL, PEER_IN_FLIGHT_BYTES_MAX, PEER_QUEUE_MAX,
        SILENCE_MAX,
    },
    peer::{
        client::{LinkState, PeerClient},
        server::{Identity, serve},
    },
    shutdown,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use uuid::Uuid;

/// How late a timer may fire on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

const ME: Reached = Reached {
    cluster: None,
    member: MemberId(Uuid::from_u128(10)),
};

struct Me;

impl Identity for Me {
    fn reached(&self) -> Reached {
        ME
    }
}

fn secret() -> Secret {
    Secret::new(b"a secret of thirty-two bytes and more").unwrap()
}

fn get(key: &str) -> Request {
    let key = Key::copy_from(key.as_bytes()).unwrap();
    let scope = Scope {
        slot: key.slot(),
        epoch: Epoch(1),
        began_at: UnixMillis(1),
    };
    Request::GetVersion { scope, key }
}

/// Answers with the key, "slow" once it is let go, "never" not at all; chunks like "slow".
#[derive(Debug, Default)]
struct Echo {
    go: Arc<Notify>,
}

impl Replica for Echo {
    fn call(&self, request: Request) -> PendingReply {
        let go = Arc::clone(&self.go);
        PendingReply::waits(async move {
            match request {
                Request::GetVersion { key, .. } => {
                    match key.as_bytes() {
                        b"slow" => go.notified().await,
                        b"never" => std::future::pending().await,
                        _ => {}
                    }
                    Ok(Reply::Uncertain(key.to_string()))
                }
                Request::PutChunk { .. } => {
                    go.notified().await;
                    Ok(Reply::ChunkStored)
                }
                Request::FetchPlacement => Ok(Reply::Placement(Some(largest_placement()))),
                _ => Ok(Reply::Pong { epoch: Epoch(1) }),
            }
        })
    }
}

/// As many members, names and sets as there can be.
fn largest_placement() -> Placement {
    let members: Vec<_> = (0..1_000u128)
        .map(|number| Member {
            id: MemberId(Uuid::from_u128(number + 1)),
            address: format!("{number:0>255}:7400,{number:a>255}:7400"),
            zone: format!("{:0>63}", number % 7),
            weight: 1,
        })
        .collect();
    let sets = plan(&members, 7, None).unwrap();
    Placement::new(Parts {
        cluster: ClusterId(Uuid::from_u128(7)),
        epoch: Epoch(1),
        author: AuthorId(Uuid::from_u128(8)),
        address_revision: 0,
        copies: 7,
        quorums: Quorums::default(),
        members,
        slots: SlotPlacement::all_stable(sets, Epoch(1), Quorums::default()),
    })
    .unwrap()
}

struct Serving {
    address: SocketAddr,
    stop: shutdown::Trigger,
    task: JoinHandle<()>,
    echo: Arc<Echo>,
}

async fn start(address: &str) -> Serving {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, shutdown) = shutdown::channel();
    let echo = Arc::new(Echo::default());
    let replica: Arc<dyn Replica> = echo.clone();
    let task = tokio::spawn(serve(listener, replica, Arc::new(Me), secret(), shutdown));
    Serving {
        address,
        stop,
        task,
        echo,
    }
}

async fn client(address: SocketAddr) -> PeerClient {
    let client = PeerClient::start(address.to_string(), Expected::default(), secret());
    let state = client.settled(SLACK).await;
    assert_eq!(state, LinkState::Live(ME));
    client
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within 20 s: {what}");
}

fn said(text: &str) -> Reply {
    Reply::Uncertain(text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_come_out_of_order_each_to_its_caller() {
    let serving = start("127.0.0.1:0").await;
    let client = client(serving.address).await;
    let mut slow = client.call(get("slow"));
    let mut others: FuturesUnordered<_> = (0..500)
        .map(|number| {
            let (name, call) = (number.to_string(), client.call(get(&number.to_string())));
            async move { assert_eq!(call.await, Ok(said(&name))) }
        })
        .collect();
    loop {
        tokio::select! {
            _ = &mut slow => panic!("nobody let it go"),
            next = others.next() => if next.is_none() { break },
        }
    }
    serving.echo.go.notify_one();
    assert_eq!(slow.await, Ok(said("slow")));
}

/// The disk stands still, and so much waits for it that nothing more is read: that is no dead link.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_takes_no_more_for_a_while_is_not_taken_for_dead() {
    const CHUNKS: usize = 2 * PEER_IN_FLIGHT_BYTES_MAX / CHUNK_BYTES;
    let serving = start("127.0.0.1:0").await;
    let client = client(serving.address).await;
    let bytes = Bytes::from(vec![1; CHUNK_BYTES]);
    let mut calls: FuturesUnordered<_> = (0..CHUNKS)
        .map(|number| {
            let key = Key::copy_from(b"large").unwrap();
            let scope = Scope {
                slot: key.slot(),
                epoch: Epoch(1),
                began_at: UnixMillis(1),
            };
            client.call(Request::PutChunk {
                scope,
                upload: UploadId(5),
                index: u32::try_from(number).unwrap(),
                bytes: bytes.clone(),
            })
        })
        .collect();
    // Longer than silence is borne.
    let ended = tokio::time::timeout(SILENCE_MAX + 2 * HEARTBEAT_INTERVAL, calls.next()).await;
    assert!(ended.is_err(), "{ended:?}");
    assert_eq!(client.state(), LinkState::Live(ME));
    while !calls.is_empty() {
        serving.echo.go.notify_one();
        if let Ok(reply) = tokio::time::timeout(Duration::from_millis(5), calls.next()).await {
            assert_eq!(reply, Some(Ok(Reply::ChunkStored)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_placement_fits_a_frame() {
    let serving = start("127.0.0.1:0").await;
    let client = client(serving.address).await;
    let reply = client.call(Request::FetchPlacement).await;
    assert_eq!(reply, Ok(Reply::Placement(Some(largest_placement()))));
    let reply = client.call(Request::Adopt(largest_placement())).await;
    assert_eq!(reply, Ok(Reply::Pong { epoch: Epoch(1) }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_is_found_again_and_calls_fail_at_once_meanwhile() {
    let serving = start("127.0.0.1:0").await;
    let client = client(serving.address).await;
    assert_eq!(client.call(get("a")).await, Ok(said("a")));
    let lost = client.call(get("never"));
    let (cut, outcome) = tokio::join!(
        async {
            // It has arrived once what was asked after it is answered.
            assert_eq!(client.call(get("b")).await, Ok(said("b")));
            serving.task.abort();
        },
        lost
    );
    let ((), Err(CallError::Lost(_))) = (cut, outcome) else {
        panic!("the call may have been carried out");
    };
    drop(serving.stop);
    until("the end", || client.trouble().is_some()).await;
    let began = Instant::now();
    let outcome = client.call(get("c")).await;
    assert!(matches!(outcome, Err(CallError::NotSent(_))), "{outcome:?}");
    assert!(began.elapsed() < BACKOFF_MAX);
    let _again = start(&serving.address.to_string()).await;
    until("a connection", || client.trouble().is_none()).await;
    assert_eq!(client.call(get("d")).await, Ok(said("d")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_answers_what_it_has_read() {
    let serving = start("127.0.0.1:0").await;
    let client = client(serving.address).await;
    let (slow, ()) = tokio::join!(client.call(get("slow")), async {
        assert_eq!(client.call(get("b")).await, Ok(said("b")));
        serving.stop.stop();
        serving.echo.go.notify_one();
    });
    assert_eq!(slow, Ok(said("slow")));
    serving.task.await.unwrap();
}

/// Shakes hands as a server, then leaves the socket to the test.
async fn shake_hands(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut handshake = ServerHandshake::new(secret(), ME, [3; 16]);
    let mut decoder = FrameDecoder::new(HANDSHAKE_FRAME_BYTES_MAX);
    loop {
        let frame: Frame = loop {
            if let Some(frame) = decoder.next_frame().unwrap() {
                break frame;
            }
            assert!(socket.read_buf(decoder.buffer()).await.unwrap() > 0);
        };
        let (answer, is_over) = match handshake.step(&frame) {
            ServerStep::Send(answer) => (answer, false),
            ServerStep::Accept(answer) => (answer, true),
            ServerStep::Reject(_, error) => panic!("{error}"),
        };
        let mut bytes = bytes::BytesMut::new();
        answer.encode(&mut bytes);
        socket.write_all(&bytes).await.unwrap();
        if is_over {
            return socket;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_peer_is_noticed_and_its_calls_are_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let frozen = tokio::spawn(async move { (shake_hands(&listener).await, listener) });
    let client = client(address).await;
    let began = Instant::now();
    let _open = frozen.await.unwrap();
    let limit = SILENCE_MAX + HEARTBEAT_INTERVAL + SLACK;
    let outcome = tokio::time::timeout(limit, client.call(get("a"))).await;
    let outcome = outcome.expect("it is noticed");
    assert!(matches!(outcome, Err(CallError::Lost(_))), "{outcome:?}");
    assert!(
        began.elapsed() + SLACK > SILENCE_MAX,
        "it was given its time"
    );
    until("trouble", || client.trouble().is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_peer_is_noticed_without_a_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let frozen = tokio::spawn(async move { (shake_hands(&listener).await, listener) });
    let client = client(address).await;
    let began = Instant::now();
    let _open = frozen.await.unwrap();
    until("trouble", || client.trouble().is_some()).await;
    let took = began.elapsed();
    assert!(took < SILENCE_MAX + HEARTBEAT_INTERVAL + SLACK, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_one_connection_is_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let frozen = tokio::spawn(async move { (shake_hands(&listener).await, listener) });
    let client = client(address).await;
    let _open = frozen.await.unwrap();
    let calls: FuturesUnordered<_> = (0..3 * PEER_QUEUE_MAX)
        .map(|_| client.call(get("a")))
        .collect();
    let outcomes: Vec<_> = calls.collect().await;
    let full = |outcome: &&Result<Reply, CallError>| matches!(outcome, Err(CallError::NotSent(why)) if why.contains("requests wait"));
    let refused = outcomes.iter().filter(full).count();
    assert!(refused >= PEER_QUEUE_MAX, "{refused} refused");
    let lost = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(CallError::Lost(_))));
    assert!(lost.count() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_to_connect_become_rarer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = PeerClient::start(address.to_string(), Expected::default(), secret());
    let mut pauses = Vec::new();
    let mut last = Instant::now();
    for _ in 0..8 {
        drop(listener.accept().await.unwrap());
        pauses.push(last.elapsed());
        last = Instant::now();
    }
    // Half to all of 25 ms, doubled each time: the last is at least half of 800.
    assert!(pauses[7] >= BACKOFF_MIN * 15, "{pauses:?}");
    assert!(pauses[7] <= BACKOFF_MAX + SLACK, "{pauses:?}");
    assert!(matches!(client.state(), LinkState::Down(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_are_garbage_end_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let rude = tokio::spawn(async move {
        let mut socket = shake_hands(&listener).await;
        socket.write_all(&[0xFF; 64]).await.unwrap();
        (socket, listener)
    });
    let client = client(address).await;
    let outcome = client.call(get("a")).await;
    let is_lost = matches!(outcome, Err(CallError::Lost(_) | CallError::NotSent(_)));
    assert!(is_lost, "{outcome:?}");
    let _open = rude.await.unwrap();
    assert!(!matches!(outcome, Ok(Reply::Refused(Refusal::Gone))));
}
