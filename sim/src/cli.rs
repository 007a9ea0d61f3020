//! The command line.

use std::{fmt::Write, time::Duration};

use anyhow::{Result, bail};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    hunt::{Hunt, Hunted, run_caught},
    plan::Plan,
    rare::Rare,
    shrink::shrink,
};

/// Runs from this many on are demanded to have seen every rare path.
const RUNS_FOR_ALL_PATHS: u64 = 2_000;

/// Runs brokers and members on a simulated disk, network and clock, and checks that they keep what
/// they promise. One seed, one run, always the same.
#[derive(Debug, Parser)]
#[command(
    name = "sim",
    after_help = "Examples:\n  \
        sim --seeds 2500          what CI runs\n  \
        sim --hours 8             as many seeds as fit, on all cores\n  \
        sim --seed 7              one seed, and the steps that matter if it fails\n  \
        sim --seed 7 --only 3,17  the same with these steps alone\n\n\
        The exit code is 1 if a promise was broken."
)]
pub struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Runs one seed alone, and twice: it must go the same way again.
    #[arg(long)]
    seed: Option<u64>,
    /// With `--seed`: only these steps of its plan.
    #[arg(long, value_delimiter = ',', requires = "seed")]
    only: Vec<usize>,
    /// With `--seed`: prints the plan.
    #[arg(long, requires = "seed")]
    print: bool,
    /// With `--seed`: prints every event as it happens.
    #[arg(long, requires = "seed")]
    loud: bool,
    /// Runs seeds for so many hours, fractions allowed, instead of a number of them.
    #[arg(long)]
    hours: Option<f64>,
    /// Threads; all cores unless said otherwise.
    #[arg(long)]
    threads: Option<usize>,
    /// Failing seeds after which it ends.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// Plants a bug, and demands that it is found within the seeds; `all` does so with each. How
    /// many seeds find it, `--failures 100000` counts.
    #[cfg(feature = "planted")]
    #[arg(long)]
    bug: Option<String>,
    /// Leaves failing seeds as long as they are.
    #[arg(long)]
    no_shrink: bool,
}

/// Runs what was asked for; true when no promise was broken.
pub fn run(arguments: &Arguments) -> Result<bool> {
    match arguments.seed {
        Some(seed) => one(arguments, seed),
        None => many(arguments),
    }
}

fn one(arguments: &Arguments, seed: u64) -> Result<bool> {
    let mut plan = Plan::draw(seed);
    if !arguments.only.is_empty() {
        plan = plan.only(&arguments.only);
    }
    if arguments.print {
        print_plan(&plan);
    }
    plan.loud = arguments.loud;
    let ran = run_caught(&plan);
    plan.loud = false;
    let again = run_caught(&plan);
    if ran.trace != again.trace || ran.violation != again.violation {
        bail!("seed {seed} went another way the second time: the simulation is not deterministic");
    }
    println!(
        "seed {seed}: {} events, {} operations, trace {:016x}",
        ran.events, ran.operations, ran.trace
    );
    let Some(violation) = ran.violation else {
        println!("every promise was kept");
        return Ok(true);
    };
    println!("BROKEN: {violation}");
    if !arguments.no_shrink && arguments.only.is_empty() {
        print_shrunk(&plan, seed);
    }
    Ok(false)
}

fn many(arguments: &Arguments) -> Result<bool> {
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let hunt = Hunt {
        first: arguments.from,
        seeds: arguments.hours.map_or(arguments.seeds, |_| u64::MAX),
        time: arguments
            .hours
            .map(|hours| Duration::from_secs_f64(hours * 3600.0)),
        threads: arguments.threads.unwrap_or(cores),
        failures_max: arguments.failures,
    };
    #[cfg(feature = "planted")]
    if let Some(bug) = &arguments.bug {
        return crate::bugs::hunt_for(bug, hunt);
    }
    let bar = match arguments.hours {
        Some(_) => ProgressBar::new_spinner(),
        None => ProgressBar::new(arguments.seeds),
    };
    bar.set_style(ProgressStyle::with_template(
        "{elapsed_precise} {wide_bar} {pos} seeds, {per_sec}",
    )?);
    let hunted = hunt.run(&bar, &|| {});
    bar.finish_and_clear();
    report(arguments, &hunted)
}

fn report(arguments: &Arguments, hunted: &Hunted) -> Result<bool> {
    println!(
        "{} seeds, {} events, {} operations",
        hunted.runs, hunted.events, hunted.operations
    );
    println!("\nseeds that saw each rare path:");
    for &rare in Rare::ALL {
        println!("{:>8}  {}", hunted.seen.count(rare), rare.text());
    }
    for (seed, violation) in &hunted.failures {
        println!("\nBROKEN by seed {seed}: {violation}");
        println!("to replay it: cargo xtask sim --seed {seed}");
        if !arguments.no_shrink {
            print_shrunk(&Plan::draw(*seed), *seed);
        }
    }
    if !hunted.failures.is_empty() {
        return Ok(false);
    }
    let missing = hunted.seen.missing();
    if hunted.runs >= RUNS_FOR_ALL_PATHS && !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|rare| rare.text()).collect();
        bail!(
            "no promise was broken, yet no seed saw: {}",
            names.join(", ")
        );
    }
    println!("\nevery promise was kept");
    Ok(true)
}

fn print_plan(plan: &Plan) {
    println!("{:?}", plan.shape);
    for (number, act) in plan.acts.iter().enumerate() {
        println!("act {}", number + 1);
        for step in &act.steps {
            println!("  {step}");
        }
    }
}

fn print_shrunk(plan: &Plan, seed: u64) {
    let Some(violation) = run_caught(plan).violation else {
        return;
    };
    let shrunk = shrink(plan, violation);
    println!(
        "shrunk to {} of {} steps in {} runs; still {}",
        shrunk.numbers.len(),
        plan.numbers().len(),
        shrunk.runs,
        shrunk.violation
    );
    print_plan(&plan.only(&shrunk.numbers));
    let mut only = String::new();
    for number in &shrunk.numbers {
        let comma = if only.is_empty() { "" } else { "," };
        let _ = write!(only, "{comma}{number}");
    }
    println!("to replay it: cargo xtask sim --seed {seed} --only {only}");
}
