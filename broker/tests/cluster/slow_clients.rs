//! Clients that send or read large lines slowly, and what others notice of them.

use std::time::{Duration, Instant};

use broker::{command::Command, line::LineLimits};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::lines::{SOON, Server, server};

/// More than sockets keep for a client that does not read.
const LARGE_BYTES: usize = 6_000_000;

/// Room for one large line and two large replies at a time.
fn narrow() -> LineLimits {
    LineLimits {
        line_bytes_max: LARGE_BYTES + 1000,
        medium_bytes: 1_000_000,
        small_bytes: 1000,
        budget_bytes: 4 * (LARGE_BYTES + 1000),
        grace: Duration::from_millis(500),
        pace: 1_000_000,
        room_wait: SOON,
        ..LineLimits::default()
    }
}

fn large_put(name: &str) -> String {
    format!("PUT {name} : \"{}\"\n", "x".repeat(LARGE_BYTES))
}

/// A connection whose own end keeps little.
async fn connect(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16_384).expect("allowed");
    socket.set_send_buffer_size(16_384).expect("allowed");
    socket.connect(server.address).await.expect("it listens")
}

/// Asks for a large value and reads a few bytes now and then, or none when `rest` is `None`,
/// until it is cut; says when the reply has begun.
async fn slow_reader(server: &Server, rest: Option<Duration>) -> JoinHandle<()> {
    let mut client = connect(server).await;
    client.write_all(b"GET big\n").await.expect("sent");
    timeout(SOON, client.readable())
        .await
        .expect("in time")
        .expect("open");
    tokio::spawn(async move {
        let mut few = [0; 100];
        let Some(rest) = rest else {
            // Kept open until the test ends.
            return std::future::pending().await;
        };
        while let Ok(1..) = client.read(&mut few).await {
            tokio::time::sleep(rest).await;
        }
    })
}

/// Sends most of a large line, then a byte now and then until it is cut. Says when the line
/// holds its share, and gives what it was told at the end.
async fn slow_writer(server: &Server) -> (oneshot::Receiver<()>, JoinHandle<String>) {
    let (mut reader, mut writer) = connect(server).await.into_split();
    let (holds, is_held) = oneshot::channel();
    let writing = tokio::spawn(async move {
        writer.write_all(b"PUT slow : \"").await?;
        // So much is only taken once there is room for the whole line.
        writer.write_all(&vec![b'x'; LARGE_BYTES - 100_000]).await?;
        let _ = holds.send(());
        loop {
            writer.write_all(b"x").await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        #[allow(unreachable_code)]
        std::io::Result::Ok(())
    });
    let told = tokio::spawn(async move {
        let mut told = String::new();
        let _ = reader.read_to_string(&mut told).await;
        writing.abort();
        told
    });
    (is_held, told)
}

async fn ask(client: &mut BufReader<TcpStream>, lines: &str) -> String {
    let (reader, mut writer) = client.get_mut().split();
    let mut reader = BufReader::new(reader);
    let mut answer = String::new();
    let asked = async {
        let (sent, read) = tokio::join!(
            writer.write_all(lines.as_bytes()),
            reader.read_line(&mut answer)
        );
        sent.expect("sent");
        read.expect("read");
    };
    timeout(SOON, asked).await.expect("in time");
    answer
}

#[tokio::test]
async fn slow_clients_hold_up_others_for_a_moment_only() {
    let server = server(narrow()).await;
    assert_eq!(server.converse(large_put("big").as_bytes()).await, "OK\n");
    let rest = Duration::from_millis(20);
    let _readers = (
        slow_reader(&server, Some(rest)).await,
        slow_reader(&server, None).await,
    );
    let (first_holds, first_told) = slow_writer(&server).await;
    let (_, second_told) = slow_writer(&server).await;
    timeout(SOON, first_holds)
        .await
        .expect("in time")
        .expect("it got its share");
    let began = Instant::now();
    let large = async {
        let input = format!("{}GET big\n", large_put("other"));
        let output = server.converse(input.as_bytes()).await;
        assert!(output.starts_with("OK\n\"big\" : \"xxx"), "{output:.200}");
        assert!(output.ends_with("xxx\"\n"));
    };
    let small = async {
        for _ in 0..20 {
            let began = Instant::now();
            let output = server.converse(b"PUT small : 1\nGET small\n").await;
            assert_eq!(output, "OK\n\"small\" : 1\n");
            assert!(began.elapsed() < Duration::from_secs(2));
        }
    };
    tokio::join!(large, small);
    assert!(began.elapsed() < Duration::from_secs(10));
    for told in [first_told, second_told] {
        let told = timeout(SOON, told).await.expect("in time");
        assert_eq!(
            told.expect("no panic"),
            "ERROR NOT DONE: a line this large has to come with 1000000 bytes a second\n"
        );
    }
}

#[tokio::test]
async fn who_waits_for_room_in_vain_is_told_and_may_go_on() {
    let server = server(LineLimits {
        room_wait: Duration::from_millis(200),
        grace: Duration::from_mins(10),
        stall: Duration::from_mins(10),
        ..narrow()
    })
    .await;
    assert_eq!(server.converse(large_put("big").as_bytes()).await, "OK\n");
    let _readers = (
        slow_reader(&server, None).await,
        slow_reader(&server, None).await,
    );
    let (holds, _told) = slow_writer(&server).await;
    timeout(SOON, holds)
        .await
        .expect("in time")
        .expect("it got its share");
    let mut client = BufReader::new(server.connect().await);
    let answer = ask(&mut client, &large_put("other")).await;
    assert!(
        answer.starts_with("ERROR NOT DONE: no room for a line of more than 10"),
        "{answer}"
    );
    assert!(answer.contains(" bytes within 200 ms: lines of other clients"));
    let answer = ask(&mut client, "GET big\n").await;
    let expected = format!(
        "ERROR NOT DONE: no room for a reply of {} bytes within 200 ms: replies to other clients \
         hold it; try again\n",
        LARGE_BYTES + 11
    );
    assert_eq!(answer, expected);
    assert_eq!(ask(&mut client, "GET other\n").await, "NOT FOUND\n");
    assert_eq!(ask(&mut client, "PUT a : 1\n").await, "OK\n");
}

#[tokio::test]
async fn a_large_line_is_parsed_beside_everything_else() {
    let server = server(narrow()).await;
    // Valid but for its end: it is parsed to the end, and there is nothing to store.
    let line = format!("PUT a : [ {}1 }}\n", "1 ; ".repeat(1_450_000));
    let began = Instant::now();
    assert!(Command::parse(line.trim_end().as_bytes()).is_err());
    let parsing = began.elapsed();
    let large = async {
        let output = server.converse(line.as_bytes()).await;
        assert!(output.starts_with("ERROR SYNTAX: column "), "{output:.200}");
    };
    tokio::pin!(large);
    let mut client = BufReader::new(server.connect().await);
    let mut longest = Duration::ZERO;
    loop {
        let began = Instant::now();
        tokio::select! {
            () = &mut large => break,
            answer = ask(&mut client, "GET small\n") => assert_eq!(answer, "NOT FOUND\n"),
        }
        longest = longest.max(began.elapsed());
    }
    assert!(
        longest < parsing / 2,
        "a small command took {longest:?} while a line was parsed for {parsing:?}"
    );
}
