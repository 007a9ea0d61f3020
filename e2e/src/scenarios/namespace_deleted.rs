//! A namespace goes while a cluster comes up in it: it goes, and the next of its name is as any other.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    kvcluster::{Component, KvCluster, READY_MAX},
    namespace::Namespace,
    operator::Operator,
    wait,
    world::World,
};

/// How long the namespace may take to go: its pods have 30 s to end.
const GONE_MAX: Duration = Duration::from_mins(1);

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let operator = Operator::of(world);
    let runs = operator.runs()?;
    let example = world.file("manifests/examples/basic.yaml")?;
    let place = namespace.another(world, "short-lived")?;
    place.kubectl().apply(&example)?;
    let demo = KvCluster::named(&place, "demo");
    wait::until_true("servers are being started", READY_MAX, || {
        Ok(!demo.pods(Component::Server)?.is_empty())
    })?;
    place.begin_delete()?;
    place.wait_gone(GONE_MAX)?;
    operator.ran_on(&runs)?;
    place.remake()?;
    KvCluster::applied(&place, "demo", &example)?;
    let (epoch, _) = demo.placement()?;
    ensure!(epoch == 1, "the epoch is {epoch}");
    operator.ran_on(&runs)
}
