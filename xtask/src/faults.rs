//! `cargo xtask faults`: faults on real processes, the histories of their clients checked.

use std::path::Path;

use anyhow::{Result, bail};

use crate::command::{Command, is_root};

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

/// An error where a run would find, once everything is built, that it lacks root.
pub(crate) fn check_root(without_root: bool) -> Result<()> {
    judge_root(without_root, is_root())
}

fn judge_root(without_root: bool, is_root: bool) -> Result<()> {
    if !without_root && !is_root {
        bail!(
            "the step `faults` needs root, which mounts the disks that it fills: run as root, or \
             leave full disks out with --without-root"
        );
    }
    Ok(())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_root_has_to_say_so() {
        let error = judge_root(false, false).unwrap_err();
        assert!(error.to_string().contains("--without-root"), "{error}");
        assert!(judge_root(true, false).is_ok());
        assert!(judge_root(false, true).is_ok());
    }
}
