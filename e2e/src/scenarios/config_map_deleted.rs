//! The placement's ConfigMap is deleted: it is rebuilt from what the servers know.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    client::Written,
    kvcluster::{KvCluster, READY_MAX},
    load::{Connections, Load},
    namespace::Namespace,
    operator::Operator,
    wait,
    world::World,
};

/// How long the rebuilding may take with every server there.
const REBUILT_MAX: Duration = Duration::from_secs(20);

/// How long clients write before and after.
const AROUND: Duration = Duration::from_secs(2);

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let demo = KvCluster::applied(namespace, "demo", &world.basic()?)?;
    let mut client = world.connect(namespace, "demo")?;
    let mut written = Written::default();
    written.go_on(&mut client, Duration::from_secs(1));
    let mut placement = demo.placement()?;

    delete(namespace)?;
    placement = rebuilt(&demo, namespace, &placement, "at rest")?;

    let address = world.node_port(namespace, "demo")?;
    let load = Load::begin(address, &[Connections::Kept; 4]);
    // So long is written before, and after.
    thread::sleep(AROUND);
    delete(namespace)?;
    let under_load = rebuilt(&demo, namespace, &placement, "under load");
    thread::sleep(AROUND);
    let done = load.end()?;
    placement = under_load?;
    let seen = done.seen(Connections::Kept);
    println!("meanwhile {seen:?}");
    ensure!(seen.acknowledged > 100, "there was no load");
    ensure!(seen.failed == 0, "{} writes failed", seen.failed);

    let stopped = Operator::of(world).stop()?;
    delete(namespace)?;
    written.go_on(&mut client, Duration::from_secs(1));
    stopped.start()?;
    rebuilt(&demo, namespace, &placement, "while no operator ran")?;

    ensure!(written.failed == 0, "without load: {}", written.told());
    written.check(&mut client)?;
    done.check(&mut client)
}

fn delete(namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    kubectl.run(&["delete", "configmap", "demo-placement"])?;
    Ok(())
}

/// Waits until the placement is there again, and in use; what it says of itself.
fn rebuilt(
    demo: &KvCluster,
    namespace: &Namespace,
    before: &(u64, String),
    when: &str,
) -> Result<(u64, String)> {
    let kubectl = namespace.kubectl();
    let what = format!("a placement that was deleted {when} is rebuilt");
    let map = wait::until(&what, REBUILT_MAX, || {
        let map = kubectl.find(&["configmap", "demo-placement"])?;
        Ok(map.ok_or_else(|| "there is none".to_owned()))
    })?;
    let recorded: Value = serde_json::from_str(
        map["data"]["placement.json"]
            .as_str()
            .context("the ConfigMap has no placement")?,
    )?;
    let (epoch, id) = before;
    ensure!(
        recorded["cluster"] == **id,
        "{when}: it is of cluster {}, and was of {id}",
        recorded["cluster"]
    );
    let new = recorded["epoch"].as_u64().unwrap_or_default();
    ensure!(new > *epoch, "{when}: epoch {new} after {epoch}");
    wait::until("the status tells its epoch", REBUILT_MAX, || {
        let told = demo.placement()?;
        Ok(if told.0 == new {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        })
    })?;
    demo.ready(READY_MAX)?;
    let told = demo.placement()?;
    ensure!(told == (new, id.clone()), "{when}: the status has {told:?}");
    println!("{when}: epoch {epoch} was followed by {new}");
    Ok(told)
}
