//! The broker's HTTP answers.

use broker::{http, shell::Broker};
use kvnet::shutdown;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::support::cluster;

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
    let (announce, announced) = watch::channel(None::<Broker>);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (_trigger, shutdown) = shutdown::channel();
    tokio::spawn(http::serve(listener, announced, shutdown));
    assert_eq!(get(address, "/healthz").await, (200, "ok\n".to_owned()));
    let (status, body) = get(address, "/readyz").await;
    assert_eq!(
        (status, body.contains("no placement yet")),
        (503, true),
        "{body}"
    );
    assert_eq!(get(address, "/placement").await.0, 503);
    let cluster = cluster(3, 3).await;
    announce.send_replace(Some(cluster.broker.clone()));
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
}
