//! A Kvasir cluster of real processes, started by `kvctl up`, and its line protocol.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rand::RngExt;
use serde_json::Value;

use crate::{
    cleanup::{Program, Scratch},
    settings::Settings,
};

/// How long a cluster may take until it is ready; one with much data reads it all.
const READY_MAX: Duration = Duration::from_mins(2);

/// First ports are drawn from here: below those that the system gives out by itself.
const PORT_BASES: std::ops::Range<u16> = 12_000..31_000;

/// What is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) servers: u16,
    pub(crate) copies: usize,
    /// `--mode`.
    pub(crate) mode: &'static str,
    /// `--sync`.
    pub(crate) sync: &'static str,
}

/// A running cluster; ended and removed when dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    // Dropped in this order: the programs end before their files go.
    up: Program,
    scratch: Scratch,
    /// The broker's line protocol.
    pub(crate) line: String,
    http: String,
    /// The servers' process numbers.
    pub(crate) servers: Vec<u32>,
    /// Where the first server talks to peers.
    pub(crate) peer: String,
    /// Where the first server says how it is.
    pub(crate) admin: String,
}

impl Cluster {
    /// Starts a cluster and waits until it is ready.
    pub(crate) fn start(settings: &Settings, shape: Shape) -> Result<Self> {
        let mut last = None;
        for _ in 0..5 {
            match Self::try_start(settings, shape) {
                Ok(cluster) => return Ok(cluster),
                // Somebody else may have had a port.
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("it was tried")?)
    }

    fn try_start(settings: &Settings, shape: Shape) -> Result<Self> {
        let scratch = settings.scratch("kvasir")?;
        let base: u16 = rand::rng().random_range(PORT_BASES);
        let mut command = Command::new(&settings.kvctl);
        command.arg("up");
        command.arg("--data-dir").arg(scratch.path().join("data"));
        command.args(["--servers", &shape.servers.to_string()]);
        command.args(["--copies", &shape.copies.to_string()]);
        command.args(["--brokers", "1", "--port-base", &base.to_string()]);
        command.args(["--mode", shape.mode, "--sync", shape.sync]);
        let mut up = Program::start(&mut command, scratch.path(), "up")?;
        let state = scratch.path().join("data/cluster.json");
        let since = Instant::now();
        loop {
            up.check()?;
            if let Some(state) = read_state(&state)
                && is_ready(&state.http)
            {
                return Ok(Self {
                    up,
                    scratch,
                    line: state.line,
                    http: state.http,
                    servers: state.servers,
                    peer: state.peer,
                    admin: state.admin,
                });
            }
            if since.elapsed() > READY_MAX {
                bail!("kvctl up is not ready: {}", up.said());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// An error if it does not serve any more.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.up.check()?;
        if !is_ready(&self.http) {
            bail!("the cluster is not ready any more: {}", self.up.said());
        }
        Ok(())
    }

    /// Where it keeps its files.
    pub(crate) fn directory(&self) -> PathBuf {
        self.scratch.path().join("data")
    }
}

/// What `kvctl up` writes down.
struct State {
    line: String,
    http: String,
    servers: Vec<u32>,
    peer: String,
    admin: String,
}

/// The state, once the broker was started.
fn read_state(path: &PathBuf) -> Option<State> {
    let state: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let (broker, first) = (state["brokers"].get(0)?, state["servers"].get(0)?);
    broker["process"]["pid"].as_u64()?;
    let pid = |server: &Value| u32::try_from(server["process"]["pid"].as_u64()?).ok();
    let servers: Option<_> = state["servers"].as_array()?.iter().map(pid).collect();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(State {
        line: text(&broker["line"])?,
        http: text(&broker["http"])?,
        servers: servers?,
        peer: text(&first["peer"])?,
        admin: text(&first["admin"])?,
    })
}

fn is_ready(address: &str) -> bool {
    http(address, "/readyz").is_ok()
}

/// The body of a page; an error unless it was answered with 200.
pub(crate) fn http(address: &str, path: &str) -> Result<String> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an answer has a head")?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("{address}{path}: {body}");
    }
    Ok(body.to_owned())
}
