//! All server pods are deleted at once, and everything is back from the disks.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    client::Written,
    kvcluster::{Component, Ending, KvCluster, READY_MAX},
    namespace::Namespace,
    world::World,
};

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let demo = KvCluster::applied(namespace, "demo", &world.basic()?)?;
    let (placement, members) = (demo.placement()?, demo.members()?);
    ensure!(members.len() == 3, "members: {members:?}");
    let mut written = Written::default();
    for ending in [Ending::Orderly, Ending::Killed] {
        let mut client = world.connect(namespace, "demo")?;
        written.go_on(&mut client, Duration::from_secs(1));
        ensure!(written.failed == 0, "with all servers: {}", written.told());
        let before = demo.uids(Component::Server)?;
        demo.delete_pods(Component::Server, ending)?;
        demo.replaced(Component::Server, &before, READY_MAX)?;
        demo.ready(READY_MAX)?;
        written.check(&mut client)?;
        println!("{ending:?}: {}; all of it is there", written.told());
        ensure!(
            demo.members()? == members,
            "other members: {:?}, before {members:?}",
            demo.members()?
        );
        ensure!(
            demo.placement()? == placement,
            "another placement: {:?}, before {placement:?}",
            demo.placement()?
        );
    }
    Ok(())
}
