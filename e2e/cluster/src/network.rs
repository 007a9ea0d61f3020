//! The bridge between nodes, their cables, and the routes to their pods.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    command::Command,
    error::Result,
    process::Process,
    topology::{BRIDGE, HOST_ADDRESS, NodeNumber, all_nodes},
};

/// Whose the bridge is, and all that a machine has only once: nodes' names, cgroups, routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// There is no bridge.
    Nobody,
    /// The cluster in this directory; it may have ended without taking its bridge along.
    Cluster(PathBuf),
}

impl Owner {
    /// What the bridge itself says.
    pub(crate) fn now() -> Self {
        if !link_exists(BRIDGE) {
            return Self::Nobody;
        }
        let alias = fs::read_to_string(format!("/sys/class/net/{BRIDGE}/ifalias"));
        Self::Cluster(PathBuf::from(
            alias.unwrap_or_default().trim_end_matches('\n'),
        ))
    }

    /// Whether the cluster in this directory may take things away. A bridge that does not say whose it
    /// is was only just made: it belongs to whom `remembers` a start.
    pub(crate) fn lets(&self, root: &Path, remembers: bool) -> bool {
        match self {
            Self::Nobody => true,
            Self::Cluster(other) => other == root || (remembers && other.as_os_str().is_empty()),
        }
    }
}

/// Makes the bridge of the cluster in this directory, and gives the machine its address on it.
pub(crate) fn make_bridge(root: &Path) -> Result<()> {
    if !link_exists(BRIDGE) {
        Command::line("ip link add")
            .arg(BRIDGE)
            .args(["type", "bridge"])
            .run()?;
    }
    Command::line("ip link set dev")
        .arg(BRIDGE)
        .arg("alias")
        .arg(root)
        .run()?;
    Command::line(&format!(
        "ip address replace {HOST_ADDRESS}/24 dev {BRIDGE}"
    ))
    .run()?;
    Command::line(&format!("ip link set {BRIDGE} up")).run()
}

/// Takes the bridge away, the cables and the routes with it.
pub(crate) fn remove_all() -> Result<()> {
    for node in all_nodes() {
        unplug(node)?;
    }
    delete_link(BRIDGE)
}

/// Lays a cable from the bridge to the node whose first process this is, and a route to its pods.
pub(crate) fn plug(node: NodeNumber, init: Process) -> Result<()> {
    unplug(node)?;
    for line in plug_lines(node, init.pid) {
        Command::line(&line).run()?;
    }
    Ok(())
}

fn plug_lines(node: NodeNumber, pid: i32) -> [String; 3] {
    let link = node.link();
    [
        // The other end appears in the node under the name that everybody expects.
        format!("ip link add {link} type veth peer name eth0 netns {pid}"),
        format!("ip link set {link} master {BRIDGE} up"),
        format!(
            "ip route replace {} via {}",
            node.pod_network(),
            node.address()
        ),
    ]
}

/// Takes the cable away.
pub(crate) fn unplug(node: NodeNumber) -> Result<()> {
    // Without the bridge there are neither cables nor routes, and perhaps no ip(8) either.
    if !link_exists(BRIDGE) {
        return Ok(());
    }
    let routes = Command::line("ip route show")
        .arg(node.pod_network())
        .output()?;
    if !routes.trim().is_empty() {
        Command::line("ip route delete")
            .arg(node.pod_network())
            .run()?;
    }
    delete_link(&node.link())
}

fn delete_link(name: &str) -> Result<()> {
    if !link_exists(name) {
        return Ok(());
    }
    let deleted = Command::line("ip link delete").arg(name).run();
    // A cable goes by itself when the node at its other end ends, which may be right now.
    if link_exists(name) { deleted } else { Ok(()) }
}

/// Pulls the machine's end of the cable, or puts it back.
pub(crate) fn set_link(node: NodeNumber, state: LinkState) -> Result<()> {
    let state = match state {
        LinkState::Up => "up",
        LinkState::Down => "down",
    };
    Command::line(&format!("ip link set {} {state}", node.link())).run()
}

/// Whether a cable carries anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// It does.
    Up,
    /// It does not.
    Down,
}

/// Whether the cable of a node is pulled.
pub(crate) fn is_down(node: NodeNumber) -> bool {
    let flags = fs::read_to_string(format!("/sys/class/net/{}/flags", node.link()));
    let flags = flags.unwrap_or_default();
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16);
    // The lowest bit is IFF_UP.
    flags.is_ok_and(|flags| flags & 1 == 0)
}

fn link_exists(name: &str) -> bool {
    fs::exists(format!("/sys/class/net/{name}")).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    #[test]
    fn only_its_own_cluster_takes_a_bridge_away() {
        let ours = Path::new("/a/place");
        for remembers in [false, true] {
            assert!(Owner::Nobody.lets(ours, remembers));
            assert!(Owner::Cluster(ours.to_owned()).lets(ours, remembers));
            assert!(!Owner::Cluster(PathBuf::from("/a/place/b")).lets(ours, remembers));
            assert_eq!(
                Owner::Cluster(PathBuf::new()).lets(ours, remembers),
                remembers
            );
        }
    }

    #[test]
    fn a_cable_goes_to_the_node_and_the_route_to_its_pods() {
        let node = Topology::default().node(2).unwrap();
        let [veth, up, route] = plug_lines(node, 77);
        assert_eq!(
            veth,
            "ip link add kvasir2 type veth peer name eth0 netns 77"
        );
        assert_eq!(up, "ip link set kvasir2 master kvasir0 up");
        assert_eq!(route, "ip route replace 10.244.2.0/24 via 172.30.0.12");
    }
}
