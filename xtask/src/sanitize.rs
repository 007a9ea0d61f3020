//! `cargo xtask sanitize`: the trie and the log under checkers of memory.
//!
//! The address sanitizer sees accesses outside of what was allocated and after it was freed;
//! valgrind also what is read before it was written. Neither is part of CI: the first needs a
//! nightly compiler, and both take minutes.

use std::{
    env,
    path::{Path, PathBuf},
    process::{self, Stdio},
    time::Instant,
};

use anyhow::{Result, bail};

use crate::command::{Command, is_on_path};

/// Scales the tests' steps; set by hand it overrules what stands here.
const STEPS: &str = "KVASIR_TEST_STEPS_PERCENT";

/// The only target that the sanitizer is used on here.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs both, each in a target directory of its own.
pub(crate) fn run(root: &Path) -> Result<()> {
    check()?;
    let target = target_directory(root);
    let began = Instant::now();
    address(root, &target.join("sanitize-address")).run()?;
    let address_seconds = began.elapsed().as_secs();
    let began = Instant::now();
    valgrind(root, &target.join("sanitize-valgrind")).run()?;
    let valgrind_seconds = began.elapsed().as_secs();
    println!("address sanitizer: nothing found, {address_seconds} s with building");
    println!("valgrind: nothing found, {valgrind_seconds} s with building");
    Ok(())
}

/// An error that names all that is missing.
fn check() -> Result<()> {
    let mut missing = Vec::new();
    if !has_nightly() {
        missing.push("a nightly compiler: `rustup toolchain install nightly`");
    }
    if !is_on_path("valgrind") {
        missing.push("`valgrind`: as root, `apt-get install valgrind`");
    }
    if !missing.is_empty() {
        bail!("the checkers of memory need\n  {}", missing.join("\n  "));
    }
    Ok(())
}

fn has_nightly() -> bool {
    let mut asked = process::Command::new("rustup");
    asked.args(["run", "nightly", "rustc", "--version"]);
    let answered = asked.stdout(Stdio::null()).stderr(Stdio::null()).status();
    answered.is_ok_and(|status| status.success())
}

fn address(root: &Path, target: &Path) -> Command {
    let mut arguments = vec!["run", "nightly", "cargo", "test", "--locked"];
    // With a target named, build scripts and macros of the compiler stay as they are.
    arguments.extend(["--target", TARGET, "-p", "kvserver"]);
    for test in [
        "trie_model",
        "trie_bytes",
        "log_model",
        "log_faults",
        "store_model",
    ] {
        arguments.extend(["--test", test]);
    }
    let command = Command::new(root, "rustup", &arguments);
    scaled(command, "25", target).env("RUSTFLAGS", "-Zsanitizer=address")
}

fn valgrind(root: &Path, target: &Path) -> Command {
    let mut arguments = vec!["test", "--locked", "-p", "kvserver"];
    for test in ["trie_bytes", "log_model"] {
        arguments.extend(["--test", test]);
    }
    let command = Command::new(root, "cargo", &arguments);
    scaled(command, "2", target).env(
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER",
        "valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite \
         --errors-for-leak-kinds=definite",
    )
}

fn scaled(command: Command, percent: &str, target: &Path) -> Command {
    let asked = env::var(STEPS);
    command
        .env(STEPS, asked.as_deref().unwrap_or(percent))
        .env("CARGO_TARGET_DIR", &target.to_string_lossy())
}

/// Where cargo builds.
fn target_directory(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
