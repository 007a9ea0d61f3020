//! Pods whose processes end or stand still.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::Signal;

use super::Fault;
use crate::{
    api::PodReport,
    cgroups,
    cluster::Cluster,
    error::{Error, Result},
    home::{read_file, write_in_place},
    limits::FREEZE_MAX,
    process::Process,
    procfs,
    topology::NodeNumber,
    wait::{Look, wait_for},
};

impl Cluster {
    /// Sends SIGKILL to the main process of every container of a pod that runs, from outside, as the
    /// kernel does when memory runs out. The kubelet starts them again. Says how many there were.
    pub fn kill_pod(&self, namespace: &str, pod: &str) -> Result<usize> {
        let report = self.api().pod(namespace, pod)?;
        let cgroup = self.pod_cgroup(&report)?;
        let mut killed = 0;
        for (name, id) in &report.containers {
            let processes = read_file(&cgroup.join(id).join("cgroup.procs"))?;
            let main = main_process(&processes).ok_or_else(|| {
                Error::Refused(format!(
                    "the container {name} of {namespace}/{pod} has no process"
                ))
            })?;
            main.signal(Signal::KILL)?;
            killed += 1;
        }
        Ok(killed)
    }

    /// Makes all processes of a pod stand still, as on a machine that is overloaded beyond measure.
    /// Its connections stay open. Mended, they go on as if nothing had been.
    pub fn freeze_pod(&self, namespace: &str, pod: &str) -> Result<Fault> {
        let report = self.api().pod(namespace, pod)?;
        let state = self.pod_cgroup(&report)?.join("freezer.state");
        let what = format!("{namespace}/{pod} frozen");
        let thawed = state.clone();
        let fault = Fault::new(what.clone(), move || {
            // Gone with its pod or its node, it is frozen no more.
            if thawed.exists() {
                write_in_place(&thawed, "THAWED")
            } else {
                Ok(())
            }
        });
        write_in_place(&state, "FROZEN")?;
        wait_for(&what, FREEZE_MAX, || {
            let now = read_file(&state)?;
            Ok(if now.trim() == "FROZEN" {
                Look::Seen(())
            } else {
                Look::NotYet(now)
            })
        })?;
        Ok(fault)
    }

    /// Where the pod is among the machine's cgroups. The freezer has all of them, too.
    pub(crate) fn pod_cgroup(&self, report: &PodReport) -> Result<PathBuf> {
        let node = self.node_of(report)?;
        let freezer = cgroups::freezer()?.unwrap_or_default();
        let places = cgroups::pod_places(node, &report.uid);
        let found = places
            .into_iter()
            .map(|place| freezer.join(place))
            .find(|place| place.is_dir());
        found
            .ok_or_else(|| Error::Refused(format!("the pod {} does not run on {node}", report.uid)))
    }

    fn node_of(&self, report: &PodReport) -> Result<NodeNumber> {
        self.topology()
            .node_named(&report.node)
            .ok_or_else(|| Error::Unreadable {
                what: format!("the pod {}", report.uid),
                reason: format!("{} is no node of this cluster", report.node),
            })
    }
}

/// The process that a container is: inside it has number 1. Where pods share numbers, the first.
fn main_process(cgroup_procs: &str) -> Option<Process> {
    let numbers: Vec<i32> = cgroup_procs
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    let is_main = |pid: &&i32| {
        let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
        status
            .ok()
            .and_then(|status| procfs::innermost_number(&status))
            == Some(1)
    };
    let main = numbers.iter().find(is_main).or(numbers.first())?;
    Process::of(*main)
}
