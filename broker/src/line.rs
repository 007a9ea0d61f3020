//! The line protocol on TCP: commands in, one response each, in the order of the commands.
//!
//! ```text
//!   splitter    bytes -> lines              pure, limited
//!   incoming    the line being read         its share of the budget, its time
//!   pace        bytes -> time               how slow a holder of a share may be
//!   order       which commands may run      those on one key one after the other
//!   pipeline    commands -> responses       many at once
//!   outbox      responses -> bytes          what waits for a slow reader, limited
//!   connection  one client's socket and all of these, in one task
//! ```

mod connection;
mod incoming;
mod order;
mod outbox;
mod pace;
mod pipeline;
mod splitter;

use std::{sync::Arc, time::Duration};

use kvnet::{accept::Accept, limits::DRAIN_MAX, shutdown::Shutdown};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use self::connection::Connection;
pub use self::splitter::{Piece, Splitter};
use crate::{
    limits::{
        LINE_BUDGET_BYTES, LINE_BYTES_MAX, LINE_CONNECTIONS_MAX, LINE_GRACE_SECONDS,
        LINE_MEDIUM_BYTES, LINE_PACE_BYTES_A_SECOND, LINE_PIPELINE_MAX, LINE_ROOM_WAIT_SECONDS,
        LINE_SMALL_BYTES, LINE_STALL_SECONDS,
    },
    shell::Broker,
};

/// Limits of a line server.
#[derive(Debug, Clone, Copy)]
pub struct LineLimits {
    /// Connections at once.
    pub connections_max: usize,
    /// Commands of one connection worked on at once.
    pub pipeline_max: usize,
    /// Longest line, in bytes.
    pub line_bytes_max: usize,
    /// Lines and replies up to this size, in bytes, do not count against the budget.
    pub small_bytes: usize,
    /// Longest line, in bytes, of which many may be read at once.
    pub medium_bytes: usize,
    /// Bytes of large lines and replies held at once, over all connections.
    pub budget_bytes: usize,
    /// How long a client may stand still in the middle of a line or of reading replies.
    pub stall: Duration,
    /// How far behind the pace a client may fall while it holds a share of the budget.
    pub grace: Duration,
    /// Bytes a second with which a large line has to come and a large reply has to be read.
    pub pace: u32,
    /// How long a large line or reply waits for a share of the budget.
    pub room_wait: Duration,
}

impl Default for LineLimits {
    fn default() -> Self {
        Self {
            connections_max: LINE_CONNECTIONS_MAX,
            pipeline_max: LINE_PIPELINE_MAX,
            line_bytes_max: LINE_BYTES_MAX,
            small_bytes: LINE_SMALL_BYTES,
            medium_bytes: LINE_MEDIUM_BYTES,
            budget_bytes: LINE_BUDGET_BYTES,
            stall: Duration::from_secs(LINE_STALL_SECONDS),
            grace: Duration::from_secs(LINE_GRACE_SECONDS),
            pace: LINE_PACE_BYTES_A_SECOND,
            room_wait: Duration::from_secs(LINE_ROOM_WAIT_SECONDS),
        }
    }
}

/// Room for large lines and replies, over all connections.
///
/// Four parts, so that no two connections wait for what the other one holds: a line's share is
/// given back when its command ends, a first reply's as the client reads it, and for the part of
/// later replies nobody waits. Nobody waits for a share while holding room for a large value
/// (`shell/room.rs`); the other way round they may.
///
/// Nobody holds a share for good: commands end by their deadline, a large line's once those before
/// it on its key have, and a client has to keep the pace of [`LineLimits::pace`] while it holds one.
#[derive(Debug, Clone)]
struct Budget {
    medium_lines: Part,
    huge_lines: Part,
    first_replies: Part,
    later_replies: Part,
}

/// One part of the budget, in bytes.
#[derive(Debug, Clone)]
struct Part {
    room: Arc<Semaphore>,
    bytes: u32,
}

impl Part {
    fn new(bytes: usize) -> Self {
        let bytes = bytes.min(1 << 30);
        Self {
            room: Arc::new(Semaphore::new(bytes)),
            bytes: u32::try_from(bytes).expect("limited above"),
        }
    }

    /// What a piece of so many bytes takes: everything, when it is larger than the part.
    fn share(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes)
    }

    /// Whether a share is enough for a piece of so many bytes.
    fn covers(&self, share: &OwnedSemaphorePermit, bytes: usize) -> bool {
        share.num_permits() >= self.share(bytes) as usize
    }
}

impl Budget {
    fn new(bytes: usize) -> Self {
        Self {
            medium_lines: Part::new(bytes / 4),
            huge_lines: Part::new(bytes / 4),
            first_replies: Part::new(bytes / 4),
            later_replies: Part::new(bytes / 4),
        }
    }
}

/// Serves commands on `listener` until shutdown, then lets those in flight finish within
/// [`DRAIN_MAX`].
pub async fn serve(listener: TcpListener, broker: Broker, limits: LineLimits, shutdown: Shutdown) {
    let accept = Accept {
        what: "clients",
        connections_max: limits.connections_max,
        drain: DRAIN_MAX,
    };
    let budget = Budget::new(limits.budget_bytes);
    let stop = shutdown.clone();
    let handle = move |socket, from| {
        let connection = Connection::new(broker.clone(), limits, budget.clone(), stop.clone());
        async move {
            if let Err(error) = connection.run(socket).await {
                tracing::debug!(%from, %error, "client connection ended");
            }
        }
    };
    let turn_away = |socket: &TcpStream| turn_away(socket, limits.connections_max);
    accept.run(listener, shutdown, turn_away, handle).await;
}

/// A new socket has room for one line; if it should not, nobody waits.
fn turn_away(socket: &TcpStream, limit: usize) {
    let line = format!("ERROR NOT DONE: more than {limit} connections: try again\n");
    let _ = socket.try_write(line.as_bytes());
}
