//! `cargo xtask setup`: the tools that cargo can install, and the crates themselves.

use std::{
    env,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result};

use crate::command::Command;

/// The version whose findings CI is judged by.
const CARGO_DENY_VERSION: &str = "0.20.2";

/// Installs what is missing.
pub(crate) fn run(root: &Path) -> Result<()> {
    // Checks of licences look into every crate, also those that this platform does not build.
    Command::new(root, "cargo", &["fetch", "--locked"]).run()?;
    println!("crates: all of Cargo.lock is on this machine");
    let directory = tools_directory()?;
    if has_cargo_deny(&directory) {
        println!("cargo-deny {CARGO_DENY_VERSION}: installed");
        return Ok(());
    }
    println!("cargo-deny {CARGO_DENY_VERSION}: installing, which takes some minutes");
    let target = directory
        .to_str()
        .context("the home directory's name is not UTF-8")?;
    let arguments = [
        "install",
        "cargo-deny",
        "--locked",
        "--version",
        CARGO_DENY_VERSION,
        "--root",
        target,
    ];
    Command::new(root, "cargo", &arguments).run()
}

/// The cargo-deny that [`run`] installed.
pub(crate) fn cargo_deny() -> Result<String> {
    let directory = tools_directory()?;
    anyhow::ensure!(
        has_cargo_deny(&directory),
        "cargo-deny {CARGO_DENY_VERSION} is not installed: run `cargo xtask setup`"
    );
    let program = executable(&directory);
    Ok(program
        .to_str()
        .context("the home directory's name is not UTF-8")?
        .to_owned())
}

/// Where tools go: out of the way of tools that a developer installed for everything.
fn tools_directory() -> Result<PathBuf> {
    let home = env::var_os("HOME").context("HOME is not set, so there is no place for tools")?;
    Ok(PathBuf::from(home).join(".cache/kvasir/tools"))
}

fn executable(directory: &Path) -> PathBuf {
    directory.join("bin/cargo-deny")
}

fn has_cargo_deny(directory: &Path) -> bool {
    let version = process::Command::new(executable(directory))
        .arg("--version")
        .output();
    version.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).trim() == format!("cargo-deny {CARGO_DENY_VERSION}")
    })
}
