//! `spec.servers`: the trie servers and where they keep their data.

#![expect(
    unreachable_pub,
    reason = "KubeSchema repeats the type where nobody sees it"
)]

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{defaults, pods::Scheduling};

/// The trie servers, which keep the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Servers {
    /// Trie servers, 1 to 100. Default 3. A server is removed only once no key needs it.
    #[serde(default = "defaults::server_replicas")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: i32,
    /// Processor and memory of each server. With a memory limit, a server refuses writes before it
    /// comes near it; without one it takes what it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Where and how servers keep their data.
    #[serde(default)]
    pub storage: Storage,
    /// Label of nodes that names their zone; copies of a key go to different zones where there are
    /// enough. Default `topology.kubernetes.io/zone`.
    #[serde(default = "defaults::zone_key")]
    #[schemars(length(min = 1, max = 317))]
    pub zone_key: String,
    /// Where server pods may run.
    #[serde(flatten)]
    pub scheduling: Scheduling,
}

/// Where and how servers keep their data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("isQuantity(self.size) && quantity(self.size).isGreaterThan(quantity('0'))").message(
        "storage.size is an amount of bytes above zero, such as 10Gi"
    ),
    validation = Rule::new("!isQuantity(self.size) || !isQuantity(oldSelf.size) || quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0").message(
        "storage.size cannot shrink: volumes only grow; make another cluster and move the data"
    ),
    validation = Rule::new("self.mode == oldSelf.mode").message(
        "storage.mode cannot change once the cluster exists; make another cluster and move the data"
    ),
    validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)").message(
        "storage.storageClassName cannot change, be set or be unset once the cluster exists: its \
         volumes stay where they are; make another cluster and move the data"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Where values live. Default Memory.
    #[serde(default)]
    pub mode: StorageMode,
    /// Size of each server's volume, in bytes, such as `10Gi`. Default 10Gi. It can grow where the
    /// storage class allows it, and never shrinks.
    #[serde(default = "defaults::storage_size")]
    #[schemars(length(min = 1, max = 32))]
    pub size: String,
    /// Storage class of the volumes. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// When a write is acknowledged. Default Always.
    #[serde(default)]
    pub sync: SyncMode,
    /// What happens to the volumes when the `KvCluster` is deleted. Default Retain: a `KvCluster` of
    /// the same name takes them up again.
    #[serde(default)]
    pub retention_policy: RetentionPolicy,
}

/// Where values live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StorageMode {
    /// In memory, and in a log on the volume for durability.
    #[default]
    Memory,
    /// In a log on the volume; memory holds keys and positions.
    Disk,
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SyncMode {
    /// Once it is on the disk: it survives power loss.
    #[default]
    Always,
    /// Once the node's system has it; the disk has it a second later.
    Interval,
    /// Once the node's system has it; the disk has it when the system likes.
    Never,
}

/// What happens to volumes that nothing uses any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetentionPolicy {
    /// They stay until a person deletes them.
    #[default]
    Retain,
    /// They go with the `KvCluster`.
    Delete,
}

impl Default for Servers {
    fn default() -> Self {
        Self {
            replicas: defaults::server_replicas(),
            resources: None,
            storage: Storage::default(),
            zone_key: defaults::zone_key(),
            scheduling: Scheduling::default(),
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            mode: StorageMode::default(),
            size: defaults::storage_size(),
            storage_class_name: None,
            sync: SyncMode::default(),
            retention_policy: RetentionPolicy::default(),
        }
    }
}
