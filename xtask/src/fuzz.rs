//! `cargo xtask fuzz`: every target under cargo-fuzz for some time, and what came of it.

use std::{
    env, fmt, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{self, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::command::{Command, is_on_path};

/// Longest input, in bytes: structure is found in short ones.
const INPUT_BYTES_MAX: u32 = 8192;

/// How long one input may take, in seconds: far more than any should, under a sanitizer.
const INPUT_SECONDS_MAX: u32 = 10;

/// Memory that one input may take, in mebibytes.
const INPUT_MEBIBYTES_MAX: u32 = 2048;

/// What libFuzzer said of one target.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    executions: u64,
    coverage: u64,
    new_inputs: u64,
}

/// Runs the targets one after the other, all of them if none is named.
pub(crate) fn run(root: &Path, minutes: u32, named: &[String]) -> Result<()> {
    let all = targets(root)?;
    for name in named {
        ensure!(
            all.contains(name),
            "no target `{name}`: there are {}",
            all.join(", ")
        );
    }
    check_tools(root)?;
    let chosen = if named.is_empty() { &all } else { named };
    let mut done = Vec::new();
    for target in chosen {
        let figures = fuzz(root, target, minutes)?;
        println!("{target:<10} {figures}");
        done.push((target, figures));
    }
    println!("\nminutes a target: {minutes}");
    for (target, figures) in done {
        println!("{target:<10} {figures}");
    }
    Ok(())
}

/// The names of all targets.
fn targets(root: &Path) -> Result<Vec<String>> {
    let directory = root.join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&directory).context("cannot list fuzz/fuzz_targets")?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.context("cannot list fuzz/fuzz_targets")?.path();
        names.extend(
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    Ok(names)
}

fn check_tools(root: &Path) -> Result<()> {
    let mut missing = Vec::new();
    if !is_on_path("cargo-fuzz") {
        missing.push("cargo-fuzz: cargo install cargo-fuzz --locked");
    }
    let nightly = process::Command::new("rustup")
        .args(["run", "nightly", "cargo", "--version"])
        .current_dir(root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !nightly.is_ok_and(|status| status.success()) {
        missing.push("a nightly compiler: rustup toolchain install nightly --profile minimal");
    }
    ensure!(
        missing.is_empty(),
        "fuzzing needs what is not here\n  {}",
        missing.join("\n  ")
    );
    Ok(())
}

/// Where new inputs go, so that only chosen ones come into the repository.
fn working_corpus(root: &Path, target: &str) -> PathBuf {
    let built = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    root.join(built).join("fuzz-corpus").join(target)
}

fn fuzz(root: &Path, target: &str, minutes: u32) -> Result<Figures> {
    let working = working_corpus(root, target);
    fs::create_dir_all(&working).with_context(|| format!("cannot make {}", working.display()))?;
    let kept = root.join("fuzz/corpus").join(target);
    let limits = [
        format!("-max_total_time={}", 60 * minutes),
        format!("-max_len={INPUT_BYTES_MAX}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-rss_limit_mb={INPUT_MEBIBYTES_MAX}"),
    ];
    let (working, kept) = (working.display().to_string(), kept.display().to_string());
    let mut arguments = vec!["run", "nightly", "cargo", "fuzz", "run", target];
    arguments.extend([&*working, &*kept, "--", "-print_final_stats=1"]);
    arguments.extend(limits.iter().map(String::as_str));
    let mut command = Command::new(root, "rustup", &arguments);
    println!("\n==> {target}: {command}");
    let mut child = command
        .process()
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{command}`"))?;
    let errors = child.stderr.take().context("the output was not piped")?;
    let mut figures = Figures::default();
    for line in BufReader::new(errors).split(b'\n') {
        let line = line.context("cannot read what the fuzzer prints")?;
        let line = String::from_utf8_lossy(&line);
        figures.read(&line);
        // Thousands of these say nothing new.
        if !line.starts_with('#') || line.contains("pulse") {
            eprintln!("{line}");
        }
    }
    let status = child.wait().context("cannot wait for the fuzzer")?;
    if !status.success() {
        bail!(
            "`{target}` failed ({status}): mend it, and keep the input that is named above as \
             fuzz/regressions/{target}/, where `cargo test -p fuzz-targets` runs it"
        );
    }
    Ok(figures)
}

impl Figures {
    /// Takes in one line of what libFuzzer prints.
    fn read(&mut self, line: &str) {
        let number = |name: &str| {
            let (_, rest) = line.split_once(name)?;
            rest.split_whitespace().next()?.parse().ok()
        };
        if line.starts_with('#') {
            self.coverage = number(" cov:").unwrap_or(self.coverage);
        }
        let executed = number("stat::number_of_executed_units:");
        self.executions = executed.unwrap_or(self.executions);
        self.new_inputs = number("stat::new_units_added:").unwrap_or(self.new_inputs);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>12} executions, {:>6} edges covered, {:>5} new inputs",
            self.executions, self.coverage, self.new_inputs
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_the_fuzzer_prints() {
        let mut figures = Figures::default();
        for line in [
            "INFO: Loaded 1 modules",
            "#2\tINITED cov: 11 ft: 12 corp: 1/1b exec/s: 0 rss: 33Mb",
            "#4096\tNEW    cov: 918 ft: 2699 corp: 191/9Kb lim: 4 exec/s: 14 rss: 40Mb",
            "stat::number_of_executed_units: 5000",
            "stat::new_units_added:          7",
        ] {
            figures.read(line);
        }
        let expected = Figures {
            executions: 5000,
            coverage: 918,
            new_inputs: 7,
        };
        assert_eq!(figures, expected);
    }
}
