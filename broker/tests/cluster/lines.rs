//! The line protocol on a real socket.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use broker::line::{self, LineLimits};
use kvnet::shutdown::{self, Trigger};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

use crate::support::{Cluster, cluster};

pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) cluster: Cluster,
    pub(crate) address: SocketAddr,
    trigger: Trigger,
    served: JoinHandle<()>,
}

pub(crate) async fn server(limits: LineLimits) -> Server {
    let cluster = cluster(3, 3).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (trigger, shutdown) = shutdown::channel();
    let served = tokio::spawn(line::serve(
        listener,
        cluster.broker.clone(),
        limits,
        shutdown,
    ));
    Server {
        cluster,
        address,
        trigger,
        served,
    }
}

impl Server {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// Sends everything, says that nothing follows, and gives what comes back.
    pub(crate) async fn converse(&self, input: &[u8]) -> String {
        let (mut reader, mut writer) = self.connect().await.into_split();
        let input = input.to_vec();
        let sending = tokio::spawn(async move {
            writer.write_all(&input).await?;
            writer.shutdown().await
        });
        let mut output = Vec::new();
        let all = timeout(SOON, reader.read_to_end(&mut output)).await;
        all.expect("in time").expect("read");
        sending.await.expect("no panic").expect("sent");
        String::from_utf8(output).expect("text")
    }
}

fn small() -> LineLimits {
    LineLimits {
        line_bytes_max: 1000,
        small_bytes: 200,
        medium_bytes: 500,
        budget_bytes: 8000,
        stall: Duration::from_millis(300),
        ..LineLimits::default()
    }
}

#[tokio::test]
async fn responses_come_in_order_with_both_line_ends() {
    let server = server(LineLimits::default()).await;
    let output = server
        .converse(b"PUT a : 1\r\nGET a\n\n  \nget b\nNO\nDELETE a\nGET a\nGET unfinished")
        .await;
    let mut lines = output.lines();
    assert_eq!(lines.next(), Some("OK"));
    assert_eq!(lines.next(), Some("\"a\" : 1"));
    assert_eq!(lines.next(), Some("NOT FOUND"));
    assert!(
        lines
            .next()
            .expect("an answer")
            .starts_with("ERROR SYNTAX: `NO`")
    );
    assert_eq!(lines.collect::<Vec<_>>(), ["OK", "NOT FOUND"]);
}

#[tokio::test]
async fn thousands_of_pipelined_commands_keep_their_order() {
    let server = server(LineLimits::default()).await;
    server.cluster.members[0].set_delay(1);
    let (mut input, mut expected) = (String::new(), String::new());
    for number in 0..2000 {
        let name = number % 7;
        writeln!(input, "PUT k{name} : {number}\nGET k{name}").expect("a string");
        writeln!(expected, "OK\n\"k{name}\" : {number}").expect("a string");
        if number % 500 == 499 {
            writeln!(input, "SCAN k 1 AFTER k5").expect("a string");
            let last = number - (number + 1) % 7;
            writeln!(expected, "\"k6\" : {last}\nEND 1").expect("a string");
        }
    }
    assert_eq!(server.converse(input.as_bytes()).await, expected);
}

#[tokio::test]
async fn an_oversized_line_is_skipped_and_the_next_one_answered() {
    let server = server(small()).await;
    let mut input = b"PUT a : \"".to_vec();
    input.extend(vec![b'x'; 3_000_000]);
    input.extend(b"\"\nGET a\n");
    let expected = "ERROR SYNTAX: a line has at most 1000 bytes\nNOT FOUND\n";
    assert_eq!(server.converse(&input).await, expected);
}

#[tokio::test]
async fn a_large_line_that_says_nothing_ends_with_its_connection() {
    let server = server(LineLimits::default()).await;
    let mut input = vec![b' '; 100_000];
    input.push(b'\n');
    assert_eq!(server.converse(&input).await, "");
    input.extend(b"GET a\n");
    assert_eq!(server.converse(&input).await, "NOT FOUND\n");
}

#[tokio::test]
async fn malformed_bytes_are_answered_in_words() {
    let server = server(LineLimits::default()).await;
    let output = server
        .converse(b"\xFF\x00\nGET \xFF\nPUT \"\xFF\" : 1\nPUT a : \xFF\n")
        .await;
    let lines: Vec<_> = output.lines().collect();
    assert!(
        lines[0].starts_with(r"ERROR SYNTAX: `\xff\x00` is no command"),
        "{output}"
    );
    assert_eq!(lines[1], "NOT FOUND");
    assert!(
        lines[2].contains("column 6: text in quotes is UTF-8"),
        "{output}"
    );
    assert!(lines[3].contains("column 9: a value is UTF-8"), "{output}");
}

