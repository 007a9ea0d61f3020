//! Nodes without power.

use super::{Direction, Fault};
use crate::{cluster::Cluster, error::Result, topology::NodeNumber};

impl Cluster {
    /// Cuts a node's power: every process in it ends at once, and nobody hears that their connections
    /// to it are closed. Its disk stays, and so does the page
    /// cache, which is the machine's: what a real power cut would lose of unsynced writes is kept.
    ///
    /// Kubernetes notices after some 20 s. Mended, the node is Ready again.
    pub fn power_off(&self, node: NodeNumber) -> Result<Fault> {
        let cluster = self.clone();
        if self.is_on(node) {
            // Its network goes first, and is made anew with its power.
            self.cut(node, Direction::Both)?.leave();
        }
        self.stop_node(node)?;
        let mend = move || cluster.start_node(node);
        Ok(Fault::new(format!("{node} without power"), mend))
    }
}
