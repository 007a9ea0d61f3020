//! `cargo xtask test`: what the tests need, the tests, a summary of what ran, and the smoke test on a
//! real Kubernetes.

mod needs;
mod summary;

use std::{
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, Result, bail};

use crate::{cluster, command::Command, e2e};
use summary::Summary;

/// Checks what is needed, runs the workspace's tests, then the scenarios of the smoke test.
pub(crate) fn run(root: &Path, without_root: bool) -> Result<()> {
    workspace(root, without_root)?;
    if without_root {
        return Ok(());
    }
    e2e::run(root, &[])
}

fn workspace(root: &Path, without_root: bool) -> Result<()> {
    let left_out = needs::check(without_root)?;
    if !without_root {
        // It takes minutes the first time, and a test would not show how far it is.
        cluster::run(root, &["build".to_owned()])?;
    }
    let arguments = ["test", "--workspace", "--locked", "--no-fail-fast"];
    let mut command = Command::new(root, "cargo", &arguments);
    if without_root {
        command = command.env("KVASIR_WITHOUT_ROOT", "1");
    }
    println!("{command}");
    // One pipe for both, so that every result stands behind the name of what was run.
    let (output, input) = std::io::pipe().context("cannot make a pipe")?;
    let errors = input.try_clone().context("cannot make a pipe")?;
    command.process().stdout(input).stderr(errors);
    let mut child = command
        .process()
        .spawn()
        .with_context(|| format!("cannot start `{command}`"))?;
    let shown = command.to_string();
    // Our own ends of the pipe must close, or reading never ends.
    drop(command);
    let mut summary = Summary::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what cargo prints")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        summary.read(&line);
    }
    let status = child.wait().context("cannot wait for cargo")?;
    println!("\n{summary}");
    for what in left_out {
        println!("left out by --without-root: {what}");
    }
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}
