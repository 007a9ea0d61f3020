//! Limits of connections, with their units and reasons.

use std::time::Duration;

/// Most peer connections a server holds. Every broker and every other member has one each, and
/// clusters have at most a thousand of either.
pub const PEER_CONNECTIONS_MAX: usize = 2_048;

/// Most requests a server works on for one connection; beyond, it stops reading from it.
pub const PEER_IN_FLIGHT_MAX: usize = 1_024;

/// Bytes of requests a server works on for one connection; beyond, it stops reading from it.
pub const PEER_IN_FLIGHT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of unsent replies or requests beyond which a connection takes on no more work.
pub const PEER_OUT_BYTES_MAX: usize = 1024 * 1024;

/// Requests that may wait for one connection of a client; beyond, a call fails at once.
pub const PEER_QUEUE_MAX: usize = 4_096;

/// How long a peer may take for the handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client waits for a TCP connection to one address, the look-up of its name included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a client says something, so that both sides notice a dead connection.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);

/// How long a client with requests or heartbeats outstanding hears nothing before it gives the
/// connection up. Four heartbeats: one lost packet is sent again well within.
pub const SILENCE_MAX: Duration = Duration::from_secs(2);

/// How long a server hears nothing from a peer, or can send it nothing, before it closes the
/// connection. Far above `SILENCE_MAX`: the client is the one that decides.
pub const IDLE_MAX: Duration = Duration::from_secs(30);

/// Longest wait between two attempts to connect.
pub const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Shortest wait between two attempts to connect.
pub const BACKOFF_MIN: Duration = Duration::from_millis(25);

/// Most HTTP connections a process holds.
pub const HTTP_CONNECTIONS_MAX: usize = 512;

/// How long an HTTP client may take for its request's head.
pub const HTTP_HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an HTTP request may take from its head to its reply's head, its body included. Longer
/// than any operation behind it.
pub const HTTP_REQUEST_TIMEOUT: Duration = Duration::from_secs(70);

/// Largest HTTP request head, in bytes.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long open connections may finish what is in flight when the process stops. Leaves the rest
/// of ten seconds for the log.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);

const _: () = assert!(
    HTTP_REQUEST_TIMEOUT.as_millis() > kvcore::limits::OPERATION_MS_MAX as u128,
    "a request would be cut before its operation ends"
);
const _: () = assert!(BACKOFF_MIN.as_millis() < BACKOFF_MAX.as_millis());
const _: () = assert!(HEARTBEAT_INTERVAL.as_millis() * 2 < SILENCE_MAX.as_millis());
const _: () = assert!(kvcore::limits::FRAME_BYTES_MAX < PEER_IN_FLIGHT_BYTES_MAX);
