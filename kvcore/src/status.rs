//! What processes say of themselves in JSON: `/status` of a trie server and of a broker.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::placement::{AuthorId, ClusterId, Digest, Epoch, MemberId, Placement};

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
    /// Revision of that placement's addresses, 0 while it is blank.
    #[serde(default)]
    pub address_revision: u64,
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
    /// What it has done for slots that move: at most one entry a slot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SlotSession>,
    /// Slots that found another home, of which it has records that their owners were not seen to have;
    /// `null` where that is not known yet.
    #[serde(default)]
    pub slots_left: Option<u32>,
}

/// What a member has done for a slot that moves, all of it durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotSession {
    /// The slot's number.
    pub slot: u16,
    /// The epoch of the slot's last change.
    pub since: Epoch,
    /// Members of the current set of whom it has everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pulled: Vec<MemberId>,
    /// Members of the next set that have everything that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<MemberId>,
    /// Whether so many of them have it that it has dropped the slot.
    #[serde(default)]
    pub handed_over: bool,
}

/// Names a broker process; new at every start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BrokerId(pub Uuid);

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<BrokerId> for Uuid {
    fn from(id: BrokerId) -> Self {
        id.0
    }
}

/// `/status` of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerStatus {
    /// The process's own name.
    pub id: BrokerId,
    /// Its cluster, `null` while it has no placement.
    pub cluster: Option<ClusterId>,
    /// Epoch of the placement in use, 0 while it has none.
    pub epoch: Epoch,
    /// That placement's digest.
    pub digest: Option<Digest>,
    /// That placement's author.
    pub author: Option<AuthorId>,
    /// Revision of that placement's addresses, 0 while it has none.
    pub address_revision: u64,
    /// Whether every slot can be read and written through it.
    pub ready: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Milliseconds since 1970 when the process started.
    pub started_at: u64,
    /// Version of the program.
    pub program: String,
}

/// What a broker answers a placement that it was given: which one it uses now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementInUse {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its digest.
    pub digest: Digest,
    /// The revision of its addresses.
    pub address_revision: u64,
}

impl From<&Placement> for PlacementInUse {
    fn from(placement: &Placement) -> Self {
        Self {
            epoch: placement.epoch(),
            digest: placement.digest(),
            address_revision: placement.parts().address_revision,
        }
    }
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
