//! Brokers become more and fewer under load, and nobody loses anything by it.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    kvcluster::{Component, KvCluster, READY_MAX},
    load::{Connections, Load},
    namespace::Namespace,
    wait,
    world::World,
};

/// How long clients go on after each change is done.
const AFTER: Duration = Duration::from_secs(2);

/// Numbers of brokers, one after the other. The example has two.
const BROKERS: [usize; 3] = [4, 1, 2];

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let demo = KvCluster::applied(namespace, "demo", &world.basic()?)?;
    let mut client = world.connect(namespace, "demo")?;
    let address = world.node_port(namespace, "demo")?;
    let clients = [Connections::Kept, Connections::Fresh].repeat(4);
    let load = Load::begin(address, &clients);
    let scaled = scale(&demo, namespace);
    let done = load.end()?;
    scaled?;
    for kind in [Connections::Kept, Connections::Fresh] {
        let seen = done.seen(kind);
        println!("{kind:?}: {seen:?}");
        ensure!(seen.acknowledged > 100, "{kind:?}: there was no load");
        ensure!(
            seen.failed == 0,
            "{kind:?}: {} writes failed while brokers came and went in order",
            seen.failed
        );
    }
    ensure!(
        done.seen(Connections::Kept).closed > 0,
        "no connection was closed, so no broker went that anybody used"
    );
    // Its own connection may have been to a broker that went.
    if client.get("client0-1").is_err() {
        client = world.connect(namespace, "demo")?;
    }
    done.check(&mut client)
}

fn scale(demo: &KvCluster, namespace: &Namespace) -> Result<()> {
    for count in BROKERS {
        demo.patch(&format!(r#"{{"brokers":{{"replicas":{count}}}}}"#))?;
        demo.ready(READY_MAX)?;
        wait::until(&format!("{count} brokers"), READY_MAX, || {
            let there = demo.pods(Component::Broker)?.len();
            Ok(if there == count {
                Ok(())
            } else {
                Err(format!("there are {there}"))
            })
        })?;
        // So long is written, with brokers that do not change.
        thread::sleep(AFTER);
        for pod in demo.uids(Component::Broker)?.keys() {
            let puts = puts_of(namespace, pod)?;
            ensure!(puts > 0, "of {count} brokers {pod} got no requests");
        }
    }
    Ok(())
}

/// Writes that a broker has done since it started.
fn puts_of(namespace: &Namespace, pod: &str) -> Result<u64> {
    let path = format!(
        "/api/v1/namespaces/{}/pods/{pod}:8080/proxy/metrics",
        namespace.name()
    );
    let metrics = namespace.kubectl().run(&["get", "--raw", &path])?;
    let name = r#"kvasir_broker_operations_total{operation="put",outcome="done"} "#;
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name));
    let value = value.context("a broker has no figure of its writes")?;
    Ok(value.parse()?)
}
