//! Nothing is written while nothing changes.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Result, ensure};

use crate::{namespace::Namespace, world::World};

/// How long nothing may be written.
const REST: Duration = Duration::from_mins(1);

/// What the operator could write to.
const KINDS: &str = "kvclusters,statefulsets,deployments,services,configmaps,secrets,\
                     poddisruptionbudgets,networkpolicies,serviceaccounts,pvc,pods,events";

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    kubectl.apply(&world.file("manifests/examples/basic.yaml")?)?;
    World::wait_ready(namespace, "demo", Duration::from_mins(1))?;
    let versions = || -> Result<BTreeMap<String, String>> {
        let objects = kubectl.list(&[KINDS])?;
        let each = objects.iter().map(|object| {
            let metadata = &object["metadata"];
            let name = format!("{} {}", object["kind"], metadata["name"]);
            (name, metadata["resourceVersion"].to_string())
        });
        Ok(each.collect())
    };
    // What is on its way when the last pod became ready has arrived.
    let mut before = versions()?;
    let settled = crate::wait::until("it comes to rest", Duration::from_mins(1), || {
        thread::sleep(Duration::from_secs(5));
        let now = versions()?;
        let same = now == before;
        before = now;
        Ok(if same {
            Ok(())
        } else {
            Err("objects still change".to_owned())
        })
    });
    settled?;
    // The one wait that is for nothing to happen.
    thread::sleep(REST);
    let after = versions()?;
    let changed: Vec<_> = after
        .iter()
        .filter(|(name, version)| before.get(*name) != Some(*version))
        .map(|(name, _)| name.as_str())
        .collect();
    ensure!(changed.is_empty(), "written to at rest: {changed:?}");
    Ok(())
}
