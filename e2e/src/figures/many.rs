//! As many real clusters as the machine bears, each of one server and one broker, and what the operator
//! takes with them.

use std::{fs, thread, time::Duration};

use anyhow::Result;

use super::{Effort, Measured, clusters, operator};
use crate::{namespace::Namespace, wait, world::World};

/// Clusters that are applied at once.
const BATCH: u32 = 10;

/// How long a batch may take to be Ready; then the machine bears no more.
const BATCH_MAX: Duration = Duration::from_mins(3);

/// Memory that is left to the machine itself, in KiB.
const LEFT_KIB: u64 = 1024 * 1024;

/// Over what time the processors' use is looked at.
const OVER: Duration = Duration::from_secs(20);

pub(super) fn measure(world: &World, effort: Effort, measured: &mut Measured) -> Result<()> {
    let namespace = Namespace::make(world, "figure-many")?;
    let (batch, most) = effort.either((3, 6), (BATCH, u32::MAX));
    let mut there = 0;
    let why = loop {
        let next = there + batch;
        let text: String = (there + 1..=next).map(cluster).collect();
        namespace.kubectl().apply(&text)?;
        if let Err(lacks) = clusters::wait_ready(&namespace, next, BATCH_MAX) {
            let why = format!("{lacks}; {}", reasons(&namespace)?);
            take_away(&namespace, there + 1..=next)?;
            break why;
        }
        there = next;
        println!("    {there} clusters are ready");
        if available_kib() < LEFT_KIB {
            break "the machine's memory is used up".to_owned();
        }
        if there >= most {
            break "no more were asked for".to_owned();
        }
    };
    measured.note(format!("{there} clusters: {why}"));
    measured.add("many.clusters", f64::from(there));
    wait::until("what was too much is gone", BATCH_MAX, || {
        thread::sleep(Duration::from_secs(1));
        let ready = clusters::ready(&namespace)?;
        Ok(if ready == there {
            Ok(())
        } else {
            Err(format!("{ready} are ready"))
        })
    })?;
    operator::at_rest(world, effort, "many", measured)?;
    let usage = world.cluster()?.status(OVER)?.usage;
    let mebibytes: f64 = usage.iter().map(|usage| usage.mebibytes).sum();
    let cores: f64 = usage.iter().map(|usage| usage.cores).sum();
    measured.add("many.machine_mebibytes", mebibytes);
    measured.add("many.machine_cores", cores);
    if !world.is_its_own() {
        super::remove(&namespace)?;
    }
    Ok(())
}

/// One server, one copy, one broker, and hardly a wish.
fn cluster(number: u32) -> String {
    let wish = "resources: {requests: {cpu: 1m, memory: 8Mi}, limits: {memory: 128Mi}}";
    format!(
        "---\napiVersion: kvasir.dev/v1alpha1\nkind: KvCluster\nmetadata: {{name: small-{number}}}\n\
         spec:\n  copies: 1\n  servers: {{replicas: 1, {wish}, storage: {{size: 64Mi, \
         retentionPolicy: Delete}}}}\n  brokers: {{replicas: 1, {wish}}}\n"
    )
}

fn take_away(namespace: &Namespace, numbers: impl Iterator<Item = u32>) -> Result<()> {
    let names: Vec<String> = numbers.map(|number| format!("small-{number}")).collect();
    let mut arguments = vec!["delete", "kvclusters", "--ignore-not-found"];
    arguments.extend(names.iter().map(String::as_str));
    namespace.kubectl().run(&arguments).map(drop)
}

/// Why pods wait, in Kubernetes' own words, each once.
fn reasons(namespace: &Namespace) -> Result<String> {
    let pods = namespace
        .kubectl()
        .list(&["pods", "--field-selector=status.phase=Pending"])?;
    let conditions = pods
        .iter()
        .filter_map(|pod| pod["status"]["conditions"].as_array())
        .flatten();
    let messages = conditions.filter_map(|condition| condition["message"].as_str());
    let mut messages: Vec<&str> = messages.collect();
    messages.sort_unstable();
    messages.dedup();
    messages.truncate(3);
    Ok(format!("{} pods wait: {}", pods.len(), messages.join("; ")))
}

/// Memory that programs could still have.
fn available_kib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let number = line.and_then(|line| line.trim().strip_suffix("kB"));
    number
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(u64::MAX)
}
