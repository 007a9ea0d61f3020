//! `cargo xtask cluster`: a real Kubernetes on this machine.

use std::path::Path;

use anyhow::Result;

use crate::command::Command;

/// Runs the cluster's own program with these arguments.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let start = ["run", "--quiet", "--locked", "-p", "kvasir-cluster", "--"];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Command::new(root, "cargo", &[&start[..], &arguments].concat()).run()
}
