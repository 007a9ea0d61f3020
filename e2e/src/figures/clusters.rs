//! Many `KvClusters` of one namespace, counted.

use std::{thread, time::Duration};

use anyhow::Result;

use crate::{namespace::Namespace, wait};

/// Pause between two looks at many objects, which are work for who answers.
const LOOK: Duration = Duration::from_secs(1);

/// Waits until so many pods run.
pub(super) fn wait_running(namespace: &Namespace, pods: u32, limit: Duration) -> Result<()> {
    wait::until("all pods run", limit, || {
        thread::sleep(LOOK);
        let names = namespace.kubectl().run(&[
            "get",
            "pods",
            "--field-selector=status.phase=Running",
            "--output=name",
        ])?;
        let there = u32::try_from(names.lines().count())?;
        Ok(if there >= pods {
            Ok(())
        } else {
            Err(format!("{there} of {pods} do"))
        })
    })
}

/// How many are Ready.
pub(super) fn ready(namespace: &Namespace) -> Result<u32> {
    let path =
        "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
    let conditions = namespace
        .kubectl()
        .run(&["get", "kvclusters", "--output", path])?;
    let ready = conditions.lines().filter(|line| *line == "True").count();
    Ok(u32::try_from(ready)?)
}

/// Waits until so many are Ready.
pub(super) fn wait_ready(namespace: &Namespace, wanted: u32, limit: Duration) -> Result<()> {
    wait::until("all clusters are ready", limit, || {
        thread::sleep(LOOK);
        let there = ready(namespace)?;
        Ok(if there >= wanted {
            Ok(())
        } else {
            Err(format!("{there} of {wanted} are"))
        })
    })
}
