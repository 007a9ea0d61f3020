//! A server pod is killed while a client writes.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{client::Written, namespace::Namespace, wait, world::World};

/// How long is written after the kill.
const AFTER: Duration = Duration::from_secs(8);

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    kubectl.apply(&world.basic()?)?;
    World::wait_ready(namespace, "demo", Duration::from_mins(1))?;
    let mut client = world.connect(namespace, "demo")?;
    let before = kubectl.get(&["pod", "demo-server-1"])?;
    let mut written = Written::default();
    written.go_on(&mut client, Duration::from_secs(1));
    kubectl.run(&[
        "delete",
        "pod",
        "demo-server-1",
        "--grace-period=0",
        "--force",
        "--wait=false",
    ])?;
    written.go_on(&mut client, AFTER);
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
