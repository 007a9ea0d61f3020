//! Servers are replaced one at a time while a client writes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{client::Written, namespace::Namespace, world::World};

/// How long three servers may take.
const ROLLED_MAX: Duration = Duration::from_mins(3);

/// Pause between two looks at pods, between which is written.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    kubectl.apply(&world.basic()?)?;
    World::wait_ready(namespace, "demo", Duration::from_mins(1))?;
    let mut client = world.connect(namespace, "demo")?;
    let before = servers(namespace)?;
    kubectl.patch(
        &["kvcluster", "demo"],
        r#"{"spec":{"servers":{"resources":{"limits":{"memory":"640Mi"}}}}}"#,
    )?;
    let mut written = Written::default();
    let (began, mut looked) = (Instant::now(), Instant::now());
    loop {
        written.one_more(&mut client);
        if looked.elapsed() < LOOK {
            continue;
        }
        looked = Instant::now();
        let now = servers(namespace)?;
        let ready = now.values().filter(|(_, is_ready)| *is_ready).count();
        ensure!(
            ready + 1 >= before.len(),
            "more than one server is away: {now:?}"
        );
        let is_new = |(name, (uid, is_ready)): (&String, &(String, bool))| {
            *is_ready && before.get(name).is_none_or(|(old, _)| old != uid)
        };
        if now.len() == before.len() && now.iter().all(is_new) {
            break;
        }
        ensure!(began.elapsed() < ROLLED_MAX, "not replaced: {now:?}");
    }
    println!(
        "replaced in {:.0} s: {}",
        began.elapsed().as_secs_f64(),
        written.told()
    );
    ensure!(written.failed == 0, "{} writes failed", written.failed);
    World::wait_ready(namespace, "demo", Duration::from_mins(1))?;
    written.check(&mut client)
}

/// Each server's UID, and whether it is ready.
fn servers(namespace: &Namespace) -> Result<BTreeMap<String, (String, bool)>> {
    let pods = namespace
        .kubectl()
        .list(&["pods", "-l", "app.kubernetes.io/component=server"])?;
    let each = pods.iter().map(|pod| {
        let text = |name: &str| {
            let text = pod["metadata"][name].as_str();
            text.unwrap_or_default().to_owned()
        };
        let conditions = pod["status"]["conditions"].as_array();
        let is_ready = conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        (text("name"), (text("uid"), is_ready))
    });
    Ok(each.collect())
}
