//! Faults on real processes: a local cluster under load is killed, frozen, filled up and damaged,
//! and what its clients saw is checked by a program that shares no code with it.
//!
//! Runs `kvctl` and `history-checker`, which lie beside it, as anybody would. docs/faults.md says
//! what is thrown at the cluster and what must hold.

mod cluster;
mod disk;
mod fault;
mod final_state;
mod line;
mod load;
mod nemesis;
mod process;
mod room;
mod stop;
mod writable;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::{
    cluster::{Cluster, SERVERS},
    fault::Numbers,
    load::Loads,
    nemesis::Nemesis,
    stop::Stop,
};

/// Servers with a small disk of their own, the first ones.
const SMALL_DISKS: usize = 2;

/// How long the load goes on before the first fault.
const CALM_BEFORE: Duration = Duration::from_secs(3);

/// How long an operation may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// How much longer it may take here: a frozen broker adds up to three seconds, a machine that does
/// other things the rest.
const SLACK: Duration = Duration::from_secs(7);

/// How long the load goes on after the last fault: so long that all keys are written again by
/// operations that began when no write of the faults could be under way any more. Of those none
/// excuses then what is read at the end.
const CALM_AFTER: Duration = DEADLINE.saturating_add(SLACK).saturating_add(CALM_BEFORE);

/// Throws faults at a local cluster under load and checks what its clients saw. Exit code 0: every
/// promise was kept; 1: not; 2: it could not be run.
#[derive(Debug, Parser)]
#[command(name = "torture", version)]
struct Arguments {
    /// How long faults are thrown.
    #[arg(long, value_name = "M", default_value_t = 1.0)]
    minutes: f64,
    /// Draws the faults; random unless given, and always printed.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Leave out full disks, which need root for their mounts.
    #[arg(long)]
    without_root: bool,
    /// Where the run's directory is made [default: the system's for temporary files].
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Keep the directory also when nothing is wrong.
    #[arg(long)]
    keep: bool,
}

/// What a run has come to.
struct Ended {
    faults: BTreeMap<&'static str, u32>,
    problems: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    if !(arguments.minutes > 0.0 && arguments.minutes <= 24.0 * 60.0) {
        bail!("--minutes is more than 0 and at most 1440");
    }
    let is_root = rustix::process::geteuid().is_root();
    if !is_root && !arguments.without_root {
        bail!("full disks need root for their mounts: run as root, or with --without-root");
    }
    let seed = arguments.seed.unwrap_or_else(|| rand::rng().random());
    println!("seed {seed}: --seed {seed} draws the same faults again");
    let stop = Stop::on_signals()?;
    let mut builder = tempfile::Builder::new();
    builder.prefix("kvasir-faults-");
    let mut home = match &arguments.directory {
        Some(directory) => builder.tempdir_in(directory)?,
        None => builder.tempdir()?,
    };
    home.disable_cleanup(arguments.keep);
    // As processes name it in what they say.
    let path = home.path().canonicalize()?;
    let ended = torture(arguments, seed, &path, &stop);
    let is_good = match &ended {
        Ok(ended) => {
            for (kind, count) in &ended.faults {
                println!("{kind:<16} {count}");
            }
            for problem in &ended.problems {
                println!("PROBLEM: {problem}");
            }
            ended.problems.is_empty()
        }
        Err(error) => format!("{error:#}") == "interrupted",
    };
    if !is_good {
        home.disable_cleanup(true);
        println!(
            "\nkept: {0}\n  {0}/history-*.ndjson, final.ndjson   what clients saw\n  \
             {0}/data/logs/*.log                  what processes said\n  \
             {0}/saved-server-*                   what was on the small disks\n\
             the same faults again: cargo xtask faults --seed {seed} --minutes {1}",
            path.display(),
            arguments.minutes
        );
    }
    ended?;
    println!("{}", if is_good { "passed" } else { "FAILED" });
    Ok(is_good)
}

