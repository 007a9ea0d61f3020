//! What kind makes from `e2e/kind.yaml` has the same shape as a cluster of our own: it cannot be run
//! without Docker, so this is all that is checked of it here.

// A file that cannot be read fails the test.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use kvasir_cluster::Topology;
use serde_yaml::Value;

#[test]
fn workers_stand_in_the_zones_of_our_own_nodes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kind.yaml");
    let config: Value = serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let nodes = config["nodes"].as_sequence().unwrap();
    let workers = nodes.iter().filter(|node| node["role"] == "worker");
    let zone = |node: &Value| {
        node["labels"]["topology.kubernetes.io/zone"]
            .as_str()
            .map(str::to_owned)
    };
    let zones: Vec<String> = workers.filter_map(zone).collect();
    let topology = Topology::default();
    let ours: Vec<String> = topology.nodes().map(|node| topology.zone(node)).collect();
    assert_eq!(zones, ours);
}
