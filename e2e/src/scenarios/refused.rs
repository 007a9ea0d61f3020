//! What the API server refuses, each rule both ways.

use anyhow::{Result, ensure};

use crate::{namespace::Namespace, world::World};

/// A spec that is refused, and what has to be said.
const REFUSED: &[(&str, &str)] = &[
    (
        "{copies: 4, servers: {replicas: 3}}",
        "raise servers.replicas or lower copies",
    ),
    (
        "{copies: 3, readQuorum: 4}",
        "readQuorum is larger than copies",
    ),
    (
        "{copies: 3, writeQuorum: 4}",
        "writeQuorum is larger than copies",
    ),
    ("{readQuorum: 0}", "readQuorum"),
    ("{writeQuorum: 0}", "writeQuorum"),
    ("{consistency: Linearizable}", "not built yet"),
    ("{servers: {storage: {size: ten}}}", "such as 10Gi"),
    ("{servers: {storage: {size: \"0\"}}}", "such as 10Gi"),
    ("{servers: {storage: {mode: Tape}}}", "supported values"),
    ("{servers: {replicas: 101}}", "less than or equal to 100"),
    ("{copies: 0}", "greater than or equal to 1"),
    ("{repair: {after: soon}}", "repair.after"),
    ("{unheard: of}", "unknown field"),
];

/// A spec that is taken.
const TAKEN: &[&str] = &[
    "{}",
    "{copies: 1, servers: {replicas: 1}}",
    "{copies: 3, readQuorum: 1, writeQuorum: 3}",
    "{servers: {storage: {size: 20Gi, mode: Disk, sync: Never}}}",
    "{repair: {after: 1h30m}}",
    "{servers: {resources: {limits: {cpu: 1, memory: 1Gi}}}}",
];

/// From, to, and what has to be said.
const CHANGES: &[(&str, &str, &str)] = &[
    ("{}", "{servers: {storage: {size: 5Gi}}}", "cannot shrink"),
    (
        "{}",
        "{servers: {storage: {mode: Disk}}}",
        "storage.mode cannot change",
    ),
    (
        "{}",
        "{servers: {storage: {storageClassName: one}}}",
        "be set or be unset",
    ),
    (
        "{servers: {storage: {storageClassName: one}}}",
        "{}",
        "be set or be unset",
    ),
    (
        "{servers: {storage: {storageClassName: one}}}",
        "{servers: {storage: {storageClassName: other}}}",
        "be set or be unset",
    ),
];

pub(super) fn run(_world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let dry = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
    for (spec, says) in REFUSED {
        let said = kubectl.refused(&dry, &cluster("checked", spec))?;
        ensure!(said.contains(says), "{spec}: says {said}");
    }
    let longest = "n".repeat(40);
    for name in ["a", &longest] {
        ensure!(
            kubectl.apply(&cluster(name, "{paused: true}")).is_ok(),
            "{name} was refused"
        );
    }
    let too_long = "n".repeat(253);
    for name in ["1st", "a.b", &format!("{longest}n"), &too_long] {
        let said = kubectl.refused(&dry, &cluster(name, "{}"))?;
        ensure!(said.contains("choose another name"), "{name}: says {said}");
    }
    for spec in TAKEN {
        kubectl.apply(&cluster("taken", &paused(spec)))?;
        kubectl.run(&["delete", "kvcluster", "taken"])?;
    }
    for (from, to, says) in CHANGES {
        kubectl.apply(&cluster("changed", &paused(from)))?;
        let said = kubectl.refused(&["replace", "-f", "-"], &cluster("changed", &paused(to)))?;
        ensure!(said.contains(says), "{from} to {to}: says {said}");
        kubectl.run(&["delete", "kvcluster", "changed"])?;
    }
    kubectl.apply(&cluster("grows", &paused("{}")))?;
    let larger = cluster("grows", &paused("{servers: {storage: {size: 11Gi}}}"));
    kubectl.apply(&larger)
}

/// Nothing is to come of it.
fn paused(spec: &str) -> String {
    match spec.strip_suffix('}') {
        Some("{") => "{paused: true}".to_owned(),
        Some(rest) => format!("{rest}, paused: true}}"),
        None => spec.to_owned(),
    }
}

fn cluster(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: kvasir.dev/v1alpha1, kind: KvCluster, metadata: {{name: {name}}}, spec: {spec}}}"
    )
}
