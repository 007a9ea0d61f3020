//! The load of both sides: so many connections, so many requests on each, and as soon as one is
//! answered the next. The first tenth of the time is not counted. The rate is of what was answered
//! in the rest; latencies are of what was asked in it, however late the answer.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::figures::Load;

/// Connections at most: more requests at once than these share them.
const CONNECTIONS_MAX: usize = 16;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Put,
    Get,
}

/// A load of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// Requests on their way at once.
    pub(crate) at_once: usize,
    pub(crate) lasts: Duration,
    pub(crate) keys: u64,
    /// The value of every put: letters and digits.
    pub(crate) value: Arc<str>,
}

impl Plan {
    /// Requests on their way on each connection.
    pub(crate) fn depths(&self) -> Vec<usize> {
        let connections = self.at_once.min(CONNECTIONS_MAX);
        let depth = |number| (self.at_once + number) / connections;
        (0..connections).map(depth).collect()
    }
}

/// The key of a number.
pub(crate) fn key(number: u64) -> String {
    format!("bench{number:012}")
}

/// Letters and digits; the same for the same seed.
pub(crate) fn text(seed: u64, length: usize) -> String {
    const SIGNS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = StdRng::seed_from_u64(seed);
    let sign = |_| char::from(SIGNS[random.random_range(0..SIGNS.len())]);
    (0..length).map(sign).collect()
}

/// Which requests count, and when to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
}

impl Window {
    pub(crate) fn of(plan: &Plan) -> Self {
        let now = Instant::now();
        Self {
            begin: now + plan.lasts / 10,
            end: now + plan.lasts,
        }
    }

    /// How long it counts.
    pub(crate) fn length(&self) -> Duration {
        self.end - self.begin
    }

    /// Records an answer that came now to what was asked then.
    pub(crate) fn record(&self, load: &mut Load, asked: Instant) {
        let now = Instant::now();
        if now >= self.begin && now < self.end {
            load.answered += 1;
        }
        if asked >= self.begin {
            load.record(now - asked);
        }
    }
}

/// Loads a broker by its line protocol.
pub(crate) async fn line(address: &str, plan: &Plan) -> Result<Load> {
    let mut tasks = JoinSet::new();
    let mut sockets = Vec::new();
    for _ in plan.depths() {
        let socket = TcpStream::connect(address).await;
        let socket = socket.with_context(|| format!("no broker at {address}"))?;
        socket.set_nodelay(true)?;
        sockets.push(socket);
    }
    let window = Window::of(plan);
    for (number, (depth, socket)) in plan.depths().into_iter().zip(sockets).enumerate() {
        tasks.spawn(line_connection(
            socket,
            depth,
            number as u64,
            plan.clone(),
            window,
        ));
    }
    joined(tasks, window).await
}

/// What all tasks measured.
pub(crate) async fn joined(mut tasks: JoinSet<Result<Load>>, window: Window) -> Result<Load> {
    let mut all = Load::new();
    while let Some(load) = tasks.join_next().await {
        all.join(&load??);
    }
    all.lasted(window.length());
    if all.failed > 0 {
        bail!("{} requests failed", all.failed);
    }
    Ok(all)
}

async fn line_connection(
    mut socket: TcpStream,
    depth: usize,
    seed: u64,
    plan: Plan,
    window: Window,
) -> Result<Load> {
    let mut load = Load::new();
    let mut random = StdRng::seed_from_u64(seed);
    let mut asked = VecDeque::new();
    let (mut out, mut inward, mut done) = (Vec::new(), Vec::with_capacity(64 * 1024), 0);
    let mut ask = |out: &mut Vec<u8>| {
        let key = key(random.random_range(0..plan.keys));
        out.extend_from_slice(
            match plan.kind {
                Kind::Put => format!("PUT \"{key}\" : \"{}\"\n", plan.value),
                Kind::Get => format!("GET \"{key}\"\n"),
            }
            .as_bytes(),
        );
    };
    for _ in 0..depth {
        ask(&mut out);
        asked.push_back(Instant::now());
    }
    while !asked.is_empty() {
        if !out.is_empty() {
            socket.write_all(&out).await?;
            out.clear();
        }
        if socket.read_buf(&mut inward).await? == 0 {
            bail!("the broker closed the connection");
        }
        while let Some(length) = inward[done..].iter().position(|&byte| byte == b'\n') {
            let reply = &inward[done..done + length];
            done += length + 1;
            if reply.starts_with(b"# ") {
                continue;
            }
            let since = asked.pop_front().context("a reply that nobody asked for")?;
            let is_good = reply.starts_with(b"OK") || reply.starts_with(b"\"");
            load.failed += u64::from(!is_good);
            window.record(&mut load, since);
            if Instant::now() < window.end {
                ask(&mut out);
                asked.push_back(Instant::now());
            }
        }
        inward.drain(..done);
        done = 0;
    }
    Ok(load)
}

/// Puts every key once; gives back how long that took.
pub(crate) async fn fill(address: &str, keys: u64, value: &str) -> Result<Duration> {
    const CONNECTIONS: u64 = 4;
    let since = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (address, value) = (address.to_owned(), value.to_owned());
        tasks.spawn(async move {
            let mine = (number..keys).step_by(CONNECTIONS as usize);
            let mut socket = TcpStream::connect(&address).await?;
            socket.set_nodelay(true)?;
            put_all(&mut socket, mine, &value).await
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(since.elapsed())
}

/// Puts these keys, so many at a time, and waits for the answers.
async fn put_all(
    socket: &mut TcpStream,
    mut keys: impl Iterator<Item = u64> + Send,
    value: &str,
) -> Result<()> {
    const AT_ONCE: usize = 128;
    let (mut read, mut write) = socket.split();
    let (mut waiting, mut out, mut inward) = (0, Vec::new(), Vec::with_capacity(64 * 1024));
    loop {
        while waiting < AT_ONCE {
            let Some(number) = keys.next() else { break };
            out.extend_from_slice(format!("PUT \"{}\" : \"{value}\"\n", key(number)).as_bytes());
            waiting += 1;
        }
        if waiting == 0 {
            return Ok(());
        }
        write.write_all(&out).await?;
        out.clear();
        if read.read_buf(&mut inward).await? == 0 {
            bail!("the broker closed the connection");
        }
        let whole = inward
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        for reply in inward[..whole]
            .split(|&byte| byte == b'\n')
            .filter(|reply| !reply.is_empty())
        {
            if reply.starts_with(b"# ") {
                continue;
            }
            if reply != b"OK" {
                bail!("a put was answered {}", String::from_utf8_lossy(reply));
            }
            waiting -= 1;
        }
        inward.drain(..whole);
    }
}
