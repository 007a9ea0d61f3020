//! A server pod is killed while a client writes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::{client::Client, namespace::Namespace, wait, world::World};

/// How long is written after the kill.
const AFTER: Duration = Duration::from_secs(8);

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let example = world.file("manifests/examples/basic.yaml")?;
    kubectl.apply(&example.replace("  brokers:\n", "  brokers:\n    service:\n      type: NodePort\n"))?;
    world.wait_ready(namespace, "demo", Duration::from_secs(60))?;
    let address = world.node_port(namespace, "demo")?;
    let mut client = Client::connect(address)?;
    let before = kubectl.get(&["pod", "demo-server-1"])?;
    let (mut acknowledged, mut failed, mut longest) = (Vec::new(), 0, Duration::ZERO);
    let mut killed_at = None;
    let mut number = 0_u32;
    let began = Instant::now();
    while killed_at.is_none_or(|at: Instant| at.elapsed() < AFTER) {
        if killed_at.is_none() && began.elapsed() > Duration::from_secs(1) {
            kubectl.run(&["delete", "pod", "demo-server-1", "--grace-period=0", "--force", "--wait=false"])?;
            killed_at = Some(Instant::now());
        }
        number += 1;
        let asked = Instant::now();
        match client.put(&format!("key-{number}"), &format!("value-{number}")) {
            Ok(()) => acknowledged.push(number),
            Err(error) => {
                failed += 1;
                println!("write {number}: {error:#}");
                client = Client::connect(address)?;
            }
        }
        longest = longest.max(asked.elapsed());
    }
    println!(
        "{} writes acknowledged, {failed} failed, the longest took {} ms",
        acknowledged.len(),
        longest.as_millis()
    );
    ensure!(failed == 0, "{failed} writes failed while two of three copies were there");
    wait::until_true("the pod is another one", Duration::from_secs(60), || {
        let pod = kubectl.find(&["pod", "demo-server-1"])?;
        Ok(pod.is_some_and(|pod| pod["metadata"]["uid"] != before["metadata"]["uid"]))
    })?;
    world.wait_ready(namespace, "demo", Duration::from_secs(60))?;
    for number in &acknowledged {
        let value = client.get(&format!("key-{number}"))?;
        ensure!(value == Some(format!("value-{number}")), "key-{number} is {value:?}");
    }
    let after = kubectl.get(&["kvcluster", "demo"])?;
    ensure!(after["status"]["epoch"] == 1, "the epoch is {}", after["status"]["epoch"]);
    Ok(())
}
