//! `cargo xtask ci`: the steps of CI, in the order in which they fail fastest.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

use crate::{command::Command, faults, generate, setup, sim, tests_run, tidy};

/// One step: its name, the command that repeats it alone, and what it does.
struct Step<'a> {
    name: &'static str,
    again: String,
    run: Box<dyn FnOnce() -> Result<()> + 'a>,
}

/// Runs all steps, and stops at the first that fails. What only a late one needs is looked for
/// before the first.
pub(crate) fn run(root: &Path, without_root: bool) -> Result<()> {
    faults::check_root(without_root)?;
    let mut times = Vec::new();
    for step in steps(root, without_root)? {
        println!("\n==> {}: {}", step.name, step.again);
        let start = Instant::now();
        let done = (step.run)();
        times.push((step.name, start.elapsed()));
        if let Err(error) = done {
            print_times(&times);
            return Err(anyhow!(
                "{}: {error:#}\nto run this step again: {}",
                step.name,
                step.again
            ));
        }
    }
    print_times(&times);
    println!("all steps passed");
    Ok(())
}

/// Every warning is an error.
const LINTS: [&str; 7] = [
    "clippy",
    "--locked",
    "--workspace",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];

fn steps(root: &Path, without_root: bool) -> Result<Vec<Step<'_>>> {
    let cargo = |arguments: &[&str]| Command::new(root, "cargo", arguments);
    let doc = [
        "doc",
        "--locked",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ];
    // No advisories: their database is a download, so the public workflow checks them.
    let deny = [
        "--offline",
        "--locked",
        "check",
        "licenses",
        "bans",
        "sources",
    ];
    let test = if without_root {
        "cargo xtask test --without-root"
    } else {
        "cargo xtask test"
    };
    let mut storm = vec!["--minutes", "1"];
    if without_root {
        storm.push("--without-root");
    }
    let storm: Vec<String> = storm.into_iter().map(str::to_owned).collect();
    let mut steps = vec![
        command_step("format", cargo(&["fmt", "--all", "--check"])),
        command_step("lints", cargo(&LINTS)),
        command_step("licences", Command::new(root, &setup::cargo_deny()?, &deny)),
        command_step(
            "documentation",
            cargo(&doc).env("RUSTDOCFLAGS", "-D warnings"),
        ),
        Step {
            name: "tidy",
            again: "cargo xtask tidy".to_owned(),
            run: Box::new(move || tidy::run(root)),
        },
        Step {
            name: "tests",
            again: test.to_owned(),
            run: Box::new(move || tests_run::run(root, without_root)),
        },
        command_step("simulation", sim::command(root, &["--seeds", "2500"])),
        command_step(
            "planted bugs",
            sim::command(root, &["--seeds", "6000", "--bug", "all"]),
        ),
        Step {
            name: "faults",
            again: format!("cargo xtask faults {}", storm.join(" ")),
            run: Box::new(move || faults::run(root, &storm)),
        },
    ];
    if !without_root {
        // Rendering the chart takes a cluster's programs, which the tests have built by then.
        steps.push(Step {
            name: "generated",
            again: "cargo xtask generate --check".to_owned(),
            run: Box::new(move || generate::run(root, true)),
        });
    }
    Ok(steps)
}

fn command_step(name: &'static str, command: Command) -> Step<'static> {
    Step {
        name,
        again: command.to_string(),
        run: Box::new(move || command.run()),
    }
}

fn print_times(times: &[(&str, Duration)]) {
    println!();
    for (name, time) in times {
        println!("{name:<14} {:>7.1} s", time.as_secs_f64());
    }
}
