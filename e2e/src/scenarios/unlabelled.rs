//! Every object of a cluster loses the label by which the operator finds it.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{namespace::Namespace, wait, world::World};

/// By what the operator finds objects.
const LABEL: &str = "app.kubernetes.io/instance";

/// What it makes.
const OBJECTS: &[&str] = &[
    "secret/demo-secret",
    "configmap/demo-placement",
    "configmap/demo-seeds",
    "service/demo",
    "service/demo-servers",
    "serviceaccount/demo-server",
    "serviceaccount/demo-broker",
    "statefulset/demo-server",
    "deployment/demo-broker",
    "poddisruptionbudget/demo-server",
    "poddisruptionbudget/demo-broker",
    "networkpolicy/demo-server",
    "networkpolicy/demo-broker",
];

/// How long it may take until all of it is as it was.
const MENDED_MAX: Duration = Duration::from_mins(1);

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    kubectl.apply(&world.file("manifests/examples/basic.yaml")?)?;
    World::wait_ready(namespace, "demo", MENDED_MAX)?;
    let secret =
        || Ok::<_, anyhow::Error>(kubectl.get(&["secret", "demo-secret"])?["data"].clone());
    let (before, pods) = (secret()?, pods(namespace)?);
    for object in OBJECTS {
        kubectl.run(&["label", object, &format!("{LABEL}-")])?;
    }
    wait::until("all are found again", MENDED_MAX, || {
        let objects = kubectl.list(OBJECTS)?;
        let lost = objects
            .iter()
            .filter(|object| object["metadata"]["labels"][LABEL] != "demo");
        let lost: Vec<String> = lost
            .map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]))
            .collect();
        Ok(if lost.is_empty() {
            Ok(())
        } else {
            Err(format!("without their label: {}", lost.join(", ")))
        })
    })?;
    World::wait_ready(namespace, "demo", MENDED_MAX)?;
    ensure!(secret()? == before, "the Secret is another one");
    ensure!(self::pods(namespace)? == pods, "pods were replaced");
    let cluster = kubectl.get(&["kvcluster", "demo"])?;
    let epoch = &cluster["status"]["epoch"];
    ensure!(*epoch == 1, "the epoch is {epoch}");
    Ok(())
}

/// Names and UIDs of all pods.
fn pods(namespace: &Namespace) -> Result<String> {
    let path = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {end}";
    namespace.kubectl().run(&["get", "pods", "--output", path])
}
