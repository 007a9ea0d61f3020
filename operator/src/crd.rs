//! The custom resource `KvCluster`: what a user asks for, and the status that answers.
//!
//! The CRD under `crds/` and the reference under `docs/reference/` are written from these types, so
//! a field's documentation here is what `kubectl explain` shows: it says unit and default.

#![expect(
    unreachable_pub,
    reason = "KubeSchema repeats the type where nobody sees it"
)]

mod brokers;
mod columns;
mod defaults;
mod pods;
mod servers;
mod status;

use k8s_openapi::{
    api::core::v1::LocalObjectReference,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
    },
};
use kube::{CustomResource, CustomResourceExt, KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    brokers::{BrokerService, Brokers, ServiceType},
    pods::{PodMetadata, Scheduling},
    servers::{RetentionPolicy, Servers, Storage, StorageMode, SyncMode},
    status::{
        ConditionType, KvClusterStatus, MemberState, Operation, OperationKind, OperationState,
        SlotCounts,
    },
};

/// Longest name of a `KvCluster`: names of its objects and pods are made of it, and have to fit the
/// 63 characters of a label.
pub const NAME_CHARS_MAX: usize = 40;

/// A replicated key-value store: trie servers that keep the data, and brokers that clients talk to.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "kvasir.dev",
    version = "v1alpha1",
    kind = "KvCluster",
    doc = "A replicated key-value store: trie servers that keep the data, and brokers that clients talk to.",
    namespaced,
    status = "KvClusterStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "kv",
    scale(
        spec_replicas_path = ".spec.servers.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')").message(
        "metadata.name has 1 to 40 lower-case letters, digits and '-', begins with a letter and ends \
         with a letter or digit: names of Services and pods are made of it; choose another name"
    )
)]
#[x_kube(
    validation = Rule::new("self.copies <= self.servers.replicas").message(
        "copies is larger than servers.replicas: each copy of a key needs a server of its own; \
         raise servers.replicas or lower copies"
    ),
    validation = Rule::new("!has(self.readQuorum) || self.readQuorum <= self.copies").message(
        "readQuorum is larger than copies: no read could ever be answered; lower readQuorum, or \
         leave it out for a majority"
    ),
    validation = Rule::new("!has(self.writeQuorum) || self.writeQuorum <= self.copies").message(
        "writeQuorum is larger than copies: no write could ever be acknowledged; lower \
         writeQuorum, or leave it out for a majority"
    ),
    validation = Rule::new("self.consistency != 'Linearizable'").message(
        "consistency: Linearizable is not built yet: leave it out, or say Eventual"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct KvClusterSpec {
    /// The trie servers, which keep the data.
    #[serde(default)]
    pub servers: Servers,
    /// The brokers, which clients talk to. They keep no data.
    #[serde(default)]
    pub brokers: Brokers,
    /// Servers that hold each key, 1 to 7. Default 3. With 3, one server may be lost at any time and
    /// every key can still be read and written.
    #[serde(default = "defaults::copies")]
    #[schemars(range(min = 1, max = 7))]
    pub copies: u8,
    /// What an operation promises. Default Eventual.
    #[serde(default)]
    pub consistency: Consistency,
    /// Copies that must answer a read, 1 to copies. Default: a majority of copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 7))]
    pub read_quorum: Option<u8>,
    /// Copies that must have a write durable before it is acknowledged, 1 to copies. Default: a
    /// majority of copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 7))]
    pub write_quorum: Option<u8>,
    /// When lost copies are made again elsewhere.
    #[serde(default)]
    pub repair: Repair,
    /// How fast data moves between servers.
    #[serde(default)]
    pub rebalance: Rebalance,
    /// Image of servers and brokers. Default: the one that the operator names when the cluster is made,
    /// which stays when the operator is upgraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// When nodes pull the image. Default: Kubernetes' own, IfNotPresent unless the tag is `latest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets with the credentials of the image's registry, in this namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Whether the operator leaves everything as it is. Default false. Its status goes on to be
    /// written, and clients are served.
    #[serde(default)]
    pub paused: bool,
}

/// What an operation promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Consistency {
    /// A read returns the newest write that a read quorum knows; of concurrent writes of a key one
    /// wins, the same everywhere.
    #[default]
    Eventual,
    /// Every operation on a key happens at one moment between its call and its answer. Not built
    /// yet: it is refused.
    Linearizable,
}

/// When lost copies are made again elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Repair {
    /// How long a server may be away before its slots get another home, such as `90s`, `5m` or
    /// `1h30m`. Default 300s.
    #[serde(default = "defaults::repair_after")]
    #[schemars(regex(pattern = r"^([0-9]{1,6}(s|m|h)){1,3}$"))]
    pub after: Duration,
}

/// How fast data moves between servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rebalance {
    /// Whether moves for the sake of balance wait. Default false. Lost copies are made again all
    /// the same.
    #[serde(default)]
    pub paused: bool,
    /// Slots that one server gives or takes at a time, 1 to 64. Default 2.
    #[serde(default = "defaults::moves")]
    #[schemars(range(min = 1, max = 64))]
    pub max_moves_per_member: u16,
    /// Bytes a second that one server gives or takes, such as `64Mi`. Default 64Mi.
    #[serde(default = "defaults::bytes_per_second")]
    #[schemars(length(min = 1, max = 32))]
    pub bytes_per_second: String,
}

/// When nodes pull an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// At every start of a container.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never: it must be on the node.
    Never,
}

impl ImagePullPolicy {
    /// As Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

impl Default for KvClusterSpec {
    fn default() -> Self {
        Self {
            servers: Servers::default(),
            brokers: Brokers::default(),
            copies: defaults::copies(),
            consistency: Consistency::default(),
            read_quorum: None,
            write_quorum: None,
            repair: Repair::default(),
            rebalance: Rebalance::default(),
            image: None,
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            paused: false,
        }
    }
}

impl Default for Repair {
    fn default() -> Self {
        Self {
            after: defaults::repair_after(),
        }
    }
}

impl Default for Rebalance {
    fn default() -> Self {
        Self {
            paused: false,
            max_moves_per_member: defaults::moves(),
            bytes_per_second: defaults::bytes_per_second(),
        }
    }
}

/// The definition that goes into a cluster, with the columns of `kubectl get`.
pub fn definition() -> CustomResourceDefinition {
    let mut definition = KvCluster::crd();
    for version in &mut definition.spec.versions {
        version.additional_printer_columns = Some(columns::columns());
        let schema = version.schema.as_mut();
        if let Some(schema) = schema.and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            drop_unknown_formats(schema);
        }
    }
    definition
}

/// Kubernetes knows no unsigned integers, and says so at every apply; ranges say the same.
fn drop_unknown_formats(schema: &mut JSONSchemaProps) {
    if schema
        .format
        .as_deref()
        .is_some_and(|format| format.starts_with("uint"))
    {
        schema.format = None;
    }
    for field in schema
        .properties
        .iter_mut()
        .flat_map(|fields| fields.values_mut())
    {
        drop_unknown_formats(field);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        drop_unknown_formats(items);
    }
}

#[cfg(test)]
mod tests;
