//! Which nodes there are, what they are called, and which addresses they have. Pure.

use std::{fmt, net::Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    limits::NODES_MAX,
};

/// The machine's own address on the bridge, where the API server listens.
pub(crate) const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 1);

/// Where nodes are, and the length of its mask.
pub(crate) const NODE_NETWORK: &str = "172.30.0.0/24";

/// Where all pods are.
pub(crate) const POD_NETWORK: &str = "10.244.0.0/16";

/// Where Services are.
pub(crate) const SERVICE_NETWORK: &str = "10.96.0.0/16";

/// The first of them: the API server as pods see it.
pub(crate) const API_SERVICE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// The Service of DNS.
pub(crate) const DNS_ADDRESS: &str = "10.96.0.10";

/// The bridge that all nodes are on.
pub(crate) const BRIDGE: &str = "kvasir0";

/// The API server's port.
pub(crate) const API_PORT: u16 = 6443;

/// A node, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeNumber(u8);

impl NodeNumber {
    /// The name that Kubernetes knows it by.
    pub fn name(self) -> String {
        format!("node{}", self.0)
    }

    /// Counted from 1.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Its address. Every Service of type `NodePort` is reached here.
    pub fn address(self) -> Ipv4Addr {
        let [a, b, c, _] = HOST_ADDRESS.octets();
        Ipv4Addr::new(a, b, c, 10 + self.0)
    }

    /// Where its pods are.
    pub(crate) fn pod_network(self) -> String {
        format!("10.244.{}.0/24", self.0)
    }

    /// The machine's end of its network cable.
    pub(crate) fn link(self) -> String {
        format!("kvasir{}", self.0)
    }

    /// The cgroup that all its pods are below, in every hierarchy.
    pub(crate) fn cgroup(self) -> String {
        format!("kvasir-node{}", self.0)
    }
}

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// How many nodes there are, and in how many zones they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    nodes: u8,
    zones: u8,
}

impl Default for Topology {
    fn default() -> Self {
        Self { nodes: 3, zones: 3 }
    }
}

impl Topology {
    /// One zone a node, three at most: as many as clouds usually have.
    pub fn of_nodes(nodes: u8) -> Result<Self> {
        Self::new(nodes, nodes.clamp(1, 3))
    }

    /// Nodes take turns at zones, so that these are as even as possible.
    pub fn new(nodes: u8, zones: u8) -> Result<Self> {
        if !(1..=NODES_MAX).contains(&nodes) {
            return Err(Error::NoSuchNode {
                number: nodes,
                last: NODES_MAX,
            });
        }
        if !(1..=nodes).contains(&zones) {
            return Err(Error::Zones { zones, nodes });
        }
        Ok(Self { nodes, zones })
    }

    /// How many nodes.
    pub fn len(self) -> u8 {
        self.nodes
    }

    /// Never: there is at least one node.
    pub fn is_empty(self) -> bool {
        false
    }

    /// All nodes, in order.
    pub fn nodes(self) -> impl Iterator<Item = NodeNumber> {
        (1..=self.nodes).map(NodeNumber)
    }

    /// The node with this number.
    pub fn node(self, number: u8) -> Result<NodeNumber> {
        let found = self.nodes().find(|node| node.0 == number);
        found.ok_or(Error::NoSuchNode {
            number,
            last: self.nodes,
        })
    }

    /// The node of this name.
    pub fn node_named(self, name: &str) -> Option<NodeNumber> {
        self.nodes().find(|node| node.name() == name)
    }

    /// The label `topology.kubernetes.io/zone` of a node.
    pub fn zone(self, node: NodeNumber) -> String {
        let letter = char::from(b'a' + (node.0 - 1) % self.zones);
        format!("zone-{letter}")
    }
}

/// Every node that any cluster could have: what is looked through when one is taken away.
pub(crate) fn all_nodes() -> impl Iterator<Item = NodeNumber> {
    (1..=NODES_MAX).map(NodeNumber)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn names_and_addresses_are_the_node_s_own() {
        let nodes: Vec<NodeNumber> = all_nodes().collect();
        let distinct = |of: &dyn Fn(&NodeNumber) -> String| {
            nodes.iter().map(of).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(distinct(&|node| node.address().to_string()), 5);
        assert_eq!(distinct(&|node| node.pod_network()), 5);
        assert_eq!(distinct(&|node| node.link()), 5);
        // The kernel's limit for names of interfaces.
        assert!(nodes.iter().all(|node| node.link().len() <= 15));
        assert!(nodes.iter().all(|node| node.link() != BRIDGE));
        assert!(nodes.iter().all(|node| node.address() != HOST_ADDRESS));
    }

    #[test]
    fn zones_are_even() {
        for nodes in 1..=NODES_MAX {
            for zones in 1..=nodes {
                let topology = Topology::new(nodes, zones).unwrap();
                let mut sizes = BTreeMap::new();
                for node in topology.nodes() {
                    *sizes.entry(topology.zone(node)).or_insert(0) += 1;
                }
                assert_eq!(sizes.len(), usize::from(zones));
                let most = sizes.values().max().unwrap();
                let fewest = sizes.values().min().unwrap();
                assert!(most - fewest <= 1, "{sizes:?}");
            }
        }
    }

    #[test]
    fn a_wrong_number_is_refused_with_the_right_ones() {
        for nodes in [0, 6] {
            let said = Topology::of_nodes(nodes).unwrap_err().to_string();
            assert!(said.contains("1 to 5"), "{said}");
        }
        assert!(Topology::new(2, 3).is_err() && Topology::new(2, 0).is_err());
        let topology = Topology::of_nodes(2).unwrap();
        assert_eq!(topology.node(2).unwrap().name(), "node2");
        assert!(topology.node(3).unwrap_err().to_string().contains("1 to 2"));
        assert_eq!(topology.node_named("node3"), None);
    }
}
