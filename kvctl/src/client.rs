//! A client of the line protocol: pipelined, replies in the order of commands.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};
use kvcore::{key::Key, notation, value::Content};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::limits::CONNECT_TIMEOUT;

/// Commands that may wait in one connection.
const PIPELINE_MAX: usize = 256;

/// A reply: notes, entries (of a scan), and how it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// What the broker remarks, for people.
    pub notes: Vec<String>,
    /// Entry lines of a scan.
    pub entries: Vec<String>,
    /// The end.
    pub end: End,
}

/// How a reply ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The text after `key : `.
    Value(String),
    /// Done.
    Ok,
    /// No such key or path.
    NotFound,
    /// An `ADD` found a value.
    Exists,
    /// A scan came to its end.
    ScanEnd,
    /// A scan goes on after this key.
    ScanMore(Key),
    /// The broker did not understand.
    Syntax(String),
    /// It was certainly not done, or could not be found out.
    NotDone(String),
    /// It may or may not have been done.
    Unknown(String),
}

/// One connection; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
struct Command {
    line: Vec<u8>,
    reply: Reply,
}

/// Where a reply goes and what it looks like: an entry line ends the reply of any command but a
/// scan.
#[derive(Debug)]
struct Reply {
    shape: Shape,
    answer: oneshot::Sender<Response>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    Scan,
}

impl Client {
    /// Connects to a broker's line protocol (`host:port`).
    pub async fn connect(address: &str) -> Result<Self> {
        let socket = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(connected) => connected.with_context(|| format!("no broker at {address}"))?,
            Err(_) => bail!(
                "no broker at {address} within {} s",
                CONNECT_TIMEOUT.as_secs()
            ),
        };
        socket.set_nodelay(true)?;
        let (read, write) = socket.into_split();
        let (commands, queue) = mpsc::channel(PIPELINE_MAX);
        let (sent, answers) = mpsc::channel(PIPELINE_MAX);
        tokio::spawn(write_all(write, queue, sent));
        tokio::spawn(read_all(read, answers));
        Ok(Self { commands })
    }

    /// Whether the connection is lost, as far as was noticed.
    pub fn is_closed(&self) -> bool {
        self.commands.is_closed()
    }

    /// Sends one command (without its line end), no `SCAN`, and waits for the reply.
    pub async fn ask(&self, line: impl Into<Vec<u8>>) -> Result<Response> {
        self.send(line.into(), Shape::One).await
    }

    /// Sends a `SCAN` and waits for the reply.
    pub async fn scan(&self, line: impl Into<Vec<u8>>) -> Result<Response> {
        self.send(line.into(), Shape::Scan).await
    }

    async fn send(&self, line: Vec<u8>, shape: Shape) -> Result<Response> {
        let (answer, reply) = oneshot::channel();
        let command = Command {
            line,
            reply: Reply { shape, answer },
        };
        let lost = "the broker closed the connection: what was asked may or may not be done";
        self.commands.send(command).await.ok().context(lost)?;
        reply.await.context(lost)
    }
}

async fn write_all(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Command>,
    sent: mpsc::Sender<Reply>,
) {
    let mut buffer = Vec::new();
    let mut waiting = VecDeque::new();
    while let Some(first) = queue.recv().await {
        let mut next = Some(first);
        // What waits goes out together.
        while let Some(Command { line, reply }) = next.take() {
            buffer.extend_from_slice(&line);
            buffer.push(b'\n');
            waiting.push_back(reply);
            if buffer.len() < 64 * 1024 {
                next = queue.try_recv().ok();
            }
        }
        for reply in waiting.drain(..) {
            if sent.send(reply).await.is_err() {
                return;
            }
        }
        if socket.write_all(&buffer).await.is_err() {
            return;
        }
        buffer.clear();
        buffer.shrink_to(1024 * 1024);
    }
}

async fn read_all(socket: OwnedReadHalf, mut answers: mpsc::Receiver<Reply>) {
    let mut reader = BufReader::with_capacity(64 * 1024, socket);
    while let Some(Reply { shape, answer }) = answers.recv().await {
        match read_response(&mut reader, shape).await {
            Ok(response) => {
                let _ = answer.send(response);
            }
            // The answers are dropped, which tells everybody.
            Err(_) => return,
        }
    }
}

async fn read_response(reader: &mut BufReader<OwnedReadHalf>, shape: Shape) -> Result<Response> {
    let (mut notes, mut entries) = (Vec::new(), Vec::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await? == 0 {
            bail!("the connection ended");
        }
        let line = line.trim_end_matches(['\r', '\n']);
        let is_entry = line.starts_with('"') || line.starts_with("0x");
        if let Some(note) = line.strip_prefix("# ") {
            notes.push(note.to_owned());
        } else if is_entry && shape == Shape::Scan {
            entries.push(line.to_owned());
        } else if is_entry {
            let end = End::Value(split_entry(line)?.1.to_owned());
            return Ok(Response {
                notes,
                entries,
                end,
            });
        } else {
            return Ok(Response {
                notes,
                entries,
                end: end_of(line)?,
            });
        }
    }
}

fn end_of(line: &str) -> Result<End> {
    let error = |kind: &str| {
        line.strip_prefix(kind)
            .map(|text| text.trim_start().to_owned())
    };
    Ok(match line {
        "OK" => End::Ok,
        "NOT FOUND" => End::NotFound,
        "EXISTS" => End::Exists,
        _ if line.starts_with("END ") => End::ScanEnd,
        _ if line.starts_with("MORE ") => {
            let (_, key) = line[5..].split_once(' ').context("MORE names a key")?;
            End::ScanMore(notation::parse_key(key)?.0)
        }
        _ => match (
            error("ERROR SYNTAX:"),
            error("ERROR NOT DONE:"),
            error("ERROR UNKNOWN:"),
        ) {
            (Some(text), ..) => End::Syntax(text),
            (_, Some(text), _) => End::NotDone(text),
            (.., Some(text)) => End::Unknown(text),
            _ => bail!("the broker answered {line:?}, which is no reply"),
        },
    })
}

/// Splits an entry line into its name, as written, and its value.
pub fn split_entry(line: &str) -> Result<(&str, &str)> {
    let bytes = line.as_bytes();
    let mut end = 1;
    if bytes.first() == Some(&b'"') {
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        end += 1;
    } else {
        end = line.find(' ').unwrap_or(line.len());
    }
    let (name, rest) = line.split_at_checked(end).context("an entry has a name")?;
    let value = rest
        .trim_start()
        .strip_prefix(':')
        .context("an entry has a colon")?;
    Ok((name, value.trim_start()))
}

/// The content in the text of a value.
pub fn content(text: &str) -> Result<Content> {
    Ok(notation::parse_content(text, 1)?)
}
