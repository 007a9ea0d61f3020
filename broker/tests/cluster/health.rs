//! The broker's HTTP answers.

use std::sync::Arc;

use broker::{control::Control, http};
use kvcore::{status::BrokerStatus, wire::Secret};
use kvnet::{clock::SystemClock, shutdown};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{first_placement::SECRET, support::cluster};

/// Status and body of `GET path`.
async fn get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

#[tokio::test]
async fn readiness_follows_placement_and_quorums() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (trigger, shutdown) = shutdown::channel();
    let secret = Secret::new(SECRET).expect("long enough");
    let control = Control::new(secret, Arc::new(SystemClock), shutdown.clone());
    tokio::spawn(http::serve(listener, control.clone(), shutdown));
    assert_eq!(get(address, "/healthz").await, (200, "ok\n".to_owned()));
    let (status, body) = get(address, "/readyz").await;
    assert_eq!(
        (status, body.contains("no placement yet")),
        (503, true),
        "{body}"
    );
    assert_eq!(get(address, "/placement").await.0, 503);
    let cluster = cluster(3, 3).await;
    control.announce(cluster.broker.clone());
    assert_eq!(get(address, "/readyz").await.0, 200);
    cluster.members[0].set_down(true);
    assert_eq!(get(address, "/readyz").await.0, 200);
    cluster.members[1].set_down(true);
    let (status, body) = get(address, "/readyz").await;
    assert_eq!(status, 503);
    assert!(
        body.contains("1024 slots") && body.contains("10.0.0.1:7001, 10.0.0.1:7002"),
        "{body}"
    );
    assert!(cluster.say("GET a").await.starts_with("ERROR NOT DONE"));
    assert!(
        get(address, "/metrics")
            .await
            .1
            .contains("kvasir_broker_operations_total")
    );
    assert!(get(address, "/placement").await.1.contains("10.0.0.1:7003"));
    assert_eq!(get(address, "/nothing").await.0, 404);
    cluster.members[0].set_down(false);
    assert_eq!(get(address, "/readyz").await.0, 200);
    trigger.leave();
    let (status, body) = get(address, "/readyz").await;
    assert_eq!((status, body.contains("shutting down")), (503, true));
    assert_eq!(get(address, "/healthz").await.0, 200, "it serves on");
}

#[tokio::test]
async fn the_status_follows_the_placement() {
    let (_trigger, shutdown) = shutdown::channel();
    let secret = Secret::new(SECRET).expect("long enough");
    let control = Control::new(secret, Arc::new(SystemClock), shutdown.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(http::serve(listener, control.clone(), shutdown));
    let status = async || -> BrokerStatus {
        let (code, body) = get(address, "/status").await;
        assert_eq!(code, 200);
        serde_json::from_str(&body).expect("a status")
    };
    let before = status().await;
    assert_eq!(before.id, control.id());
    assert_eq!((before.cluster, before.digest), (None, None));
    assert_eq!((before.epoch.0, before.ready), (0, false));
    assert_eq!(before.reason.as_deref(), Some("no placement yet"));
    assert!(before.started_at > 0 && !before.program.is_empty());
    let cluster = cluster(3, 3).await;
    control.announce(cluster.broker.clone());
    let after = status().await;
    let placement = &cluster.placement;
    assert_eq!(after.id, before.id);
    assert_eq!(after.cluster, Some(placement.cluster()));
    assert_eq!(after.digest, Some(placement.digest()));
    assert_eq!(after.author, Some(placement.parts().author));
    assert_eq!(
        (after.epoch, after.address_revision),
        (placement.epoch(), 0)
    );
    assert_eq!((after.ready, after.reason), (true, None));
}
