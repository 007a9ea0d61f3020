//! A server pod is killed while a client writes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::{
    client::{Client, Written},
    namespace::Namespace,
    wait,
    world::World,
};

/// How long is written after the kill.
const AFTER: Duration = Duration::from_secs(8);

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let example = world.file("manifests/examples/basic.yaml")?;
    kubectl.apply(&example.replace(
        "  brokers:\n",
        "  brokers:\n    service:\n      type: NodePort\n",
    ))?;
    World::wait_ready(namespace, "demo", Duration::from_mins(1))?;
    let address = world.node_port(namespace, "demo")?;
    let mut client = Client::connect(address)?;
    let before = kubectl.get(&["pod", "demo-server-1"])?;
    let mut written = Written::default();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        written.one_more(&mut client);
    }
    kubectl.run(&[
        "delete",
        "pod",
        "demo-server-1",
        "--grace-period=0",
        "--force",
        "--wait=false",
    ])?;
    let killed = Instant::now();
    while killed.elapsed() < AFTER {
        written.one_more(&mut client);
    }
    println!("{}", written.told());
    ensure!(
        written.failed == 0,
        "{} writes failed with two of three copies there",
        written.failed
    );
    wait::until_true("the pod is another one", Duration::from_mins(1), || {
        let pod = kubectl.find(&["pod", "demo-server-1"])?;
        Ok(pod.is_some_and(|pod| pod["metadata"]["uid"] != before["metadata"]["uid"]))
    })?;
    World::wait_ready(namespace, "demo", Duration::from_mins(1))?;
    written.check(&mut client)?;
    let after = kubectl.get(&["kvcluster", "demo"])?;
    ensure!(
        after["status"]["epoch"] == 1,
        "the epoch is {}",
        after["status"]["epoch"]
    );
    Ok(())
}
