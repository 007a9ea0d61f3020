//! `status`: what the operator sees and does.

#![expect(
    unreachable_pub,
    reason = "KubeSchema repeats the type where nobody sees it"
)]

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// What the operator sees and does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KvClusterStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Server pods there are.
    #[serde(default)]
    pub replicas: i32,
    /// Server pods that are ready: caught up, and answering.
    #[serde(default)]
    pub ready_replicas: i32,
    /// `readyReplicas` of `spec.servers.replicas`, for tables.
    #[serde(default)]
    pub ready: String,
    /// Label selector of the server pods, for autoscalers.
    #[serde(default)]
    pub selector: String,
    /// Broker pods that are ready.
    #[serde(default)]
    pub ready_brokers: i32,
    /// Image of servers and brokers.
    #[serde(default)]
    pub image: String,
    /// Name of the cluster that the disks carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Number of the placement in use, 0 before the first.
    #[serde(default)]
    pub epoch: i64,
    /// Slots by state; there are 1,024.
    #[serde(default)]
    pub slots: SlotCounts,
    /// One entry a server pod or member of the placement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberState>,
    /// What the operator does or waits for, and why.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "known_operations"
    )]
    pub operations: Vec<Operation>,
    /// Standard conditions, by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Slots by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotCounts {
    /// Slots with as many good copies as wanted.
    #[serde(default)]
    pub satisfied: i32,
    /// Slots with fewer.
    #[serde(default)]
    pub short: i32,
    /// Slots with an open move, counted in one of the others too.
    #[serde(default)]
    pub moving: i32,
}

/// One server pod, and the member on its disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberState {
    /// Name of the pod, empty where a member has none now.
    #[serde(default)]
    pub pod: String,
    /// Name of the member on its disk, empty until the server has said it.
    #[serde(default)]
    pub id: String,
    /// Node of the pod.
    #[serde(default)]
    pub node: String,
    /// Zone of the member in the placement, else of the node.
    #[serde(default)]
    pub zone: String,
    /// Whether it has caught up and serves.
    #[serde(default)]
    pub ready: bool,
    /// Slots that the placement gives it.
    #[serde(default)]
    pub slots: i32,
    /// Bytes of its log; follows within a minute, and only when it moved by 5 %.
    #[serde(default)]
    pub bytes: i64,
    /// Version of its program.
    #[serde(default)]
    pub version: String,
    /// Why it is not ready, empty when it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Something that the operator does or waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// What it is.
    pub kind: OperationKind,
    /// How far it is.
    pub state: OperationState,
    /// The pod or member it is about, empty where it is about all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub member: String,
    /// Why it waits, or what it does, for people.
    pub message: String,
}

/// Those that this operator knows: a newer one may have written others before it was rolled back, and a
/// status is no reason not to read a `KvCluster`.
fn known_operations<'de, D>(deserializer: D) -> Result<Vec<Operation>, D::Error>
where
    D: Deserializer<'de>,
{
    let all = Vec::<serde_json::Value>::deserialize(deserializer)?;
    let known = all.into_iter();
    Ok(known
        .filter_map(|operation| serde_json::from_value(operation).ok())
        .collect())
}

/// What an operation is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum OperationKind {
    /// The first placement is made.
    Bootstrap,
    /// A lost placement is rebuilt from what servers know.
    RebuildPlacement,
    /// A server joins.
    Join,
    /// A server is removed.
    ScaleDown,
    /// A pod is replaced by one of the new template.
    Restart,
    /// Copies or quorums change.
    ChangeCopies,
}

/// How far an operation is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum OperationState {
    /// It goes on.
    Running,
    /// It waits for something that is expected to come by itself.
    Waiting,
    /// It needs a person, or a part that is not built yet.
    Blocked,
}

/// The types of conditions, in the order in which they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// Everything asked for is there, and serves.
    Ready,
    /// The operator is at work.
    Reconciling,
    /// The operator cannot go on without a person.
    Stalled,
    /// Clients can read and write every key.
    Available,
    /// Every slot has as many good copies as wanted.
    ReplicationSatisfied,
    /// Slots are being moved.
    Rebalancing,
    /// Some slot loses its quorum if one more member fails.
    QuorumAtRisk,
    /// Servers are to be removed and cannot be yet.
    ScaleDownBlocked,
    /// `spec.paused` is set.
    Paused,
}

impl ConditionType {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::Available,
        Self::ReplicationSatisfied,
        Self::Rebalancing,
        Self::QuorumAtRisk,
        Self::ScaleDownBlocked,
        Self::Paused,
    ];
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_of_a_newer_operator_are_left_out() {
        let known = json!({"kind": "Restart", "state": "Waiting", "message": "m"});
        let status = json!({"operations": [{"kind": "Fly", "state": "Up", "message": "m"}, known]});
        let status: KvClusterStatus = serde_json::from_value(status).expect("it is read");
        let kinds: Vec<_> = status.operations.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [OperationKind::Restart]);
    }
}
