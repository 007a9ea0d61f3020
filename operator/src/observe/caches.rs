//! Copies of what the API server has, kept up to date by watches.
//!
//! One watch a kind, on the label that everything of the operator's carries; what changes is
//! reported as the `KvCluster` that it belongs to. A watch that fails goes on with backoff, and
//! nothing is decided before every one has brought its first list.

use std::{fmt::Debug, hash::Hash, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ConfigMap, Node, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};

use super::copies::Copies;
use crate::{crd::KvCluster, names::owned_selector};

/// Whose clusters are looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those of all namespaces.
    All,
    /// Those of one.
    Namespace(String),
}

impl Scope {
    /// The kind in this scope.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Self::All => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// Clusters that something happened to.
pub type Triggers = mpsc::Sender<ObjectRef<KvCluster>>;

/// Copies of everything that a plan looks at.
#[derive(Debug, Clone)]
pub struct Caches {
    /// Secrets.
    pub secrets: Copies<Secret>,
    /// ServiceAccounts.
    pub accounts: Copies<ServiceAccount>,
    /// Services.
    pub services: Copies<Service>,
    /// ConfigMaps.
    pub config_maps: Copies<ConfigMap>,
    /// StatefulSets.
    pub stateful_sets: Copies<StatefulSet>,
    /// Deployments.
    pub deployments: Copies<Deployment>,
    /// PodDisruptionBudgets.
    pub budgets: Copies<PodDisruptionBudget>,
    /// NetworkPolicies.
    pub policies: Copies<NetworkPolicy>,
    /// Claims of server pods.
    pub claims: Copies<PersistentVolumeClaim>,
    /// Pods of servers and brokers.
    pub pods: Copies<Pod>,
    /// Nodes, where they may be looked at.
    pub nodes: Option<Store<PartialObjectMeta<Node>>>,
}

/// How long a watch may take for its first list.
const LIST_MAX: Duration = Duration::from_secs(30);

/// A watch has not brought its first list.
#[derive(Debug, thiserror::Error)]
#[error(
    "{kinds} could not be listed within {} s: see the log for why, and whether the operator may list and \
     watch them",
    LIST_MAX.as_secs()
)]
pub struct NotReady {
    kinds: &'static str,
}

async fn first_list<K>(store: &Store<K>, kinds: &'static str) -> Result<(), NotReady>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    match tokio::time::timeout(LIST_MAX, store.wait_until_ready()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(NotReady { kinds }),
    }
}

/// A copy that no watch keeps up to date.
pub trait Fill<K> {
    /// A copy of just these.
    fn filled(objects: Vec<K>) -> Self;
}

impl<K> Fill<K> for Store<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    fn filled(objects: Vec<K>) -> Self {
        let (store, mut writer) = reflector::store();
        for object in objects {
            writer.apply_watcher_event(&watcher::Event::Apply(object));
        }
        store
    }
}

impl<K> Fill<K> for Copies<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    fn filled(objects: Vec<K>) -> Self {
        let (copies, mut follower) = Self::new(Store::filled(objects));
        for object in copies.all().state() {
            follower.follow(&watcher::Event::Apply((*object).clone()));
        }
        copies
    }
}

/// Whether nodes may be looked at: their labels name the zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// They are watched.
    Watch,
    /// They are not: all members are of one zone.
    Ignore,
}

impl Caches {
    /// Copies of nothing.
    #[cfg(test)]
    pub(crate) fn empty() -> Self {
        Self {
            secrets: Copies::filled(Vec::new()),
            accounts: Copies::filled(Vec::new()),
            services: Copies::filled(Vec::new()),
            config_maps: Copies::filled(Vec::new()),
            stateful_sets: Copies::filled(Vec::new()),
            deployments: Copies::filled(Vec::new()),
            budgets: Copies::filled(Vec::new()),
            policies: Copies::filled(Vec::new()),
            claims: Copies::filled(Vec::new()),
            pods: Copies::filled(Vec::new()),
            nodes: None,
        }
    }

    /// Starts the watches as tasks of `tasks`.
    pub fn start(
        client: &Client,
        scope: &Scope,
        nodes: Nodes,
        triggers: &Triggers,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let mut watch = Watch {
            client,
            scope,
            triggers,
            tasks,
        };
        Self {
            secrets: watch.start(),
            accounts: watch.start(),
            services: watch.start(),
            config_maps: watch.start(),
            stateful_sets: watch.start(),
            deployments: watch.start(),
            budgets: watch.start(),
            policies: watch.start(),
            claims: watch.start(),
            pods: watch.start(),
            nodes: (nodes == Nodes::Watch).then(|| watch.nodes()),
        }
    }

