//! Every example is applied as it stands, becomes ready, and stores a value.

use anyhow::{Context, Result, ensure};

use crate::{
    client::Client,
    kvcluster::{KvCluster, READY_MAX},
    namespace::Namespace,
    port_forward::PortForward,
    world::World,
};

/// Where they stand.
const DIRECTORY: &str = "manifests/examples";

/// Port of the line protocol.
const LINE: u16 = 7600;

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let files = world.files(DIRECTORY, "yaml")?;
    ensure!(!files.is_empty(), "there are no examples");
    // All at once: each takes seconds to become ready.
    let mut examples = Vec::new();
    for path in &files {
        let file = path.to_str().context("its name is text")?;
        let said = kubectl.run(&["apply", "--filename", file, "--output=name"])?;
        let names = said.lines();
        let names = names.filter_map(|line| line.strip_prefix("kvcluster.kvasir.dev/"));
        let before = examples.len();
        examples.extend(names.map(|name| (file, name.to_owned())));
        ensure!(
            examples.len() > before,
            "{file} makes no KvCluster, but {said}"
        );
    }
    for (file, name) in &examples {
        try_it(namespace, name).with_context(|| format!("{file}: {name}"))?;
    }
    for (file, _) in &examples {
        kubectl.run(&["delete", "--filename", file, "--timeout=30s"])?;
    }
    Ok(())
}

fn try_it(namespace: &Namespace, name: &str) -> Result<()> {
    KvCluster::named(namespace, name).ready(READY_MAX)?;
    let forward = PortForward::to(namespace.kubectl(), name, LINE)?;
    let mut client = Client::connect(forward.address())?;
    client.put("example", name)?;
    let value = client.get("example")?;
    ensure!(value.as_deref() == Some(name), "it has {value:?}");
    println!("{name}: ready, and stores a value");
    Ok(())
}
