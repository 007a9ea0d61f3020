//! How a cluster is, at one moment.

use std::time::Duration;

use crate::{
    cluster::Cluster,
    control_plane::Part,
    error::Result,
    faults::Direction,
    topology::NodeNumber,
    usage::{self, Usage},
};

/// How a cluster is.
#[derive(Debug, Clone)]
pub struct Status {
    /// One entry a node.
    pub nodes: Vec<NodeStatus>,
    /// Programs of the control plane, and whether each runs.
    pub control_plane: Vec<(&'static str, bool)>,
    /// What it takes of the machine, pods included.
    pub usage: Vec<Usage>,
}

/// How a node is.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// Which one.
    pub node: NodeNumber,
    /// Its zone.
    pub zone: String,
    /// Whether it has power.
    pub is_on: bool,
    /// What Kubernetes says of it: `True`, `False` or `Unknown`, or nothing.
    pub ready: Option<String>,
    /// How it is cut off.
    pub cuts: Vec<Direction>,
}

impl Cluster {
    /// Looks at everything; processor time is measured for as long as `over`.
    pub fn status(&self, over: Duration) -> Result<Status> {
        let reports = self.api().nodes().unwrap_or_default();
        let nodes = self.topology().nodes().map(|node| {
            let report = reports.iter().find(|report| report.name == node.name());
            let is_on = self.is_on(node);
            NodeStatus {
                node,
                zone: self.topology().zone(node),
                is_on,
                ready: report.map(|report| report.ready.clone()),
                cuts: if is_on { self.cuts(node) } else { Vec::new() },
            }
        });
        let parts =
            Part::ALL.map(|part| (part.name(), part.daemon(self.home()).running().is_some()));
        Ok(Status {
            nodes: nodes.collect(),
            control_plane: parts.to_vec(),
            usage: usage::measure(self.home(), over)?,
        })
    }
}
