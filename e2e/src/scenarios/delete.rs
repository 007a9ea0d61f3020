//! Deleting a `KvCluster`: what stays, and what a new one of its name finds.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{namespace::Namespace, wait, world::World};

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let example = world.basic()?;
    kubectl.apply(&example)?;
    World::wait_ready(namespace, "demo", Duration::from_mins(1))?;
    let first = kubectl.get(&["kvcluster", "demo"])?;
    world.connect(namespace, "demo")?.put("kept", "yes")?;
    delete(namespace)?;
    let claims = kubectl.list(&["pvc"])?;
    ensure!(claims.len() == 3, "{} claims stayed", claims.len());

    // The same name again: its data is there, and the cluster is the same one.
    kubectl.apply(&example.replace("size: 1Gi\n", "size: 1Gi\n      retentionPolicy: Delete\n"))?;
    World::wait_ready(namespace, "demo", Duration::from_mins(1))?;
    let second = kubectl.get(&["kvcluster", "demo"])?;
    ensure!(second["metadata"]["uid"] != first["metadata"]["uid"]);
    ensure!(
        second["status"]["clusterId"] == first["status"]["clusterId"],
        "the cluster is another one"
    );
    let mut client = world.connect(namespace, "demo")?;
    ensure!(
        client.get("kept")?.as_deref() == Some("yes"),
        "the data is gone"
    );
    wait::until_true(
        "the claims name their owner",
        Duration::from_secs(15),
        || {
            let claims = kubectl.list(&["pvc"])?;
            Ok(claims
                .iter()
                .all(|claim| claim["metadata"]["ownerReferences"].is_array()))
        },
    )?;
    delete(namespace)?;
    wait::until_true("the claims are gone", Duration::from_mins(1), || {
        Ok(kubectl.list(&["pvc"])?.is_empty())
    })
}

/// Deletes the `KvCluster` and waits until nothing of it but claims is left.
fn delete(namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    kubectl.run(&[
        "delete",
        "kvcluster",
        "demo",
        "--wait=true",
        "--timeout=60s",
    ])?;
    let kinds = "pods,statefulsets,deployments,services,configmaps,secrets,poddisruptionbudgets,\
                 networkpolicies,serviceaccounts";
    wait::until("nothing is left", Duration::from_secs(90), || {
        let left = kubectl.list(&[kinds, "-l", "app.kubernetes.io/instance=demo"])?;
        let names: Vec<_> = left
            .iter()
            .map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]))
            .collect();
        Ok(if names.is_empty() {
            Ok(())
        } else {
            Err(names.join(", "))
        })
    })
}
