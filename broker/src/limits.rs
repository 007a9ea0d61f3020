//! Limits of the broker, with their units and reasons.

/// How long an operation may take unless the caller says otherwise, in milliseconds. A restarted
/// server is back well within; people at a prompt wait no longer.
pub const OPERATION_MS_DEFAULT: u64 = 5_000;

/// How long a read waits before it asks more members, in milliseconds. Above an ordinary answer
/// by far, below what a person notices.
pub const HEDGE_MS: u64 = 40;

/// How long a page of a scan waits for a member before it asks another, in milliseconds. A member
/// looks through all its slots for a page, which takes longer than a read of one key.
pub const SCAN_HEDGE_MS: u64 = 200;

/// Keys of a scan's page that are read by themselves at once; each may have a chunk of 256 KiB.
pub const SCAN_READS_MAX: usize = 16;

/// Operations a broker works on at once; others wait for their turn within their deadline.
pub const OPERATIONS_MAX: usize = 4_096;

/// Bytes of large values (those in chunks) that a broker holds at once, over all connections:
/// eight of the largest. A value counts with its length from before its chunks are fetched until
/// its reply has a share of [`LINE_BUDGET_BYTES`] or is dropped; while it is turned into text it
/// takes a few times its length. Ended writes that still go on to some members have a quarter of as much
/// beside.
pub const LARGE_VALUES_BYTES: usize = 8 * kvcore::limits::VALUE_BYTES_MAX;

/// How long requests of a finished write may go on, in milliseconds: to the members beyond the
/// quorum.
pub const AFTERMATH_MS: u64 = 5_000;

/// How often a broker asks a member whether the placement has changed, in milliseconds. Epochs
/// are learned from refusals at once; this is for addresses.
pub const PLACEMENT_POLL_MS: u64 = 5_000;

/// Placements whose bodies are read at once: who sends one has not proven anything before its end, and
/// these together are 32 MiB.
pub const PUSHES_MAX: usize = 8;

/// How long the body of a placement may take, in milliseconds: the author is near, and others wait.
pub const PUSH_BODY_MS: u64 = 5_000;

/// How long who pushes a placement waits for the broker that it starts, in milliseconds: every
/// member is tried once before.
pub const FIRST_PUSH_MS: u64 = 5_000;

/// Client connections on the line protocol.
pub const LINE_CONNECTIONS_MAX: usize = 1_024;

/// Commands of one connection that are worked on at once; replies keep the order of commands.
pub const LINE_PIPELINE_MAX: usize = 128;

/// Longest line, in bytes: the largest value in its longest form (two hexadecimal digits a byte),
/// a key, and room for the command.
pub const LINE_BYTES_MAX: usize = 2 * kvcore::limits::VALUE_BYTES_MAX + 16 * 1024;

/// Bytes of lines and replies beyond [`LINE_SMALL_BYTES`] that a broker holds at once, over all
/// connections; others wait.
pub const LINE_BUDGET_BYTES: usize = 4 * LINE_BYTES_MAX;

/// Lines up to this size, in bytes, do not count against the budget.
pub const LINE_SMALL_BYTES: usize = 64 * 1024;

/// Lines up to this size, in bytes, are read many at a time; larger ones one after the other.
pub const LINE_MEDIUM_BYTES: usize = 4 * 1024 * 1024;

/// How long a client may take for the rest of a line it began, in seconds.
pub const LINE_STALL_SECONDS: u64 = 30;

/// Bytes a second with which a line comes, or a reply is read, while it holds a share of
/// [`LINE_BUDGET_BYTES`]. A tenth of an ordinary network's: the largest line takes two minutes
/// at most, then others have its share.
pub const LINE_PACE_BYTES_A_SECOND: u32 = 1024 * 1024;

/// How far behind that pace a client may fall, in seconds: a pause in its work or a network that
/// has to find its way again, but less than [`LINE_STALL_SECONDS`], since others wait.
pub const LINE_GRACE_SECONDS: u64 = 10;

/// How long a large line or reply waits for a share, in seconds: several ordinary ones are
/// through by then. Below what clients wait for a reply.
pub const LINE_ROOM_WAIT_SECONDS: u64 = 30;

/// Keys of one `SCAN` unless the command says otherwise.
pub const SCAN_LIMIT_DEFAULT: u16 = 100;

/// Entries of a data file on their way at once while it is being loaded.
pub const LOAD_IN_FLIGHT: usize = 256;

/// Bytes of a data file's lines on their way at once; a larger line goes alone.
pub const LOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of values after which a page of `SCAN` ends, so that a page of large values is bounded.
pub const SCAN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Scans a broker works on at once, over all connections: each holds up to [`SCAN_BYTES_MAX`] of
/// values, half a gibibyte together. Others wait for their turn within their deadline.
pub const SCANS_MAX: usize = 32;

/// How long a proposal of a first placement may take, in milliseconds: it counts as accepted once a
/// majority of the members holds it.
pub const PROPOSE_MS: u64 = 5_000;

const _: () = assert!(LINE_GRACE_SECONDS < LINE_STALL_SECONDS);
const _: () = assert!(SCAN_HEDGE_MS < OPERATION_MS_DEFAULT);
const _: () = assert!(HEDGE_MS < OPERATION_MS_DEFAULT);
const _: () = assert!(OPERATION_MS_DEFAULT <= kvcore::limits::OPERATION_MS_MAX);