#[tokio::test]
async fn large_lines_and_replies_pass_within_the_budget() {
    let server = server(LineLimits {
        line_bytes_max: 100_000,
        medium_bytes: 20_000,
        small_bytes: 1000,
        budget_bytes: 400_000,
        ..LineLimits::default()
    })
    .await;
    let value = "x".repeat(90_000);
    let (mut input, mut expected) = (String::new(), String::new());
    for name in ["a", "b", "c"] {
        writeln!(input, "PUT {name} : \"{value}\"").expect("a string");
        expected.push_str("OK\n");
    }
    for name in ["a", "b", "c", "a"] {
        writeln!(input, "GET {name}").expect("a string");
        writeln!(expected, "\"{name}\" : \"{value}\"").expect("a string");
    }
    let conversations = (0..4).map(|_| server.converse(input.as_bytes()));
    for output in futures_util::future::join_all(conversations).await {
        assert!(
            output == expected,
            "{} bytes instead of {}",
            output.len(),
            expected.len()
        );
    }
}

#[tokio::test]
async fn a_half_sent_line_ends_its_connection_alone() {
    let server = server(small()).await;
    let mut stalled = server.connect().await;
    stalled.write_all(b"GET a\nPUT a ").await.expect("sent");
    let mut output = String::new();
    let ended = timeout(SOON, stalled.read_to_string(&mut output)).await;
    ended.expect("in time").expect("read");
    assert_eq!(
        output,
        "NOT FOUND\nERROR SYNTAX: the line did not go on within 0 s\n"
    );
    // What it still sends is taken for a moment: a reset could cost it the message.
    for _ in 0..3 {
        stalled.write_all(b"x").await.expect("not reset");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.converse(b"GET a\n").await, "NOT FOUND\n");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let server = server(LineLimits {
        stall: Duration::from_millis(300),
        ..LineLimits::default()
    })
    .await;
    let value = "x".repeat(60_000);
    assert_eq!(
        server
            .converse(format!("PUT a : \"{value}\"\n").as_bytes())
            .await,
        "OK\n"
    );
    let mut client = server.connect().await;
    let gets = "GET a\n".repeat(20_000);
    let sent = timeout(SOON, client.write_all(gets.as_bytes()))
        .await
        .expect("in time");
    // All was taken into the sockets' buffers, or the server closed meanwhile.
    drop(sent);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(Ok(read @ 1..)) = timeout(SOON, client.read(&mut buffer)).await {
        bytes += read;
    }
    assert!(
        bytes < 600 * value.len(),
        "{bytes} bytes were produced for nobody"
    );
}

#[tokio::test]
async fn idle_connections_are_kept_and_too_many_are_told() {
    let server = server(LineLimits {
        connections_max: 501,
        stall: Duration::from_millis(200),
        ..LineLimits::default()
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..500 {
        idle.push(server.connect().await);
    }
    assert_eq!(server.converse(b"PUT a : 1\n").await, "OK\n");
    tokio::time::sleep(Duration::from_millis(400)).await;
    let one_more = server.connect().await;
    let mut turned_away = server.connect().await;
    let mut output = String::new();
    let read = timeout(SOON, turned_away.read_to_string(&mut output)).await;
    read.expect("in time").expect("read");
    assert_eq!(
        output,
        "ERROR NOT DONE: more than 501 connections: try again\n"
    );
    drop(one_more);
    for client in &mut idle {
        client.write_all(b"GET a\n").await.expect("sent");
    }
    for client in idle {
        let mut line = String::new();
        let read = timeout(SOON, BufReader::new(client).read_line(&mut line)).await;
        read.expect("in time").expect("read");
        assert_eq!(line, "\"a\" : 1\n");
    }
}

#[tokio::test]
async fn shutdown_answers_what_is_in_flight() {
    let server = server(LineLimits::default()).await;
    for member in &server.cluster.members {
        member.set_delay(300);
    }
    let mut client = server.connect().await;
    let _idle = server.connect().await;
    client.write_all(b"PUT a : 1\n").await.expect("sent");
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.trigger.stop();
    let mut output = String::new();
    timeout(SOON, client.read_to_string(&mut output))
        .await
        .expect("in time")
        .expect("read");
    assert_eq!(output, "OK\n");
    timeout(SOON, server.served)
        .await
        .expect("in time")
        .expect("no panic");
}
