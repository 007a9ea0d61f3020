//! `cargo xtask faults`: faults on real processes, the histories of their clients checked.

use std::path::Path;

use anyhow::Result;

use crate::command::Command;

/// What a run needs: the product, the driver, and the checker that knows neither.
const BUILD: [&str; 9] = [
    "build",
    "--release",
    "--locked",
    "-p",
    "kvctl",
    "-p",
    "torture",
    "-p",
    "history-checker",
];

/// Builds all of it and runs the driver with these arguments.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    Command::new(root, "cargo", &BUILD).run()?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    driver(root, &arguments).run()
}

/// The driver, which finds the other programs beside itself.
fn driver(root: &Path, arguments: &[&str]) -> Command {
    let start = [
        "run",
        "--quiet",
        "--release",
        "--locked",
        "-p",
        "torture",
        "--",
    ];
    Command::new(root, "cargo", &[&start[..], arguments].concat())
}
