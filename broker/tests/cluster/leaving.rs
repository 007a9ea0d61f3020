//! A broker that is told to stop and has to let its load balancer know first.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    first_placement::{Servers, servers},
    process::{Process, SOON, say},
};

fn list(servers: &Servers) -> String {
    let lines = servers.addresses.iter();
    let lines = lines.map(|server| format!("{} {}\n", server.host, server.port));
    lines.collect()
}

#[tokio::test]
async fn it_is_not_ready_at_once_and_serves_on_until_its_time_is_over() {
    const DRAIN: Duration = Duration::from_secs(2);
    let servers = servers(3).await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let arguments = ["--bootstrap", "--drain", "2"];
    let mut process = Process::start(home.path(), &list(&servers), &arguments).await;
    let line = process.line().await;
    assert_eq!(say(line, "PUT a : 1").await, "OK\n");
    let began = Instant::now();
    process.signal(Signal::TERM);
    while process.get("/readyz").await.0 == 200 {
        assert!(began.elapsed() < DRAIN / 2, "it still calls itself ready");
    }
    let (code, body) = process.get("/readyz").await;
    assert_eq!((code, body.contains("shutting down")), (503, true));
    assert!(!process.status().await.ready);
    // Until it is stopped: clients that came by the old list are served, new ones too.
    assert_eq!(say(line, "GET a").await, "\"a\" : 1\n");
    assert!(began.elapsed() < DRAIN, "too slow to tell anything");
    let status = timeout(SOON, process.child.wait()).await.expect("in time");
    assert!(status.expect("ended").success());
    let took = began.elapsed();
    assert!(took >= DRAIN && took < DRAIN + SOON / 2, "{took:?}");
}

#[tokio::test]
async fn without_a_time_to_drain_it_closes_at_once() {
    let servers = servers(1).await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut process = Process::start(home.path(), &list(&servers), &["--bootstrap"]).await;
    let line = process.line().await;
    process.signal(Signal::TERM);
    let closed = async {
        while TcpStream::connect(line).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, closed)
        .await
        .expect("nobody listens any more");
    let status = timeout(SOON, process.child.wait()).await.expect("in time");
    assert!(status.expect("ended").success());
}

#[tokio::test]
async fn a_second_signal_cuts_the_drain_short() {
    let servers = servers(1).await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let arguments = ["--bootstrap", "--drain", "600"];
    let mut process = Process::start(home.path(), &list(&servers), &arguments).await;
    process.signal(Signal::TERM);
    let leaving = async {
        while !process.get("/readyz").await.1.contains("shutting down") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, leaving).await.expect("it leaves");
    process.signal(Signal::TERM);
    let status = timeout(SOON, process.child.wait()).await.expect("in time");
    assert!(status.expect("ended").success());
}
