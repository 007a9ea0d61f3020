//! HTTP clients that are many, slow, or do not leave.

// Test helpers outside of #[test] functions may unwrap too.
#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, time::Duration};

use kvnet::{
    http::{Bounds, serve_within},
    shutdown,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use warp::Filter;

/// Longer than any bound here, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(10);

const BOUNDS: Bounds = Bounds {
    connections: 64,
    head: Duration::from_mins(1),
    request: Duration::from_mins(1),
    drain: Duration::from_millis(300),
};

async fn start(bounds: Bounds) -> (SocketAddr, shutdown::Trigger, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, shutdown) = shutdown::channel();
    let get = warp::get().map(|| "hello\n".to_owned());
    let put = warp::put()
        .and(warp::body::content_length_limit(1_000_000))
        .and(warp::body::bytes())
        .map(|body: bytes::Bytes| format!("{} bytes\n", body.len()));
    let routes = get.or(put).unify();
    let task = tokio::spawn(serve_within(bounds, listener, routes, shutdown));
    (address, stop, task)
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Sends bytes and reads until the reply's body is there.
async fn ask(socket: &mut TcpStream, request: &str, body: &str) -> String {
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    while !String::from_utf8_lossy(&reply).ends_with(body) {
        let read = timeout(PATIENCE, socket.read_buf(&mut reply)).await;
        assert!(read.unwrap().unwrap() > 0, "closed after {reply:?}");
    }
    String::from_utf8(reply).unwrap()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// What comes until the server closes.
async fn rest(socket: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let end = timeout(PATIENCE, socket.read_to_end(&mut all)).await;
    let end = end.expect("the server closes");
    if let Err(error) = end {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed_and_room_comes_back() {
    let bounds = Bounds {
        connections: 2,
        ..BOUNDS
    };
    let (address, _stop, _task) = start(bounds).await;
    let (mut one, mut two) = (connect(address).await, connect(address).await);
    ask(&mut one, GET, "hello\n").await;
    ask(&mut two, GET, "hello\n").await;
    let mut three = connect(address).await;
    assert_eq!(rest(&mut three).await, "");
    ask(&mut one, GET, "hello\n").await;
    drop(two);
    let found = timeout(PATIENCE, async {
        loop {
            let mut socket = connect(address).await;
            let mut reply = [0; 8];
            let sent = socket.write_all(GET.as_bytes()).await;
            if sent.is_ok() && matches!(socket.read(&mut reply).await, Ok(8)) {
                return;
            }
        }
    });
    found.await.expect("room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end_is_cut_off() {
    let bounds = Bounds {
        head: Duration::from_millis(200),
        ..BOUNDS
    };
    let (address, _stop, _task) = start(bounds).await;
    let mut slow = connect(address).await;
    slow.write_all(b"GET / HTTP/1.1\r\nhos").await.unwrap();
    let mut other = connect(address).await;
    ask(&mut other, GET, "hello\n").await;
    let said = rest(&mut slow).await;
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408"),
        "{said}"
    );
    // A connection that says nothing at all goes too.
    let mut mute = connect(address).await;
    rest(&mut mute).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_end_is_cut_off() {
    let bounds = Bounds {
        request: Duration::from_millis(200),
        ..BOUNDS
    };
    let (address, _stop, _task) = start(bounds).await;
    let mut slow = connect(address).await;
    let head = "PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf";
    slow.write_all(head.as_bytes()).await.unwrap();
    let said = rest(&mut slow).await;
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    let mut whole = connect(address).await;
    let head = "PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nfour";
    ask(&mut whole, head, "4 bytes\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_too_large_and_garbage_are_refused_without_harm() {
    let (address, _stop, _task) = start(BOUNDS).await;
    let mut large = connect(address).await;
    let head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(64 * 1024));
    // The server may close before it has taken all of it.
    let _ = large.write_all(head.as_bytes()).await;
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, large.read_to_end(&mut said))
        .await
        .expect("it closes");
    let mut garbage = connect(address).await;
    garbage.write_all(&[0, 255, 13, 10, 13, 10]).await.unwrap();
    let said = rest(&mut garbage).await;
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 400"),
        "{said}"
    );
    let mut other = connect(address).await;
    ask(&mut other, GET, "hello\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_nobody_who_does_nothing() {
    let (address, stop, task) = start(BOUNDS).await;
    let mut idle = connect(address).await;
    ask(&mut idle, GET, "hello\n").await;
    let mut half = connect(address).await;
    half.write_all(b"GET / HTTP/1.1\r\nhos").await.unwrap();
    let mut body = connect(address).await;
    let head = "PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf";
    body.write_all(head.as_bytes()).await.unwrap();
    let mut other = connect(address).await;
    ask(&mut other, GET, "hello\n").await;
    stop.stop();
    timeout(PATIENCE, task).await.expect("it ends").unwrap();
    assert_eq!(rest(&mut idle).await, "");
    rest(&mut half).await;
    rest(&mut body).await;
    assert!(TcpStream::connect(address).await.is_err());
}
