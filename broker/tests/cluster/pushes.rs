//! Placements that the cluster's author brings to a broker over HTTP.

use std::time::{Duration, Instant};

use broker::shell::first_placement;
use kvcore::{
    placement::{AuthorId, ClusterId, Epoch, Member, Parts, Placement, Quorums},
    status::PlacementInUse,
    wire::{
        Request, Secret,
        admin::{PUT_PLACEMENT, authorization},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

use crate::{
    first_placement::{SECRET, Servers, servers},
    process::{Process, SOON, say},
};

/// Nobody listens there: a broker with this file learns nothing by itself.
const NOWHERE: &str = "127.0.0.1 1\n";

/// A placement of these servers that they all have.
async fn adopted(servers: &Servers) -> Placement {
    let members = servers.members.iter().zip(&servers.addresses);
    let members = members.map(|(member, address)| Member {
        id: member.id,
        // The IP of a pod that is gone, and a name that stays.
        address: format!("127.0.0.1:1,{address}"),
        zone: String::new(),
        weight: 1,
    });
    let made = first_placement::make(members.collect(), 2, Quorums::default());
    let placement = changed(&made.expect("valid"), |parts| {
        (parts.epoch, parts.address_revision) = (Epoch(3), 2);
    });
    for member in &servers.members {
        let adopted = member.way().call(Request::Adopt(placement.clone())).await;
        assert!(adopted.is_ok());
    }
    placement
}

fn changed(placement: &Placement, change: impl FnOnce(&mut Parts)) -> Placement {
    let mut parts = placement.parts().clone();
    change(&mut parts);
    Placement::new(parts).expect("still valid")
}

fn in_use(body: &str) -> PlacementInUse {
    serde_json::from_str(body).expect("which placement is in use")
}

#[tokio::test]
async fn a_waiting_broker_serves_as_soon_as_it_is_given_its_first_placement() {
    let servers = servers(3).await;
    let placement = adopted(&servers).await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut process = Process::start(home.path(), NOWHERE, &["--no-bootstrap"]).await;
    let (code, body) = process.get("/readyz").await;
    assert_eq!((code, body.contains("no placement yet")), (503, true));
    let before = process.status().await;
    assert_eq!((before.epoch, before.address_revision), (Epoch(0), 0));

    let began = Instant::now();
    let (code, body) = process.push(&placement).await;
    let took = began.elapsed();
    assert_eq!((code, in_use(&body)), (200, (&placement).into()), "{body}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    let line = process.line().await;
    assert_eq!(say(line, "PUT a : 1").await, "OK\n");
    assert_eq!(process.get("/readyz").await.0, 200);
    let after = process.status().await;
    assert_eq!(after.id, before.id);
    assert_eq!(after.cluster, Some(placement.cluster()));
    assert_eq!((after.epoch, after.address_revision), (Epoch(3), 2));
    assert!(after.ready, "{:?}", after.reason);
}

#[tokio::test]
async fn what_is_newer_is_used_at_once_and_everything_else_is_refused() {
    let servers = servers(3).await;
    let placement = adopted(&servers).await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let process = Process::start(home.path(), NOWHERE, &["--no-bootstrap"]).await;
    assert_eq!(process.push(&placement).await.0, 200);
    let moved = changed(&placement, |parts| {
        parts.address_revision += 1;
        parts.members[0].address = "127.0.0.1:2,127.0.0.1:1".to_owned();
    });
    let began = Instant::now();
    let (code, body) = process.push(&moved).await;
    let took = began.elapsed();
    assert_eq!((code, in_use(&body)), (200, (&moved).into()), "{body}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let (_, shown) = process.get("/placement").await;
    assert!(shown.contains("127.0.0.1:2,127.0.0.1:1"), "{shown}");
    // Once more changes nothing, and says the same.
    assert_eq!(process.push(&moved).await, (200, body));

    let refuse = async |offered: Placement, why: &str| {
        let (code, body) = process.push(&offered).await;
        assert_eq!((code, body.contains(why)), (409, true), "{why}: {body}");
    };
    refuse(placement.clone(), "epoch 3 with address revision 3").await;
    let older = changed(&placement, |parts| parts.epoch = Epoch(2));
    refuse(older, "is older").await;
    let another = changed(&moved, |parts| parts.members[1].zone = "b".to_owned());
    refuse(another, "epoch 3 is known with another content").await;
    let stranger = AuthorId(Uuid::from_u128(9));
    let by_stranger = changed(&moved, |parts| {
        (parts.epoch, parts.author) = (Epoch(4), stranger);
    });
    refuse(by_stranger, &format!("by author {stranger}")).await;
    let elsewhere = ClusterId(Uuid::from_u128(9));
    let for_another = changed(&moved, |parts| {
        (parts.epoch, parts.cluster) = (Epoch(4), elsewhere);
    });
    refuse(for_another, &format!("for cluster {elsewhere}")).await;

    let status = process.status().await;
    assert_eq!((status.epoch, status.address_revision), (Epoch(3), 3));
    let next = changed(&moved, |parts| {
        (parts.epoch, parts.address_revision) = (Epoch(4), 0);
    });
    let (code, body) = process.push(&next).await;
    assert_eq!((code, in_use(&body)), (200, (&next).into()), "{body}");
}

#[tokio::test]
async fn who_does_not_prove_itself_changes_nothing() {
    let servers = servers(3).await;
    let placement = adopted(&servers).await;
    let body = serde_json::to_vec(&placement).expect("JSON");
    let home = tempfile::tempdir().expect("a temporary directory");
    let process = Process::start(home.path(), NOWHERE, &["--no-bootstrap"]).await;
    let (id, nonce) = process.nonce().await;
    let ours = Secret::new(SECRET).expect("long enough");
    let theirs = Secret::new(b"another secret, also long").expect("long enough");
    let proof = |secret, id, what| authorization(secret, id, &nonce, (what, &body[..]));
    let forged = [
        String::new(),
        format!("authorization: {}\r\n", String::from_utf8_lossy(SECRET)),
        format!("authorization: {}\r\n", proof(&theirs, id.0, PUT_PLACEMENT)),
        format!("authorization: {}\r\n", proof(&ours, id.0, "PUT /nonce")),
        // What is meant for a server does for no broker.
        format!(
            "authorization: {}\r\n",
            proof(&ours, servers.members[0].id.0, PUT_PLACEMENT)
        ),
    ];
    for header in forged {
        let (code, why) = process.ask(PUT_PLACEMENT, &header, &body).await;
        assert_eq!(code, 401, "{header}: {why}");
    }
    assert_eq!(process.status().await.cluster, None);

    let (code, why) = process.push_bytes(b"{}").await;
    assert_eq!((code, why.contains("no placement: ")), (400, true), "{why}");
    let (code, _) = process.push_bytes(&vec![b' '; 4 * 1024 * 1024 + 1]).await;
    assert_eq!(code, 413);
    assert_eq!(process.status().await.cluster, None);
}

#[tokio::test]
async fn who_may_make_the_first_placement_takes_none_before() {
    let servers = servers(3).await;
    let placement = adopted(&servers).await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let process = Process::start(home.path(), NOWHERE, &["--bootstrap"]).await;
    let (code, why) = process.push(&placement).await;
    assert_eq!((code, why.contains("--no-bootstrap")), (503, true), "{why}");
}

#[tokio::test]
async fn bodies_that_do_not_come_are_few_and_do_not_last() {
    let servers = servers(3).await;
    let placement = adopted(&servers).await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let process = Process::start(home.path(), NOWHERE, &["--no-bootstrap"]).await;
    let mut halves = Vec::new();
    for _ in 0..9 {
        let mut socket = TcpStream::connect(process.http).await.expect("it listens");
        let head = b"PUT /placement HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n{";
        socket.write_all(head).await.expect("sent");
        halves.push(socket);
    }
    let mut codes = Vec::new();
    for mut socket in halves {
        let mut answer = [0; 12];
        let read = timeout(SOON, socket.read_exact(&mut answer)).await;
        read.expect("in time").expect("answered");
        codes.push(String::from_utf8_lossy(&answer[9..]).into_owned());
    }
    codes.sort();
    assert_eq!(codes[..8], ["408"; 8]);
    assert_eq!(codes[8], "503", "no more than eight are read at once");
    let (code, why) = process.push(&placement).await;
    assert_eq!(code, 200, "{why}");
}