    /// Waits until every watch has brought its first list.
    pub async fn ready(&self) -> Result<(), NotReady> {
        first_list(self.secrets.all(), "Secrets").await?;
        first_list(self.accounts.all(), "ServiceAccounts").await?;
        first_list(self.services.all(), "Services").await?;
        first_list(self.config_maps.all(), "ConfigMaps").await?;
        first_list(self.stateful_sets.all(), "StatefulSets").await?;
        first_list(self.deployments.all(), "Deployments").await?;
        first_list(self.budgets.all(), "PodDisruptionBudgets").await?;
        first_list(self.policies.all(), "NetworkPolicies").await?;
        first_list(self.claims.all(), "PersistentVolumeClaims").await?;
        first_list(self.pods.all(), "Pods").await?;
        if let Some(nodes) = &self.nodes {
            first_list(nodes, "Nodes").await?;
        }
        Ok(())
    }

    /// The zone of a node, empty where it has none or is not known.
    pub fn zone(&self, node: Option<&str>, key: &str) -> String {
        let (Some(nodes), Some(node)) = (&self.nodes, node) else {
            return String::new();
        };
        let node = nodes.get(&ObjectRef::new(node));
        let zone = node.and_then(|node| node.labels().get(key).cloned());
        zone.unwrap_or_default()
    }
}

struct Watch<'a> {
    client: &'a Client,
    scope: &'a Scope,
    triggers: &'a Triggers,
    tasks: &'a mut JoinSet<()>,
}

impl Watch<'_> {
    fn start<K>(&mut self) -> Copies<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
        K::DynamicType: Eq + Hash,
    {
        let (store, writer) = reflector::store();
        let (copies, mut follower) = Copies::new(store);
        let config = watcher::Config::default().labels(&owned_selector());
        let events = watcher(self.scope.api::<K>(self.client), config)
            .default_backoff()
            .modify(|object| object.managed_fields_mut().clear());
        let triggers = self.triggers.clone();
        let kind = K::kind(&());
        self.tasks.spawn(async move {
            let mut events = events.reflect(writer).boxed();
            loop {
                match events.try_next().await {
                    Ok(Some(event)) => {
                        follower.follow(&event);
                        if let Some(cluster) = touched(&event)
                            && triggers.send(cluster).await.is_err()
                        {
                            return;
                        }
                    }
                    Ok(None) => return,
                    Err(error) => {
                        tracing::warn!(%kind, %error, "a watch failed, it is tried again");
                    }
                }
            }
        });
        copies
    }

    /// Nodes belong to nobody: whoever waits for one is looked at again soon.
    fn nodes(&mut self) -> Store<PartialObjectMeta<Node>> {
        let (store, writer) = reflector::store();
        let api: Api<PartialObjectMeta<Node>> = Api::all(self.client.clone());
        let events = watcher(api, watcher::Config::default())
            .default_backoff()
            .modify(|node| {
                node.managed_fields_mut().clear();
                node.annotations_mut().clear();
            });
        self.tasks.spawn(async move {
            let mut touched = events.reflect(writer).touched_objects().boxed();
            loop {
                match touched.try_next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return,
                    Err(error) => {
                        tracing::warn!(%error, "the watch of nodes failed, it is tried again");
                    }
                }
            }
        });
        store
    }
}

/// The cluster that has news by an event.
fn touched<K: Resource>(event: &watcher::Event<K>) -> Option<ObjectRef<KvCluster>> {
    match event {
        watcher::Event::Apply(object)
        | watcher::Event::InitApply(object)
        | watcher::Event::Delete(object) => cluster_of(object),
        watcher::Event::Init | watcher::Event::InitDone => None,
    }
}

/// The `KvCluster` that an object belongs to, by its labels.
pub fn cluster_of<K: Resource>(object: &K) -> Option<ObjectRef<KvCluster>> {
    let metadata = object.meta();
    let cluster = metadata
        .labels
        .as_ref()?
        .get("app.kubernetes.io/instance")?;
    Some(ObjectRef::new(cluster).within(metadata.namespace.as_deref()?))
}
