//! A node loses its power while a client of a broker on another node writes.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{client::Client, namespace::Namespace, wait, world::World};

/// How long a client may be without an answer.
const GAP_MAX: Duration = Duration::from_secs(1);

/// How long is written after the node is gone.
const AFTER: Duration = Duration::from_secs(10);

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let (cluster, kubectl) = (world.cluster()?, namespace.kubectl());
    kubectl.apply(&world.file("manifests/examples/basic.yaml")?)?;
    world.wait_ready(namespace, "demo", Duration::from_secs(60))?;
    let brokers = kubectl.list(&["pods", "-l", "app.kubernetes.io/component=broker"])?;
    let broker = brokers.first().context("there is no broker")?;
    let stays = node_of(broker);
    let servers = kubectl.list(&["pods", "-l", "app.kubernetes.io/component=server"])?;
    let victim = servers.iter().map(node_of).find(|node| *node != stays);
    let victim = victim.context("all servers are on the broker's node")?;
    let node = cluster.topology().node_named(&victim).context("no such node")?;
    let address: SocketAddr = format!("{}:7600", broker["status"]["podIP"].as_str().unwrap_or_default())
        .parse()
        .context("the broker has no address")?;
    let mut client = Client::connect(address)?;
    let (mut acknowledged, mut failed, mut longest) = (Vec::new(), 0, Duration::ZERO);
    let (mut lost, mut number) = (None, 0_u32);
    let began = Instant::now();
    while lost.as_ref().is_none_or(|(_, at): &(_, Instant)| at.elapsed() < AFTER) {
        if lost.is_none() && began.elapsed() > Duration::from_secs(1) {
            lost = Some((cluster.power_off(node)?, Instant::now()));
        }
        number += 1;
        let asked = Instant::now();
        match client.put(&format!("key-{number}"), &format!("value-{number}")) {
            Ok(()) => acknowledged.push(number),
            Err(error) => {
                failed += 1;
                println!("write {number}: {error:#}");
            }
        }
        longest = longest.max(asked.elapsed());
    }
    println!(
        "{victim} lost: {} writes acknowledged, {failed} failed, the longest took {} ms",
        acknowledged.len(),
        longest.as_millis()
    );
    ensure!(failed == 0, "{failed} writes failed");
    ensure!(longest <= GAP_MAX, "a write took {} ms", longest.as_millis());
    drop(lost);
    wait::until_true("the node is back", Duration::from_secs(60), || {
        let node = kubectl.get(&["node", &victim])?;
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        Ok(conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
    })?;
    world.wait_ready(namespace, "demo", Duration::from_secs(120))?;
    for number in &acknowledged {
        let value = client.get(&format!("key-{number}"))?;
        ensure!(value == Some(format!("value-{number}")), "key-{number} is {value:?}");
    }
    Ok(())
}

fn node_of(pod: &Value) -> String {
    pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()
}
