//! `spec.brokers`: the brokers and the Service in front of them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{defaults, pods::Scheduling};

/// The brokers, which clients talk to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Brokers {
    /// Brokers, 0 to 100. Default 2. They keep no data and may come and go at any time.
    #[serde(default = "defaults::broker_replicas")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: i32,
    /// Processor and memory of each broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// The Service that clients connect to; it has the name of the `KvCluster`.
    #[serde(default)]
    pub service: BrokerService,
    /// Where broker pods may run.
    #[serde(flatten)]
    pub scheduling: Scheduling,
}

/// The Service that clients connect to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokerService {
    /// How the Service is reached. Default `ClusterIP`: from inside the cluster alone.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// Annotations of the Service, such as those that load balancers read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// How a Service is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// From inside the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// By a port of every node as well.
    NodePort,
    /// By a load balancer of the cloud as well.
    LoadBalancer,
}

impl ServiceType {
    /// As Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

impl Default for Brokers {
    fn default() -> Self {
        Self {
            replicas: defaults::broker_replicas(),
            resources: None,
            service: BrokerService::default(),
            scheduling: Scheduling::default(),
        }
    }
}
