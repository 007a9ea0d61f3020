//! memcached and Redis, loaded by their own protocols.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{
    cleanup::{self, Program, Scratch},
    records,
    settings::Settings,
};

const START_MAX: Duration = Duration::from_secs(10);

/// How one of them is started and spoken to.
#[derive(Debug)]
pub(super) struct Kind {
    program: &'static str,
    arguments: &'static [&'static str],
    /// A command that stores, without an answer where that can be had.
    store: fn(&str, &str) -> String,
    /// How many items there are: the question, and how the line with the answer begins.
    count: (&'static str, &'static str),
}

pub(super) const MEMCACHED: Kind = Kind {
    program: "memcached",
    // Far more memory than is needed, so that nothing is evicted.
    arguments: &[
        "-l",
        "127.0.0.1",
        "-u",
        "nobody",
        "-m",
        "16384",
        "-t",
        "2",
        "-U",
        "0",
        "-p",
    ],
    store: |key, value| format!("set {key} 0 0 {} noreply\r\n{value}\r\n", value.len()),
    count: ("stats\r\n", "STAT curr_items "),
};

pub(super) const REDIS: Kind = Kind {
    program: "redis-server",
    arguments: &[
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--port",
    ],
    store: |key, value| {
        let (keys, values) = (key.len(), value.len());
        format!("*3\r\n$3\r\nSET\r\n${keys}\r\n{key}\r\n${values}\r\n{value}\r\n")
    },
    count: ("DBSIZE\r\n", ":"),
};

/// A running one; ended when dropped.
#[derive(Debug)]
pub(super) struct Cache {
    program: Program,
    address: String,
    kind: &'static Kind,
    _scratch: Scratch,
}

impl Cache {
    pub(super) async fn start(settings: &Settings, kind: &'static Kind) -> Result<Self> {
        let scratch = settings.scratch(kind.program)?;
        let port = cleanup::free_port()?;
        let mut command = Command::new(kind.program);
        command.args(kind.arguments).arg(port.to_string());
        command.current_dir(scratch.path());
        let mut program = Program::start(&mut command, scratch.path(), kind.program)?;
        let address = format!("127.0.0.1:{port}");
        let since = Instant::now();
        while TcpStream::connect(&address).await.is_err() {
            program.check()?;
            if since.elapsed() > START_MAX {
                bail!("{} does not answer: {}", kind.program, program.said());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self {
            program,
            address,
            kind,
            _scratch: scratch,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.program.id()
    }

    /// Stores so many items and makes sure that they are there.
    pub(super) async fn load(&self, items: u64, value: &str) -> Result<()> {
        let socket = TcpStream::connect(&self.address).await?;
        let (read, mut write) = socket.into_split();
        let (kind, value) = (self.kind, value.to_owned());
        let writing = tokio::spawn(async move {
            let mut out = String::new();
            for number in 0..items {
                out.push_str(&(kind.store)(&records::key(number), &value));
                if out.len() > 64 * 1024 {
                    write.write_all(out.as_bytes()).await?;
                    out.clear();
                }
            }
            out.push_str(kind.count.0);
            write.write_all(out.as_bytes()).await?;
            // Kept open until the answer came.
            Ok::<_, std::io::Error>(write)
        });
        let mut lines = BufReader::new(read).lines();
        let found = loop {
            let line = lines.next_line().await?.context("the connection ended")?;
            if let Some(found) = line.strip_prefix(kind.count.1) {
                break found.trim().parse::<u64>()?;
            }
        };
        writing.await??;
        if found != items {
            bail!("{} has {found} items, not {items}", kind.program);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }
}
