//! Writes on the admin port need a proof, and what is sent does not tell the secret.

// Test helpers outside of #[test] functions may unwrap too.
#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use kvcore::{
    placement::Placement,
    status::MemberStatus,
    wire::admin::{PUT_PLACEMENT, authorization},
};
use kvserver::{
    process::{self, ServerOptions},
    store::StoreOptions,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

#[path = "fixture/members.rs"]
mod members;
#[path = "fixture/records.rs"]
mod records;

use members::{Reachable, placement, quiet, secret};

/// One HTTP request; gives the status and the body.
async fn http(address: SocketAddr, what: &str, header: Option<&str>, body: &[u8]) -> (u16, String) {
    let header = header.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
    let head = format!(
        "{what} HTTP/1.1\r\nHost: it\r\nConnection: close\r\nContent-Length: {}\r\n{header}\r\n",
        body.len()
    );
    let exchange = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(body).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(Duration::from_secs(20), exchange).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placement_is_taken_with_a_proof_and_not_with_the_secret() {
    let directory = tempfile::tempdir().unwrap();
    let options = ServerOptions {
        admin: Some("127.0.0.1:0".to_owned()),
        ..quiet(directory.path(), &StoreOptions::default())
    };
    let dial = Arc::new(Reachable::default());
    let running = process::start(options, dial).await.unwrap();
    let (admin, member) = (running.admin().unwrap(), running.server().member());
    let body = serde_json::to_vec(&placement(&[(member, "it:1".to_owned())], 1, 1)).unwrap();
    let put = "PUT /placement";
    let in_clear = Some("Bearer a secret of thirty-two bytes and more");
    for header in [None, in_clear, Some("Kvasir 00 00")] {
        let (status, why) = http(admin, put, header, &body).await;
        assert_eq!(status, 401, "{why}");
        assert!(why.contains("GET /nonce"), "{why}");
    }
    let (status, given) = http(admin, "GET /nonce", None, b"").await;
    assert_eq!(status, 200);
    let given: serde_json::Value = serde_json::from_str(&given).unwrap();
    assert_eq!(given["member"], member.to_string());
    let nonce = given["nonce"].as_str().unwrap();
    let header = authorization(&secret(), member, nonce, (PUT_PLACEMENT, &body));
    let other = [&body[..], b" "].concat();
    let (status, why) = http(admin, put, Some(&header), &other).await;
    assert_eq!(status, 401, "another body: {why}");
    assert!(running.server().placement().is_none());
    let (status, said) = http(admin, put, Some(&header), &body).await;
    assert_eq!(status, 200, "{said}");
    let first = running.server().placement().unwrap();
    assert_eq!(member_status(admin).await.address_revision, 0);
    let mut moved = first.parts().clone();
    moved.address_revision = 4;
    moved.members[0].address = "10.0.0.7:7400,it.servers:7400".to_owned();
    let moved = serde_json::to_vec(&Placement::new(moved).unwrap()).unwrap();
    let header = authorization(&secret(), member, nonce, (PUT_PLACEMENT, &moved));
    let (code, said) = http(admin, put, Some(&header), &moved).await;
    assert_eq!(code, 200, "{said}");
    let now = member_status(admin).await;
    assert_eq!((now.epoch, now.address_revision), (first.epoch(), 4));
    running.stop().await.unwrap();
}

async fn member_status(admin: SocketAddr) -> MemberStatus {
    let (code, body) = http(admin, "GET /status", None, b"").await;
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}
