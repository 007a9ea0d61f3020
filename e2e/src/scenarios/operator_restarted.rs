//! The operator starts where several clusters are: it looks after each of them.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    kvcluster::{Component, KvCluster, READY_MAX},
    namespace::Namespace,
    operator::Operator,
    wait,
    world::World,
};

/// The clusters.
const NAMES: [&str; 3] = ["one", "two", "three"];

/// How soon after its start it has put back what is missing: it may wait for another's Lease first.
const SOON: Duration = Duration::from_secs(30);

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let example = world.file("manifests/examples/minimal.yaml")?;
    let clusters = NAMES.map(|name| KvCluster::named(namespace, name));
    for cluster in &clusters {
        kubectl.apply(&example.replace("name: small", &format!("name: {}", cluster.name())))?;
    }
    let mut before = Vec::new();
    for cluster in &clusters {
        cluster.ready(READY_MAX)?;
        before.push(pods(cluster)?);
    }
    let budget = |cluster: &KvCluster| format!("poddisruptionbudget/{}-broker", cluster.name());
    let stopped = Operator::of(world).stop()?;
    for cluster in &clusters {
        kubectl.run(&["delete", &budget(cluster)])?;
    }
    stopped.start()?;
    for cluster in &clusters {
        let budget = budget(cluster);
        wait::until_true(&format!("{budget} is made again"), SOON, || {
            Ok(kubectl.find(&[&budget])?.is_some())
        })?;
        cluster.ready(READY_MAX)?;
    }
    for (cluster, before) in clusters.iter().zip(before) {
        let now = pods(cluster)?;
        ensure!(now == before, "pods were {before:?} and are {now:?}");
    }
    Ok(())
}

fn pods(cluster: &KvCluster) -> Result<Vec<(String, String)>> {
    let servers = cluster.uids(Component::Server)?;
    let brokers = cluster.uids(Component::Broker)?;
    Ok(servers.into_iter().chain(brokers).collect())
}