fn torture(arguments: &Arguments, seed: u64, home: &Path, stop: &Stop) -> Result<Ended> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let disks = if arguments.without_root {
        println!("without root: no disk will be full");
        0
    } else {
        SMALL_DISKS
    };
    let numbers = Numbers {
        servers: SERVERS,
        brokers: random.random_range(2..=3),
        disks,
        // Not one with a small disk, so that faults are spread.
        victim: random.random_range(SMALL_DISKS..SERVERS),
    };
    let kvctl = beside("kvctl")?;
    let mut cluster = Cluster::start(&kvctl, home, numbers.brokers, disks, stop)?;
    println!(
        "{SERVERS} servers, {} brokers up; server-{} is the one that may lose its disk",
        numbers.brokers,
        numbers.victim + 1
    );
    let ended = storm(arguments, seed, home, stop, &mut cluster, random, numbers);
    if !matches!(&ended, Ok(ended) if ended.problems.is_empty()) {
        // What is on the small disks goes with them.
        for (disk, number) in cluster.disks.iter().zip(1..) {
            disk.save(&home.join(format!("saved-server-{number}")))?;
        }
    }
    ended
}

/// Load, faults, healing, and the check.
fn storm(
    arguments: &Arguments,
    seed: u64,
    home: &Path,
    stop: &Stop,
    cluster: &mut Cluster,
    random: ChaCha8Rng,
    numbers: Numbers,
) -> Result<Ended> {
    let time = Duration::from_secs_f64(arguments.minutes * 60.0);
    let mut loads = Loads::start(cluster, home, time + CALM_BEFORE + CALM_AFTER, seed)?;
    stop.pass(CALM_BEFORE)?;
    let mut nemesis = Nemesis::new(cluster, random, numbers);
    nemesis.rage(time, CALM_AFTER, stop)?;
    let wiped = nemesis.is_wiped.then_some(numbers.victim);
    let (faults, mut problems) = (nemesis.counts, nemesis.problems);
    problems.extend(loads.finish(stop)?);
    println!("the load has ended; waiting until every slot has its copies");
    let final_file = home.join("final.ndjson");
    match final_state::wait_healed(cluster, wiped, stop) {
        Ok(()) => println!("healed"),
        Err(error) => problems.push(format!("{error:#}")),
    }
    let mut check = vec![];
    match final_state::read_all(cluster, &final_file, stop) {
        Ok(values) => {
            println!("{values} values read at the end, over all brokers");
            check.extend([PathBuf::from("--final"), final_file]);
        }
        Err(error) => problems.push(format!("the final state cannot be read: {error:#}")),
    }
    problems.extend(writable::check(cluster, stop)?);
    let killed = cluster.end()?;
    problems.extend(
        killed
            .iter()
            .map(|name| format!("{name} does not end on SIGTERM")),
    );
    problems.extend(cluster.panics());
    check.extend(loads.histories.iter().cloned());
    if let Err(error) = run_checker(&check) {
        problems.push(format!("{error:#}"));
    }
    Ok(Ended { faults, problems })
}

/// Runs the checker, which prints its own report.
fn run_checker(files: &[PathBuf]) -> Result<()> {
    let mut command = Command::new(beside("history-checker")?);
    command.args(["--deadline", &DEADLINE.as_millis().to_string()]);
    command.args(["--slack", &SLACK.as_millis().to_string()]);
    command.args(["--min-reads", "1000", "--min-writes", "1000"]);
    command.args(["--min-unknown", "1"]);
    let status = command.args(files).status().context("cannot start it")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(1) => bail!("promises were broken: see above"),
        _ => bail!("the checker could not check ({status})"),
    }
}

/// A program that lies beside this one.
fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let path = own.with_file_name(name);
    if !path.is_file() {
        bail!(
            "{} is not there: `cargo xtask faults` builds it",
            path.display()
        );
    }
    Ok(path)
}
