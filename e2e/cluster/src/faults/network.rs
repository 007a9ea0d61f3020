//! Nodes that nobody hears, that hear nobody, or that do not hear each other.

use super::Fault;
use crate::{
    cluster::Cluster,
    error::{Error, Result},
    network::{self, LinkState, set_link},
    node,
    topology::NodeNumber,
};

/// Which packets of a node are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// All: its cable is pulled.
    Both,
    /// Those that come to it or its pods.
    Incoming,
    /// Those that leave it or its pods.
    Outgoing,
}

/// A rule of a node's packet filter: the chain where all such packets pass, and how they are told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule(String);

impl Rule {
    fn of(direction: Direction) -> Option<Self> {
        match direction {
            Direction::Both => None,
            Direction::Incoming => Some(Self("PREROUTING -i eth0 -j DROP".to_owned())),
            Direction::Outgoing => Some(Self("POSTROUTING -o eth0 -j DROP".to_owned())),
        }
    }

    /// What another node and its pods send.
    fn from_node(other: NodeNumber) -> [Self; 2] {
        let senders = [format!("{}/32", other.address()), other.pod_network()];
        senders.map(|sender| Self(format!("PREROUTING -i eth0 -s {sender} -j DROP")))
    }

    /// Every rule that a fault could have made.
    fn all(nodes: impl Iterator<Item = NodeNumber>) -> Vec<Self> {
        let directions = [Direction::Incoming, Direction::Outgoing];
        let one_way = directions.into_iter().filter_map(Self::of);
        one_way.chain(nodes.flat_map(Self::from_node)).collect()
    }
}

impl Cluster {
    /// Cuts a node off from the machine and all other nodes; pods of the node still reach each other.
    pub fn cut(&self, node: NodeNumber, direction: Direction) -> Result<Fault> {
        match Rule::of(direction) {
            None => set_link(node, LinkState::Down)?,
            Some(rule) => self.iptables(node, "-I", &rule)?.run()?,
        }
        let cluster = self.clone();
        let mend = move || cluster.heal(node);
        Ok(Fault::new(format!("{node} cut off ({direction:?})"), mend))
    }

    /// Cuts two nodes and their pods off from each other. Both are still heard by all others, the API
    /// server included. Mending it mends every other cut of the two as well.
    pub fn cut_between(&self, one: NodeNumber, other: NodeNumber) -> Result<Fault> {
        if one == other {
            let what = format!("{one} cannot be cut off from itself");
            return Err(Error::Refused(what));
        }
        let cluster = self.clone();
        let fault = Fault::new(
            format!("{one} and {other} cut off from each other"),
            move || cluster.heal(one).and(cluster.heal(other)),
        );
        for (hearer, speaker) in [(one, other), (other, one)] {
            for rule in Rule::from_node(speaker) {
                self.iptables(hearer, "-I", &rule)?.run()?;
            }
        }
        Ok(fault)
    }

    /// Mends every cut of a node. One without power has none.
    pub fn heal(&self, node: NodeNumber) -> Result<()> {
        if !self.is_on(node) {
            return Ok(());
        }
        set_link(node, LinkState::Up)?;
        for rule in Rule::all(self.topology().nodes()) {
            // As many as there are: it may have been cut more than once.
            while self.has(node, &rule) {
                self.iptables(node, "-D", &rule)?.run()?;
            }
        }
        Ok(())
    }

    /// Whether a node is cut off from everybody, and how.
    pub fn cuts(&self, node: NodeNumber) -> Vec<Direction> {
        let is_cut = |direction: &Direction| {
            Rule::of(*direction)
                .map_or_else(|| network::is_down(node), |rule| self.has(node, &rule))
        };
        let all = [Direction::Both, Direction::Incoming, Direction::Outgoing];
        all.into_iter().filter(is_cut).collect()
    }

    fn has(&self, node: NodeNumber, rule: &Rule) -> bool {
        let check = self.iptables(node, "-C", rule);
        check.is_ok_and(|check| check.succeeds())
    }

    fn iptables(
        &self,
        node: NodeNumber,
        act: &str,
        rule: &Rule,
    ) -> Result<crate::command::Command> {
        let words = ["iptables", "-w", "10", "-t", "mangle", act];
        let command = node::command(self.home(), node, &words)?;
        Ok(command.args(rule.0.split(' ')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    #[test]
    fn whatever_is_cut_can_be_healed() {
        let nodes = || Topology::default().nodes();
        let all = Rule::all(nodes());
        for made in nodes().flat_map(Rule::from_node) {
            assert!(all.contains(&made), "{made:?}");
        }
        for direction in [Direction::Incoming, Direction::Outgoing] {
            assert!(all.contains(&Rule::of(direction).unwrap()));
        }
        let [node, pods] = Rule::from_node(nodes().last().unwrap());
        assert!(node.0.contains("-s 172.30.0.13/32") && pods.0.contains("-s 10.244.3.0/24"));
    }
}
