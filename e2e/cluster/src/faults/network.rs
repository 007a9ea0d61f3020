//! Nodes that nobody hears, or that hear nobody.

use super::Fault;
use crate::{
    cluster::Cluster,
    error::Result,
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

impl Direction {
    /// The chain where all such packets pass, and how they are recognized.
    fn rule(self) -> Option<[&'static str; 5]> {
        match self {
            Self::Both => None,
            Self::Incoming => Some(["PREROUTING", "-i", "eth0", "-j", "DROP"]),
            Self::Outgoing => Some(["POSTROUTING", "-o", "eth0", "-j", "DROP"]),
        }
    }
}

impl Cluster {
    /// Cuts a node off from the machine and all other nodes; pods of the node still reach each other.
    pub fn cut(&self, node: NodeNumber, direction: Direction) -> Result<Fault> {
        match direction.rule() {
            None => set_link(node, LinkState::Down)?,
            Some(rule) => self.iptables(node, "-I", rule)?.run()?,
        }
        let cluster = self.clone();
        let mend = move || cluster.heal(node);
        Ok(Fault::new(format!("{node} cut off ({direction:?})"), mend))
    }

    /// Mends every cut of a node. One without power has none.
    pub fn heal(&self, node: NodeNumber) -> Result<()> {
        if !self.is_on(node) {
            return Ok(());
        }
        set_link(node, LinkState::Up)?;
        for rule in [Direction::Incoming, Direction::Outgoing]
            .into_iter()
            .filter_map(Direction::rule)
        {
            // As many as there are: it may have been cut more than once.
            while self.iptables(node, "-C", rule)?.succeeds() {
                self.iptables(node, "-D", rule)?.run()?;
            }
        }
        Ok(())
    }

    /// Whether a node is cut off, and how.
    pub fn cuts(&self, node: NodeNumber) -> Vec<Direction> {
        let is_cut = |direction: &Direction| match direction.rule() {
            None => network::is_down(node),
            Some(rule) => self
                .iptables(node, "-C", rule)
                .is_ok_and(|check| check.succeeds()),
        };
        let all = [Direction::Both, Direction::Incoming, Direction::Outgoing];
        all.into_iter().filter(is_cut).collect()
    }

    fn iptables(
        &self,
        node: NodeNumber,
        act: &str,
        rule: [&str; 5],
    ) -> Result<crate::command::Command> {
        let words = ["iptables", "-w", "10", "-t", "mangle", act];
        node::command(self.home(), node, &[&words[..], &rule].concat())
    }
}
