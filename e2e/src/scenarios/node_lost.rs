//! A node loses its power while a client of a broker on another node writes.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    client::{Client, Written},
    namespace::Namespace,
    wait,
    world::World,
};

/// How long a client may be without an answer.
const GAP_MAX: Duration = Duration::from_secs(1);

/// How long is written after the node is gone.
const AFTER: Duration = Duration::from_secs(10);

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let (cluster, kubectl) = (world.cluster()?, namespace.kubectl());
    kubectl.apply(&world.file("manifests/examples/basic.yaml")?)?;
    World::wait_ready(namespace, "demo", Duration::from_mins(1))?;
    let brokers = kubectl.list(&["pods", "-l", "app.kubernetes.io/component=broker"])?;
    let broker = brokers.first().context("there is no broker")?;
    let servers = kubectl.list(&["pods", "-l", "app.kubernetes.io/component=server"])?;
    let stays = node_of(broker);
    let victim = servers.iter().map(node_of).find(|node| *node != stays);
    let victim = victim.context("all servers are on the broker's node")?;
    let node = cluster
        .topology()
        .node_named(&victim)
        .context("no such node")?;
    let address = broker["status"]["podIP"].as_str().unwrap_or_default();
    let address: SocketAddr = format!("{address}:7600")
        .parse()
        .context("the broker has no address")?;
    let mut client = Client::connect(address)?;
    let began = Instant::now();
    let mut written = Written::default();
    while began.elapsed() < Duration::from_secs(1) {
        written.one_more(&mut client);
    }
    let (lost, at) = (cluster.power_off(node)?, Instant::now());
    while at.elapsed() < AFTER {
        written.one_more(&mut client);
    }
    println!("{victim} lost: {}", written.told());
    ensure!(written.failed == 0, "{} writes failed", written.failed);
    ensure!(
        written.longest <= GAP_MAX,
        "a write took {} ms",
        written.longest.as_millis()
    );
    lost.mend()?;
    wait::until_true("the node is back", Duration::from_mins(1), || {
        let node = kubectl.get(&["node", &victim])?;
        let conditions = node["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        Ok(conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True"))
    })?;
    World::wait_ready(namespace, "demo", Duration::from_mins(2))?;
    written.check(&mut client)
}

fn node_of(pod: &Value) -> String {
    pod["spec"]["nodeName"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
