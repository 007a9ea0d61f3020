//! Checks histories of operations against what the store promises, knowing nothing of its code.
//!
//! # What is promised, and so checked
//!
//! The store is no linearizable register: two writes at the same moment are ordered by version, and
//! a put that finds a newer record is tried again above it, so that it may take effect more than
//! once before it ends; one with an unknown outcome may show at any later time, as long as nothing
//! is known that is newer. What holds all the same, as long as fewer members of a slot than a write
//! quorum have lost their disks:
//!
//! - **origin**: a read returns a value that a put of that key wrote, unaltered, and that had begun
//!   before the read ended; never one whose put ended as not done.
//! - **certainly old**: let put `x` be done before write `y` begins. Every version of `x` then lies
//!   below every version of `y` that can be read: their write quorums meet in a member that has `x`
//!   and would refuse a lower version. So once `y` is done, no later read returns `x`. A put `x`
//!   with an unknown outcome may be on few members and meet nobody. But it chose its last version
//!   within the longest time that an operation may take, and one clock tells all brokers of this
//!   machine the time: if `y` begins after that, `y` has the higher version all the same.
//! - **backwards**: a read returns what is on a write quorum, or puts it there first. So once *any*
//!   read has returned `y`, done or unknown, no later read returns an `x` that had chosen its last
//!   version before `y` began. A read of nothing stands for a delete: for the one, of all that can
//!   explain it, that began first.
//! - **absent**: nothing is read only where nothing was ever certainly there, or where a delete
//!   explains it: one that began before the read ended, did not end as not done, and is not itself
//!   certainly old.
//! - **deadline**: every operation ends within its deadline and some slack, whatever happens.
//! - **counts**: there is enough of everything that the verdict means something.
//!
//! "Begins" and "ends" are what clients saw. The longest time is the operation's deadline and the
//! slack: a frozen broker goes on late, and may choose a version late. A delete that found nothing
//! is a read. All histories have one clock, begin with no key present, and contain every write; and
//! the clock that brokers read is not set back meanwhile by more than the slack. The final state,
//! read when all faults had ended, counts as reads after everything else, in the order of its lines.
//!
//! # What is not checked
//!
//! The order of operations at the same moment, and what an unknown outcome became, beyond the
//! above: the report says for how many keys that was open at the end. Full linearizability would
//! need both, and is not promised.

mod check;
mod history;
mod report;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Parser;

use check::Limits;

/// Checks histories that `kvctl bench --history` wrote. Exit code 0: nothing is wrong; 1: promises
/// were broken; 2: the files cannot be read.
#[derive(Debug, Parser)]
#[command(name = "history-checker", version)]
struct Arguments {
    /// The histories.
    #[arg(required = true)]
    histories: Vec<PathBuf>,
    /// What was read when all faults had ended: `{"key": …, "value": … or null}` a line.
    #[arg(long = "final", value_name = "FILE")]
    final_state: Option<PathBuf>,
    /// How long an operation may take, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5_000)]
    deadline: u64,
    /// How much longer it may take for reasons of the machine, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5_000)]
    slack: u64,
    /// Fewer reads that are done than this make the verdict worth nothing.
    #[arg(long, value_name = "N", default_value_t = 100)]
    min_reads: usize,
    /// The same for writes that are done.
    #[arg(long, value_name = "N", default_value_t = 100)]
    min_writes: usize,
    /// The same for unknown outcomes.
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_unknown: usize,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
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
    let mut history = history::History::default();
    for path in &arguments.histories {
        history.read(path)?;
    }
    if let Some(path) = &arguments.final_state {
        history.read_final(path)?;
    }
    let limits = Limits {
        longest_ns: (arguments.deadline + arguments.slack) * 1_000_000,
        min_reads: arguments.min_reads,
        min_writes: arguments.min_writes,
        min_unknown: arguments.min_unknown,
    };
    let verdict = check::check(&history, &limits);
    let report = report::Report::new(&history, verdict);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(report.violations.is_empty())
}
