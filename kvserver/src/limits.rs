//! Limits of a trie server, with their units and reasons.

use std::time::Duration;

use kvcore::limits::{CHUNK_BYTES, CLOCK_SKEW_MS_MAX, OPERATION_MS_MAX, VALUE_BYTES_MAX};

/// Writes that may wait for the writer; beyond, they are refused. A full queue is a second's work
/// of a fast disk.
pub const WRITE_QUEUE_MAX: usize = 16_384;

/// Most writes of one group commit.
pub const BATCH_WRITES_MAX: usize = 2_048;

/// Bytes after which a group commit takes on no more: with one more chunk it is written well
/// within ten milliseconds, which is what a small write queued behind a large one waits.
pub const BATCH_BYTES: usize = 1024 * 1024;

/// Uploads whose record has not come yet, over all connections.
pub const UPLOADS_MAX: usize = 256;

/// Bytes of chunks whose record has not come yet, over all connections: a few of the largest
/// values.
pub const UPLOAD_BYTES_MAX: usize = 8 * VALUE_BYTES_MAX;

/// How long an upload without news is kept, in milliseconds. Longer than any operation lives.
pub const UPLOAD_IDLE_MS_MAX: u64 = OPERATION_MS_MAX;

/// How long one without news is kept where others want its place, in milliseconds. The chunks of an
/// upload that goes on come within moments; one that was wrongly dropped is sent again.
pub const UPLOAD_YIELD_MS: u64 = 10_000;

/// Longest age of an operation whose requests are still carried out, in milliseconds: the longest
/// life of one and the clocks' difference.
pub const REQUEST_AGE_MS_MAX: u64 = OPERATION_MS_MAX + CLOCK_SKEW_MS_MAX;

/// Bytes of a victim segment read in one step of compaction; writes wait that long at most.
pub const COMPACTION_STEP_BYTES: u64 = 512 * 1024;

/// Slots in which one step of compaction looks for records that could not be read.
pub const SWEEP_SLOTS: u16 = 32;

/// How long after a segment could not be compacted it is tried again, in milliseconds: a failure
/// that goes away by itself, such as too many open files, must not keep it for good.
pub const COMPACTION_RETRY_MS: u64 = 60_000;

/// How long compaction waits after it could not write, for want of room for instance, in
/// milliseconds: a failed try reads and writes as much as one that succeeds.
pub const COMPACTION_PAUSE_MS: u64 = 5_000;

/// Keys passed in a walk over a slot before its lock is given back for a moment: a walk takes some
/// tenth of a microsecond for each, and the slot's writes wait for it.
pub const WALK_KEYS_MAX: usize = 4_096;

/// Records of emptied slots that are released in one step: each takes some tenths of a microsecond,
/// and writes wait for it.
pub const EMPTY_KEYS: usize = 1_024;

/// How often `--sync interval` syncs.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How long after the last write the log is marked durable up to its end.
pub const IDLE_MARK_AFTER: Duration = Duration::from_millis(100);

/// Times a read looks a location up again because compaction moved the record meanwhile.
pub const MOVED_MAX: usize = 8;

/// How often members compare digests when there is nothing to catch up with.
pub const EXCHANGE_INTERVAL: Duration = Duration::from_secs(2);

/// Records being fetched from another member at once while catching up.
pub const FETCH_WINDOW: usize = 64;

/// Bytes of the file of the slot table: several times those of 1,024 slots, all in a session.
pub const SLOT_TABLE_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(BATCH_BYTES >= CHUNK_BYTES);
const _: () = assert!(UPLOAD_BYTES_MAX >= VALUE_BYTES_MAX);
