//! A node: namespaces with containerd, a kubelet and a kube-proxy in them.

mod config;
mod disk;

use std::{ffi::OsString, path::PathBuf};

use crate::{
    cgroups,
    command::Command,
    error::{Error, Result},
    home::{Home, make_directory, remove, write_file},
    images,
    limits::SPAWN_MAX,
    network,
    process::{Daemon, Process},
    programs::Programs,
    topology::{NodeNumber, Topology},
    wait::{Look, wait_for},
};

/// What of a node outlives its power: its disk.
const DISKS: [&str; 4] = ["kubelet", "containerd", "volumes", "pods"];

/// There once the node's kubelet may start.
pub(crate) fn start_file(home: &Home, node: NodeNumber) -> PathBuf {
    home.run_file(&format!("{node}.start"))
}

/// The process that holds the namespaces from outside.
fn holder(home: &Home, node: NodeNumber) -> Daemon {
    Daemon::new(home, &node.name()).with_log(home.node(node).join("log/init.log"))
}

/// The node's first process, where it has power.
pub(crate) fn init(home: &Home, node: NodeNumber) -> Result<Process> {
    let init = holder(home, node).running().and_then(Process::child);
    init.ok_or_else(|| Error::NodeOff {
        node: node.name(),
        number: node.number(),
    })
}

/// Whether it has power.
pub(crate) fn is_on(home: &Home, node: NodeNumber) -> bool {
    init(home, node).is_ok()
}

/// Gives it power: everything but its kubelet, which needs images and the API server first.
pub(crate) fn begin(
    home: &Home,
    programs: &Programs,
    topology: Topology,
    node: NodeNumber,
) -> Result<()> {
    if is_on(home, node) {
        return Ok(());
    }
    // What is left of one that ended by itself is in the way.
    end(home, node)?;
    write_files(home, programs, topology, node)?;
    cgroups::make(node)?;
    let holder = holder(home, node);
    let script = home.node(node).join("etc/init.sh");
    let mut words: Vec<OsString> = UNSHARE.split(' ').map(OsString::from).collect();
    words.push(script.into());
    let process = holder.start(&words)?;
    let first = wait_for(&format!("the first process of {node}"), SPAWN_MAX, || {
        if !process.is_alive() {
            return Err(holder.ended());
        }
        Ok(process
            .child()
            .map_or_else(|| Look::NotYet("none".to_owned()), Look::Seen))
    })?;
    network::plug(node, first)
}

/// Killing the holder kills what it holds.
const UNSHARE: &str = "unshare --mount --uts --ipc --pid --net --fork --kill-child sh";

fn write_files(
    home: &Home,
    programs: &Programs,
    topology: Topology,
    node: NodeNumber,
) -> Result<()> {
    let directory = home.node(node);
    for name in DISKS
        .into_iter()
        .chain(["log", "etc/cni", "volumes/plain", "volumes/bounded"])
    {
        make_directory(&directory.join(name))?;
    }
    for (name, text) in config::files(home, topology, node, programs.kubernetes()) {
        write_file(&directory.join("etc").join(name), text)?;
    }
    let plugins = directory.join("etc/cni/10-kvasir.conflist");
    write_file(&plugins, config::network_plugins(node))
}

/// Brings the images that it does not have yet.
pub(crate) fn prepare(home: &Home, node: NodeNumber) -> Result<()> {
    wait_containerd(home, node)?;
    images::import_missing(home, node)
}

/// Lets its kubelet and its kube-proxy start.
pub(crate) fn admit(home: &Home, node: NodeNumber) -> Result<()> {
    write_file(&start_file(home, node), "")
}

fn wait_containerd(home: &Home, node: NodeNumber) -> Result<()> {
    wait_for(&format!("containerd of {node}"), SPAWN_MAX * 6, || {
        if !is_on(home, node) {
            return Err(holder(home, node).ended());
        }
        let asked = command(home, node, &["ctr", "version"])?;
        Ok(match asked.output() {
            Ok(_) => Look::Seen(()),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
}

/// Cuts its power: everything in it ends at once, nothing gets to say goodbye.
pub(crate) fn end(home: &Home, node: NodeNumber) -> Result<()> {
    let holder = holder(home, node);
    if let Some(process) = holder.running() {
        cgroups::thaw(node)?;
        let first = process.child();
        process.kill()?;
        if let Some(first) = first {
            first.kill()?;
        }
    }
    holder.forget()?;
    remove(&start_file(home, node))?;
    disk::wait_let_go(&home.node(node))?;
    network::unplug(node)?;
    cgroups::remove(node)
}

/// A command that runs inside the node.
pub(crate) fn command(home: &Home, node: NodeNumber, words: &[&str]) -> Result<Command> {
    let first = init(home, node)?.pid.to_string();
    Ok(Command::line("nsenter --all --target")
        .arg(first)
        .arg("--")
        .args(words))
}

/// Takes away what its disk has, but for imported images, which take longest to bring.
pub(crate) fn wipe(home: &Home, node: NodeNumber) -> Result<()> {
    let directory = home.node(node);
    let lost = ["kubelet", "volumes", "pods", "log", "etc"];
    lost.iter()
        .try_for_each(|name| remove(&directory.join(name)))
}
