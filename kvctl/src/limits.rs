//! Limits of the command line, with their units and reasons.

use std::time::Duration;

/// Servers of one local cluster: their ports are two apart and end where the brokers' begin.
pub const SERVERS_MAX: u16 = 100;

/// Brokers of one local cluster.
pub const BROKERS_MAX: u16 = 50;

/// How long a process may take to answer after it was started. Recovery of a large log comes on
/// top, which is why progress is shown.
pub const START_MAX: Duration = Duration::from_mins(2);

/// How long a process may take to end after SIGTERM; it promises ten seconds.
pub const STOP_MAX: Duration = Duration::from_secs(12);

/// How long brokers may take to connect to a server that was started again: two of their pauses.
pub const RECONNECT_MAX: Duration = Duration::from_secs(3);

/// How often a condition is looked at again.
pub const POLL: Duration = Duration::from_millis(25);

/// How long a command waits for another one that is changing the same cluster.
pub const LOCK_MAX: Duration = Duration::from_secs(3);

/// How long one admin request may take.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a broker may take to accept a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest line of an input file, in bytes. A value's text is at most a few times its size.
pub const INPUT_LINE_BYTES_MAX: usize = 192 * 1024 * 1024;

/// Commands of a load on their way at once, over all connections.
pub const LOAD_IN_FLIGHT_MAX: usize = 512;

/// Bytes of commands of a load on their way at once; a longer one goes alone.
pub const LOAD_IN_FLIGHT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a bench waits before it tries a broker again that is gone.
pub const BENCH_RECONNECT: Duration = Duration::from_millis(250);

/// How long a bench goes on without any broker: one that is started again is back well within.
pub const BENCH_WITHOUT_BROKER_MAX: Duration = Duration::from_secs(10);

/// How long a load tries one record again while the cluster cannot store it, unless asked
/// otherwise, in seconds: a broker or a server is started again well within.
pub const LOAD_RETRY_SECONDS: u64 = 60;

/// How long a load test waits for one answer before it gives the connection up and counts the
/// outcome as unknown: longer than a broker takes for anything, room for large values included.
pub const ANSWER_MAX: Duration = Duration::from_secs(40);
