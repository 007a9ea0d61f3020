//! What there is: the objects of one `KvCluster`, its pods, and what its servers say of themselves.
//!
//! Plain data. Whoever fills it in says how old each answer is; the plan decides what is too old.

pub mod pods;

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kvcore::{placement::Placement, status::MemberStatus};

pub use self::pods::{BrokerPod, ServerPod};
use crate::names::Names;

/// Everything the plan looks at, beside the `KvCluster` itself.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The objects of the cluster, by name and kind.
    pub objects: OwnedObjects,
    /// The placement as it is recorded.
    pub recorded: Recorded,
    /// Server pods, by ordinal.
    pub servers: BTreeMap<i32, ServerPod>,
    /// Broker pods, by name.
    pub brokers: Vec<BrokerPod>,
    /// Placements that servers hold, fetched where the recorded one is missing or older. At most
    /// one a server pod.
    pub held: Vec<Placement>,
}

/// Objects that the operator writes, as the API server has them.
#[derive(Debug, Clone, Default)]
pub struct OwnedObjects {
    /// Secrets, by name.
    pub secrets: BTreeMap<String, Secret>,
    /// ServiceAccounts, by name.
    pub accounts: BTreeMap<String, ServiceAccount>,
    /// Services, by name.
    pub services: BTreeMap<String, Service>,
    /// ConfigMaps, by name.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// StatefulSets, by name.
    pub stateful_sets: BTreeMap<String, StatefulSet>,
    /// Deployments, by name.
    pub deployments: BTreeMap<String, Deployment>,
    /// PodDisruptionBudgets, by name.
    pub budgets: BTreeMap<String, PodDisruptionBudget>,
    /// NetworkPolicies, by name.
    pub policies: BTreeMap<String, NetworkPolicy>,
    /// Claims of server pods, by name.
    pub claims: BTreeMap<String, PersistentVolumeClaim>,
}

impl Observed {
    /// Whether a server that Kubernetes calls ready has not been asked once: its silence says nothing yet.
    pub fn is_unasked(&self) -> bool {
        let mut pods = self.servers.values();
        pods.any(|pod| pod.pod.ready && !pod.pod.leaving && pod.heard == Heard::NotYet)
    }
}

impl OwnedObjects {
    /// The StatefulSet of the servers.
    pub fn servers(&self, names: &Names) -> Option<&StatefulSet> {
        self.stateful_sets.get(&names.server())
    }
}

/// The placement in its ConfigMap.
#[derive(Debug, Clone, Default)]
pub enum Recorded {
    /// There is no such ConfigMap.
    #[default]
    Absent,
    /// There is one that cannot be read.
    Unreadable {
        /// Why.
        why: String,
        /// Version of the object.
        resource_version: String,
    },
    /// It is there.
    Known {
        /// The placement.
        placement: Placement,
        /// Version of the object: a write of the next placement names it.
        resource_version: String,
    },
}

impl Recorded {
    /// The placement, where it could be read.
    pub fn placement(&self) -> Option<&Placement> {
        match self {
            Self::Known { placement, .. } => Some(placement),
            Self::Absent | Self::Unreadable { .. } => None,
        }
    }

    /// Reads the ConfigMap; `None` is none.
    pub fn read(map: Option<&ConfigMap>) -> Self {
        let Some(map) = map else {
            return Self::Absent;
        };
        let resource_version = map.metadata.resource_version.clone().unwrap_or_default();
        let text = map.data.as_ref().and_then(|data| data.get(PLACEMENT_KEY));
        let read = match text {
            Some(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
            None => Err(format!("it has no {PLACEMENT_KEY}")),
        };
        match read {
            Ok(placement) => Self::Known {
                placement,
                resource_version,
            },
            Err(why) => Self::Unreadable {
                why,
                resource_version,
            },
        }
    }
}

/// Key of the ConfigMap under which the placement stands.
pub const PLACEMENT_KEY: &str = "placement.json";

/// What a server last said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Heard {
    /// It was never asked, or not since its pod has this address.
    #[default]
    NotYet,
    /// It answered.
    Answer(Box<MemberStatus>),
    /// It did not answer the last time it was asked.
    Silent(String),
}

impl Heard {
    /// Its answer, if the last question had one.
    pub fn answer(&self) -> Option<&MemberStatus> {
        match self {
            Self::Answer(status) => Some(status),
            Self::NotYet | Self::Silent(_) => None,
        }
    }
}

/// The name of an object, empty where it has none.
pub fn name_of(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}
