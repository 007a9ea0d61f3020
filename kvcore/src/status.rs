//! What processes say of themselves in JSON: `/status` of a trie server.

use serde::{Deserialize, Serialize};

use crate::placement::{AuthorId, ClusterId, Digest, Epoch, MemberId};

/// `/status` of a trie server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// The member's own name.
    pub id: MemberId,
    /// Its cluster, `null` while it is blank.
    pub cluster: Option<ClusterId>,
    /// Epoch of the placement in force, 0 while it is blank.
    pub epoch: Epoch,
    /// That placement's digest.
    pub digest: Option<Digest>,
    /// That placement's author.
    pub author: Option<AuthorId>,
    /// Whether it has caught up and serves.
    pub ready: bool,
    /// Why it is not ready, or what it waits for.
    pub reason: Option<String>,
    /// Slots it holds.
    pub slots: u32,
    /// Slots that count in no quorum here until they have been synced.
    pub slots_unsynced: u32,
    /// Slots whose data here is damaged.
    pub slots_damaged: u32,
    /// Times damage was met in the log since the process started: by recovery, by reads, by
    /// compaction. Each is repaired; a number that grows says that the disk fails.
    #[serde(default)]
    pub damage_met: u64,
    /// Slots whose digest differed from another member's when last compared.
    pub slots_behind: u32,
    /// Keys with a value.
    pub keys: u64,
    /// Deleted keys still remembered.
    pub tombstones: u64,
    /// Memory of tries and values, in bytes.
    pub memory_bytes: u64,
    /// Size of the log, in bytes.
    pub log_bytes: u64,
    /// Where values live.
    pub mode: StorageMode,
    /// When a write is acknowledged.
    pub sync: SyncMode,
    /// Milliseconds since 1970 when the process started.
    pub started_at: u64,
    /// Version of the program.
    pub program: String,
}

/// Where values live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageMode {
    /// In memory, and in the log for durability.
    Memory,
    /// In the log; memory holds keys and positions.
    Disk,
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// After an fsync that covers it: it survives power loss.
    Always,
    /// After it was handed to the operating system; an fsync follows within the interval.
    Interval,
    /// After it was handed to the operating system, which writes it when it likes.
    Never,
}
