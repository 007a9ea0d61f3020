//! A member with two addresses is reached at the first of them where it answers.

// Test helpers outside of #[test] functions may unwrap too.
#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use kvcore::{
    placement::{Epoch, MemberId},
    replica::{PendingReply, Replica},
    wire::{
        Reply, Request, Secret,
        handshake::{Expected, Reached},
    },
};
use kvnet::{
    peer::{
        client::{LinkState, PeerClient},
        server::{Identity, serve},
    },
    shutdown,
};
use tokio::{net::TcpListener, task::JoinHandle};
use uuid::Uuid;

/// Far longer than any attempt on this machine.
const SOON: Duration = Duration::from_secs(20);

const MEMBER: MemberId = MemberId(Uuid::from_u128(10));
const STRANGER: MemberId = MemberId(Uuid::from_u128(11));

/// The epoch of its answers says which of several servers it is.
#[derive(Debug)]
struct Numbered(u64);

impl Replica for Numbered {
    fn call(&self, _: Request) -> PendingReply {
        let epoch = Epoch(self.0);
        PendingReply::here(Ok(Reply::Pong { epoch }))
    }
}

struct Named(MemberId);

impl Identity for Named {
    fn reached(&self) -> Reached {
        Reached {
            cluster: None,
            member: self.0,
        }
    }
}

fn secret() -> Secret {
    Secret::new(b"a secret of thirty-two bytes and more").unwrap()
}

struct Serving {
    address: SocketAddr,
    task: JoinHandle<()>,
    _stop: shutdown::Trigger,
}

impl Serving {
    /// Ends it with all its connections, and frees the port.
    async fn end(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn start(address: &str, member: MemberId, number: u64) -> Serving {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, shutdown) = shutdown::channel();
    let (replica, named) = (Arc::new(Numbered(number)), Arc::new(Named(member)));
    let task = tokio::spawn(serve(listener, replica, named, secret(), shutdown));
    Serving {
        address,
        task,
        _stop: stop,
    }
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

fn client(addresses: [SocketAddr; 2]) -> PeerClient {
    let text = addresses.map(|address| address.to_string()).join(",");
    let expected = Expected {
        cluster: None,
        member: Some(MEMBER),
    };
    PeerClient::start(text, expected, secret())
}

/// Which server answers.
async fn number(client: &PeerClient) -> Option<u64> {
    match client.call(Request::Ping).await {
        Ok(Reply::Pong { epoch }) => Some(epoch.0),
        _ => None,
    }
}

async fn until_answered_by(client: &PeerClient, wanted: u64) {
    let answered = async {
        while number(client).await != Some(wanted) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(SOON, answered).await;
    assert!(in_time.is_ok(), "{:?}", client.state());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_address_is_used_while_the_first_refuses_and_then_the_first_again() {
    let (first, second) = (nobody().await, start("127.0.0.1:0", MEMBER, 2).await);
    let client = client([first, second.address]);
    assert!(matches!(client.settled(SOON).await, LinkState::Live(_)));
    assert_eq!(number(&client).await, Some(2));
    let _first = start(&first.to_string(), MEMBER, 1).await;
    // A connection that works is not given up for a better one.
    assert_eq!(number(&client).await, Some(2));
    second.end().await;
    until_answered_by(&client, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_member_at_the_first_address_is_passed_by() {
    let stranger = start("127.0.0.1:0", STRANGER, 1).await;
    let second = start("127.0.0.1:0", MEMBER, 2).await;
    let client = client([stranger.address, second.address]);
    let state = client.settled(SOON).await;
    assert!(
        matches!(state, LinkState::Live(reached) if reached.member == MEMBER),
        "{state:?}"
    );
    assert_eq!(number(&client).await, Some(2));
    let address = stranger.address.to_string();
    stranger.end().await;
    let _first = start(&address, MEMBER, 3).await;
    second.end().await;
    until_answered_by(&client, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_is_preferred_where_both_answer() {
    let first = start("127.0.0.1:0", MEMBER, 1).await;
    let second = start("127.0.0.1:0", MEMBER, 2).await;
    let client = client([first.address, second.address]);
    client.settled(SOON).await;
    assert_eq!(number(&client).await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_at_each_address_is_told() {
    let (first, stranger) = (nobody().await, start("127.0.0.1:0", STRANGER, 1).await);
    let client = client([first, stranger.address]);
    let LinkState::Down(why) = client.settled(SOON).await else {
        panic!("nobody there is the member");
    };
    let parts: Vec<_> = why.split("; ").collect();
    assert_eq!(parts.len(), 2, "{why}");
    assert!(parts[0].starts_with(&format!("at {first}: ")), "{why}");
    assert!(parts[0].contains("refused"), "{why}");
    let there = format!("at {}: ", stranger.address);
    assert!(parts[1].starts_with(&there), "{why}");
    assert!(parts[1].contains(&STRANGER.to_string()), "{why}");
}
