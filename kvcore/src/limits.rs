//! Every limit of the data plane, with its unit and its reason.
//!
//! A limit that two processes must agree on lives here; what only one process bounds (its
//! connections, its queues) stands in the `limits.rs` of that crate.

/// Shortest key, in bytes: an empty key has no place in a dot path or on a prompt.
pub const KEY_BYTES_MIN: usize = 1;

/// Longest key, in bytes: room for any URL people use as a key, small enough that a scan page of
/// a thousand keys stays about a mebibyte.
pub const KEY_BYTES_MAX: usize = 1024;

/// Largest value, in bytes of its encoded form. A broker holds a value whole while it decides, so
/// this times the operations in flight is memory.
pub const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Largest piece of a value that travels in one frame or is stored in one log record, in bytes.
/// At 1 GB/s a chunk holds a connection for a quarter of a millisecond, which is what a small
/// request queued behind it waits.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks of the largest value.
pub const CHUNKS_MAX: usize = VALUE_BYTES_MAX / CHUNK_BYTES;

/// Deepest document: maps and lists within each other. Deeper input is an attack on recursion far
/// more often than it is data.
pub const DOCUMENT_DEPTH_MAX: usize = 128;

/// Longest dot path, in bytes: a key and `DOCUMENT_DEPTH_MAX` steps, each escaped.
pub const PATH_BYTES_MAX: usize = 64 * 1024;

/// Largest frame on the peer protocol, in bytes after the length field: the largest placement, or
/// a chunk with its key; scan pages and version lists are cut to fit.
pub const FRAME_BYTES_MAX: usize = CHUNK_BYTES + 384 * 1024;

/// Bytes of entries after which a scan or version page ends; one more entry of the largest size
/// that travels inline still fits a frame.
pub const PAGE_BYTES: usize = 64 * 1024;

/// Largest value that a scan page carries inline, in bytes; the broker asks for larger ones by
/// themselves.
pub const PAGE_VALUE_BYTES_MAX: usize = 32 * 1024;

/// Most entries of one scan or version page.
pub const PAGE_ENTRIES_MAX: usize = 1024;

/// Slots of the key space. Fixed for ever: clients may rely on it.
pub const SLOTS: usize = 1024;

/// Most members of one placement: their index fits ten bits with room, and heartbeats between
/// all brokers and members stay cheap.
pub const MEMBERS_MAX: usize = 1000;

/// Most copies of a slot. Each write waits for a majority of them.
pub const COPIES_MAX: usize = 7;

/// Longest single address (`host:port`), in bytes: a DNS name has at most 253.
pub const ADDRESS_BYTES_MAX: usize = 260;

/// Most addresses of one member, tried one after the other: an IP that may change, and a name that
/// stays. With more of them a member that is gone would be tried for longer than others wait.
pub const ADDRESSES_MAX: usize = 2;

/// Longest text of a member's addresses, in bytes: all of them, with a comma between each two.
pub const MEMBER_ADDRESS_BYTES_MAX: usize = ADDRESSES_MAX * (ADDRESS_BYTES_MAX + 1) - 1;

/// Longest zone name, in bytes: a Kubernetes label value has at most 63.
pub const ZONE_BYTES_MAX: usize = 63;

/// Largest weight of a member; a ratio of a thousand between disks is already odd.
pub const WEIGHT_MAX: u32 = 1000;

/// Largest encoded placement, in bytes: the slot table of `SLOTS` with two sets of `COPIES_MAX`
/// each, and `MEMBERS_MAX` members with their longest names.
pub const PLACEMENT_BYTES_MAX: usize = 128
    + MEMBERS_MAX * (23 + ZONE_BYTES_MAX + MEMBER_ADDRESS_BYTES_MAX)
    + SLOTS * (1 + 10 + 2 * (1 + 2 * (COPIES_MAX + 1)));

/// Largest body of a `PUT /placement` to a server or a broker, in bytes: a placement in JSON is a few
/// times its compact form.
pub const PLACEMENT_JSON_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How far a fresh version may lie ahead of a server's clock, in milliseconds. Clocks kept by NTP
/// differ by far less; a version further ahead would outlive every later write of an honest clock.
pub const CLOCK_SKEW_MS_MAX: u64 = 60_000;

/// Longest life of one client operation, in milliseconds: its deadline can never be later.
pub const OPERATION_MS_MAX: u64 = 60_000;

const _: () = assert!(KEY_BYTES_MIN <= KEY_BYTES_MAX);
const _: () = assert!(VALUE_BYTES_MAX.is_multiple_of(CHUNK_BYTES));
const _: () = assert!(CHUNK_BYTES + KEY_BYTES_MAX + 1024 <= FRAME_BYTES_MAX);
const _: () = assert!(PAGE_BYTES + PAGE_VALUE_BYTES_MAX + KEY_BYTES_MAX + 1024 <= FRAME_BYTES_MAX);
const _: () = assert!(PLACEMENT_BYTES_MAX + 1024 <= FRAME_BYTES_MAX);
const _: () = assert!(SLOTS.is_power_of_two());
