//! The command line.

use std::time::Duration;

use clap::Parser;
use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    cases::{self, Case},
    search::{Limits, Outcome},
};

/// Searches through everything that may happen to a slot while replicas come and go.
#[derive(Debug, Parser)]
#[command(
    name = "model",
    after_help = "Examples:\n  \
        model                  what the tests search\n  \
        model --full           that, and what takes longer\n  \
        model --bugs           planted bugs, and the ways to them\n  \
        model --only 3,2,2     searches whose name has this in it\n\n\
        The exit code is 1 if something does not hold that should, or a planted bug was not found."
)]
pub struct Arguments {
    /// Also what takes longer: an hour, and some gigabytes of memory.
    #[arg(long)]
    full: bool,
    /// Planted bugs instead, each of which has to be found.
    #[arg(long, conflicts_with = "full")]
    bugs: bool,
    /// Only those whose name has this in it.
    #[arg(long)]
    only: Option<String>,
    /// States after which a search is given up, equal ones counted each time they are met.
    #[arg(long, default_value_t = 2_000_000_000)]
    states: usize,
    /// Threads of a search. With more than one, the way to a bug is not always the shortest.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// Runs what is asked for; whether all of it is as it should be.
pub fn run(arguments: &Arguments) -> bool {
    let limits = Limits {
        states: arguments.states,
        threads: arguments.threads,
    };
    let mut table = Table::new();
    table.set_header(["search", "states", "depth", "time", "result"]);
    let mut are_good = true;
    for case in chosen(arguments) {
        let name = case.name.clone();
        let bar = progress_line(&name);
        let outcome = case.search(limits, |states, took| {
            bar.set_message(format!("{states} states, {:.0} s", took.as_secs_f64()));
        });
        bar.finish_and_clear();
        are_good &= is_as_expected(arguments, &outcome);
        print(&name, &outcome);
        table.add_row(row(name, &outcome));
    }
    println!("{table}");
    are_good
}

fn chosen(arguments: &Arguments) -> impl Iterator<Item = Case> {
    let mut cases = if arguments.bugs {
        cases::bugs()
    } else {
        cases::small()
    };
    if arguments.full {
        cases.extend(cases::large());
    }
    let only = arguments.only.clone().unwrap_or_default();
    cases
        .into_iter()
        .filter(move |case| case.name.contains(&only))
}

fn is_as_expected(arguments: &Arguments, outcome: &Outcome) -> bool {
    if arguments.bugs {
        outcome.failure.is_some()
    } else {
        outcome.is_good()
    }
}

fn progress_line(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix}: {msg}");
    let bar = ProgressBar::new_spinner().with_prefix(name.to_owned());
    bar.set_style(style.expect("it names what there is"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn print(name: &str, outcome: &Outcome) {
    let [_, states, depth, took, result] = row(name.to_owned(), outcome);
    println!("{name}: {result}; {states} states, depth {depth}, {took}");
    for step in outcome.failure.iter().flat_map(|failure| &failure.steps) {
        println!("    {step}");
    }
}

fn row(name: String, outcome: &Outcome) -> [String; 5] {
    let result = match &outcome.failure {
        Some(failure) => format!(
            "not so: {} ({} steps)",
            failure.property,
            failure.steps.len()
        ),
        None if !outcome.is_complete => "given up".to_owned(),
        None if outcome.impossible.is_empty() => "holds".to_owned(),
        None => format!("never: {}", outcome.impossible.join(", ")),
    };
    let took = format!("{:.1} s", outcome.took.as_secs_f64());
    let states = outcome.states.to_string();
    [name, states, outcome.depth.to_string(), took, result]
}
