//! What a cluster costs: memory and processor time, by program.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, thread,
    time::Duration,
};

use crate::{
    cluster::Cluster,
    error::{Doing, Result},
    home::{Home, read_file},
    process::recorded,
    procfs::{self, Stat},
};

/// Clock ticks a second, as every Linux of the last decades tells them to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the processes of one program take, on all nodes together.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// The program's name, as long as the kernel keeps it.
    pub program: String,
    /// How many there are.
    pub processes: usize,
    /// Their memory, shared memory divided among who shares it.
    pub mebibytes: f64,
    /// Processor cores that they keep busy.
    pub cores: f64,
}

/// What the processes of one pod take.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PodUsage {
    /// Their resident memory, shared pages counted in full.
    pub mebibytes: f64,
    /// Seconds of processor time that they have used since they started.
    pub seconds: f64,
}

impl Cluster {
    /// What the containers of a pod take at this moment.
    pub fn pod_usage(&self, namespace: &str, pod: &str) -> Result<PodUsage> {
        let report = self.api().pod(namespace, pod)?;
        let cgroup = self.pod_cgroup(&report)?;
        let mut usage = PodUsage::default();
        for (_, container) in &report.containers {
            let processes = read_file(&cgroup.join(container).join("cgroup.procs"))?;
            for process in processes.lines() {
                let text = |file: &str| {
                    // One that has just ended takes nothing.
                    fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default()
                };
                let kib = procfs::resident_kib(&text("status")).unwrap_or(0);
                let ticks = procfs::stat(&text("stat")).map_or(0, |stat| stat.ticks);
                usage.mebibytes += kib as f64 / 1024.0;
                usage.seconds += ticks as f64 / TICKS_PER_SECOND;
            }
        }
        Ok(usage)
    }
}

/// Looks twice, `over` apart.
pub(crate) fn measure(home: &Home, over: Duration) -> Result<Vec<Usage>> {
    let before = members(home)?;
    thread::sleep(over);
    let after = members(home)?;
    let mut usage: BTreeMap<String, Usage> = BTreeMap::new();
    for (pid, (name, stat)) in &after {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let ticks_before = before.get(pid).map_or(stat.ticks, |(_, stat)| stat.ticks);
        let entry = usage.entry(name.clone()).or_insert_with(|| Usage {
            program: name.clone(),
            processes: 0,
            mebibytes: 0.0,
            cores: 0.0,
        });
        entry.processes += 1;
        entry.mebibytes += procfs::proportional_kib(&rollup).unwrap_or(0) as f64 / 1024.0;
        let ticks = stat.ticks.saturating_sub(ticks_before) as f64;
        entry.cores += ticks / TICKS_PER_SECOND / over.as_secs_f64();
    }
    let mut usage: Vec<Usage> = usage.into_values().collect();
    usage.sort_by(|a, b| b.mebibytes.total_cmp(&a.mebibytes));
    Ok(usage)
}

type Members = BTreeMap<i32, (String, Stat)>;

/// Every process that a process of the cluster has started, and those themselves.
fn members(home: &Home) -> Result<Members> {
    let roots: BTreeSet<i32> = recorded(home)?
        .into_iter()
        .map(|(_, process)| process.pid)
        .collect();
    let mut all = Members::new();
    for entry in fs::read_dir("/proc")
        .doing(|| "list /proc".to_owned())?
        .flatten()
    {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let text = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let (Some(stat), Some(name)) = (procfs::stat(&text), procfs::name(&text)) {
            all.insert(pid, (name.to_owned(), stat));
        }
    }
    let parents = all.iter().map(|(pid, (_, stat))| (*pid, stat.parent));
    let within = below(&roots, &parents.collect());
    all.retain(|pid, _| within.contains(pid));
    Ok(all)
}

/// The roots and all their descendants.
fn below(roots: &BTreeSet<i32>, parents: &BTreeMap<i32, i32>) -> BTreeSet<i32> {
    let is_below = |pid: &i32| {
        let mut at = *pid;
        // No chain of parents is longer than there are processes.
        for _ in 0..=parents.len() {
            if roots.contains(&at) {
                return true;
            }
            match parents.get(&at) {
                Some(parent) => at = *parent,
                None => return false,
            }
        }
        false
    };
    parents.keys().copied().filter(is_below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_however_deep() {
        let parents = BTreeMap::from([
            (1, 0),
            (10, 1),
            (11, 10),
            (12, 11),
            (20, 1),
            (21, 20),
            (30, 30),
        ]);
        let found = below(&BTreeSet::from([10, 21, 99]), &parents);
        assert_eq!(found, BTreeSet::from([10, 11, 12, 21]));
    }
}
