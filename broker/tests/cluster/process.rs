//! The broker's program as a service: started, asked over HTTP and the line protocol, stopped.

use std::{
    fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration,
};

use kvcore::{
    placement::Placement,
    status::{BrokerId, BrokerStatus},
    wire::{
        Secret,
        admin::{PUT_PLACEMENT, authorization},
    },
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use crate::first_placement::SECRET;

/// Far longer than anything that is waited for.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A running broker; killed when it is dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) http: SocketAddr,
    log: Lines<BufReader<ChildStderr>>,
}

impl Process {
    /// Starts it with these servers in its file, and waits until it listens for HTTP.
    pub(crate) async fn start(home: &Path, servers: &str, arguments: &[&str]) -> Self {
        fs::write(home.join("servers.txt"), servers).expect("written");
        let secret = home.join("secret");
        fs::write(&secret, SECRET).expect("written");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("allowed");
        let listen = ["--line", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let mut child = Command::new(env!("CARGO_BIN_EXE_broker"))
            .args(["-s", "servers.txt", "--serve-only", "--log-format", "json"])
            .args(listen)
            .args(arguments)
            .current_dir(home)
            .env("KVASIR_SECRET_FILE", "secret")
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped")).lines();
        let http = address(&mut log, "HTTP listens").await;
        Self { child, http, log }
    }

    /// Where the line protocol listens; waits until it does.
    pub(crate) async fn line(&mut self) -> SocketAddr {
        address(&mut self.log, "line protocol listens").await
    }

    /// Status and body of a request.
    pub(crate) async fn ask(&self, what: &str, header: &str, body: &[u8]) -> (u16, String) {
        let head = format!(
            "{what} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n{header}\r\n",
            body.len()
        );
        let exchange = async {
            let mut socket = TcpStream::connect(self.http).await.expect("it listens");
            socket.write_all(head.as_bytes()).await.expect("sent");
            // Who refuses a body need not read it.
            let _ = socket.write_all(body).await;
            let mut answer = String::new();
            let _ = socket.read_to_string(&mut answer).await;
            answer
        };
        let answer = timeout(SOON, exchange).await.expect("in time");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).expect("a status");
        (status.parse().expect("a number"), body.to_owned())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        self.ask(&format!("GET {path}"), "", b"").await
    }

    pub(crate) async fn status(&self) -> BrokerStatus {
        let (code, body) = self.get("/status").await;
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).expect("a status")
    }

    /// A nonce, and the name of who gives it.
    pub(crate) async fn nonce(&self) -> (BrokerId, String) {
        let (code, body) = self.get("/nonce").await;
        assert_eq!(code, 200, "{body}");
        let given: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let id = serde_json::from_value(given["broker"].clone()).expect("an id");
        (id, given["nonce"].as_str().expect("text").to_owned())
    }

    /// Offers these bytes with a good proof.
    pub(crate) async fn push_bytes(&self, body: &[u8]) -> (u16, String) {
        let secret = Secret::new(SECRET).expect("long enough");
        let (id, nonce) = self.nonce().await;
        let proof = authorization(&secret, id, &nonce, (PUT_PLACEMENT, body));
        let header = format!("authorization: {proof}\r\n");
        self.ask(PUT_PLACEMENT, &header, body).await
    }

    pub(crate) async fn push(&self, placement: &Placement) -> (u16, String) {
        let body = serde_json::to_vec(placement).expect("JSON");
        self.push_bytes(&body).await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.and_then(Pid::from_raw).expect("it runs");
        kill_process(id, signal).expect("it runs");
    }
}

/// The answer to one line of a new client.
pub(crate) async fn say(line_protocol: SocketAddr, line: &str) -> String {
    let exchange = async {
        let mut socket = TcpStream::connect(line_protocol).await.expect("it listens");
        let line = format!("{line}\n");
        socket.write_all(line.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let mut reader = BufReader::new(socket);
        reader.read_line(&mut answer).await.expect("answered");
        answer
    };
    timeout(SOON, exchange).await.expect("in time")
}

/// The address in the log's line with this message.
async fn address(log: &mut Lines<BufReader<ChildStderr>>, message: &str) -> SocketAddr {
    let found = async {
        while let Some(line) = log.next_line().await.expect("text") {
            let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            if line["message"] == message {
                let address = line["address"].as_str().expect("text");
                return address.parse().expect("an address");
            }
        }
        panic!("it ended before it said: {message}");
    };
    timeout(SOON, found).await.expect("in time")
}
