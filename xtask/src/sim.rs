//! `cargo xtask sim`: the deterministic simulation.

use std::path::Path;

use anyhow::Result;

use crate::command::Command;

/// Runs the simulation with these arguments, built so that bugs can be planted.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    command(root, &arguments).run()
}

/// The simulation as a command.
pub(crate) fn command(root: &Path, arguments: &[&str]) -> Command {
    let build = [
        "run",
        "--quiet",
        "--release",
        "--locked",
        "-p",
        "sim",
        "--features",
        "planted",
        "--",
    ];
    Command::new(root, "cargo", &[&build, arguments].concat())
}
