//! A paused `KvCluster` is told about and not touched, and mended once it is not paused any more.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{
    kvcluster::{Component, Ending, KvCluster, READY_MAX},
    namespace::Namespace,
    wait,
    world::World,
};

/// How long it may take until a status follows, and until something is mended.
const SOON: Duration = Duration::from_secs(15);

/// What is changed meanwhile: kind, name, patch, and where it shows.
const CHANGES: &[(&str, &str, &str, &str)] = &[
    (
        "service",
        "demo-servers",
        r#"{"spec":{"publishNotReadyAddresses":false}}"#,
        "/spec/publishNotReadyAddresses",
    ),
    (
        "poddisruptionbudget",
        "demo-server",
        r#"{"spec":{"maxUnavailable":0}}"#,
        "/spec/maxUnavailable",
    ),
    (
        "deployment",
        "demo-broker",
        r#"{"spec":{"revisionHistoryLimit":7}}"#,
        "/spec/revisionHistoryLimit",
    ),
    (
        "statefulset",
        "demo-server",
        r#"{"spec":{"minReadySeconds":0,"revisionHistoryLimit":7}}"#,
        "/spec/revisionHistoryLimit",
    ),
];

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let demo = KvCluster::applied(namespace, "demo", &world.basic()?)?;
    let value = |(kind, name, _, path): &(&str, &str, &str, &str)| -> Result<Value> {
        let object = kubectl.get(&[kind, name])?;
        Ok(object.pointer(path).cloned().unwrap_or_default())
    };
    let before: Vec<_> = CHANGES.iter().map(value).collect::<Result<_>>()?;
    demo.patch(r#"{"paused":true}"#)?;
    let paused = demo.until("Paused", SOON, |paused| paused.holds)?;
    ensure!(paused.message.contains("spec.paused"), "{paused:?}");
    for (kind, name, patch, _) in CHANGES {
        kubectl.patch(&[kind, name], patch)?;
    }
    kubectl.run(&["delete", "networkpolicy", "demo-broker"])?;
    demo.patch(r#"{"brokers":{"replicas":3}}"#)?;
    // Two things that the operator looks at, so that it has looked: a new spec, and a pod that goes
    // and comes back.
    let servers = demo.uids(Component::Server)?;
    demo.delete_pods(Component::Server, Ending::Killed)?;
    demo.until("Ready", SOON, |ready| !ready.holds)?;
    demo.replaced(Component::Server, &servers, READY_MAX)?;
    wait::until("the status follows the spec", SOON, || {
        let object = demo.object()?;
        let (seen, now) = (
            &object["status"]["observedGeneration"],
            &object["metadata"]["generation"],
        );
        Ok((seen == now)
            .then_some(())
            .ok_or_else(|| format!("it is about {seen}, the spec is {now}")))
    })?;
    for (change, was) in CHANGES.iter().zip(&before) {
        let now = value(change)?;
        ensure!(now != *was, "{} {} was put back", change.0, change.1);
    }
    let policy = kubectl.find(&["networkpolicy", "demo-broker"])?;
    ensure!(policy.is_none(), "the policy was made again");
    let brokers = demo.pods(Component::Broker)?.len();
    ensure!(brokers == 2, "there are {brokers} brokers");
    world.connect(namespace, "demo")?.put("while", "paused")?;

    demo.patch(r#"{"paused":false}"#)?;
    demo.until("Paused", SOON, |paused| !paused.holds)?;
    demo.ready(READY_MAX)?;
    for (change, was) in CHANGES.iter().zip(&before) {
        let what = format!("{} {} is put back", change.0, change.1);
        wait::until_true(&what, SOON, || Ok(value(change)? == *was))?;
    }
    wait::until_true("the policy is made again", SOON, || {
        let policy = kubectl.find(&["networkpolicy", "demo-broker"])?;
        Ok(policy.is_some())
    })?;
    let brokers = demo.pods(Component::Broker)?.len();
    ensure!(brokers == 3, "there are {brokers} brokers");
    let value = world.connect(namespace, "demo")?.get("while")?;
    ensure!(value.as_deref() == Some("paused"), "it has {value:?}");
    Ok(())
}
