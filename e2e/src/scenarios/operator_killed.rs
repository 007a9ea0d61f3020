//! The operator is killed again and again while a cluster comes up.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    namespace::Namespace,
    world::{OPERATOR_NAMESPACE, World},
};

/// How often it is killed.
const KILLS: u64 = 10;

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let operators = world.kubectl().within(OPERATOR_NAMESPACE);
    kubectl.apply(&world.file("manifests/examples/basic.yaml")?)?;
    for kill in 0..KILLS {
        // Moments all over the first seconds of a cluster and of an operator: no two alike.
        thread::sleep(Duration::from_millis(150 + kill * kill * 37 % 1400));
        operators.run(&[
            "delete",
            "pods",
            "-l",
            "app.kubernetes.io/name=kvasir-operator",
            "--grace-period=0",
            "--force",
            "--wait=false",
        ])?;
    }
    World::wait_ready(namespace, "demo", Duration::from_mins(2))?;
    let cluster = kubectl.get(&["kvcluster", "demo"])?;
    let status = &cluster["status"];
    ensure!(status["epoch"] == 1, "the epoch is {}", status["epoch"]);
    ensure!(
        status["clusterId"] == cluster["metadata"]["uid"],
        "the cluster is {}",
        status["clusterId"]
    );
    ensure!(
        status["slots"]["satisfied"] == 1024,
        "slots: {}",
        status["slots"]
    );
    let pods = kubectl.list(&["pods"])?;
    ensure!(pods.len() == 5, "there are {} pods", pods.len());
    Ok(())
}
