//! Kvasir's automation: `cargo xtask --help` says what there is.

mod bench;
mod ci;
mod cluster;
mod command;
mod e2e;
mod faults;
mod fuzz;
mod generate;
mod image;
mod sanitize;
mod setup;
mod sim;
mod tests_run;
mod tidy;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Automation of the Kvasir workspace: everything that CI runs, runnable by hand.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "A first visit: `cargo xtask test`. Before a change is offered: `cargo xtask ci`."
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Runs all tests of the workspace, documentation examples included, sums them up, and runs the
    /// smoke test on a real Kubernetes.
    ///
    /// Looks first for what the tests need, and says which Debian package brings what is missing.
    Test {
        /// Leave out what needs root. Without this flag, a test that needs root and cannot have
        /// it is an error, so that nothing is skipped unnoticed.
        #[arg(long)]
        without_root: bool,
    },
    /// Checks the rules that no compiler knows: file heads, sizes, names, crate arrows, links.
    ///
    /// Every finding says where, what is wrong and what to do. Exceptions are recorded, each with
    /// its reason, in `xtask/src/tidy/tables.rs`.
    Tidy,
    /// Runs the tests of the trie and the log under the address sanitizer and under valgrind.
    ///
    /// Takes a few minutes and a nightly compiler, so CI does not run it.
    /// `KVASIR_TEST_STEPS_PERCENT` says what share of their steps the tests take.
    Sanitize,
    /// Installs the tools of `cargo xtask ci` that cargo can install, unless they are there.
    Setup,
    /// Runs brokers and members on a simulated disk, network and clock, one seed a run.
    ///
    /// `cargo xtask sim --help` tells what can be asked; docs/simulation.md what it means.
    #[command(disable_help_flag = true)]
    Sim {
        /// Passed on to the simulation, such as `--seeds 2000`, `--seed 7` or `--hours 8`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Fuzzes everything that reads bytes from elsewhere, one target after the other.
    ///
    /// Needs cargo-fuzz and a nightly compiler. New inputs stay in the target directory; one that
    /// fails is named, and stops everything.
    Fuzz {
        /// Minutes a target.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        minutes: u32,
        /// The targets, all if none is named.
        targets: Vec<String>,
    },
    /// Measures Kvasir beside its peers and prints ratios: what `cargo xtask bench --help` names.
    ///
    /// Not in CI, which compiles none of the peers. docs/benchmarks.md has the figures.
    #[command(disable_help_flag = true)]
    Bench {
        /// Passed on to the benches, such as `quorum --quick` or `all --repeats 7 --write`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Makes the container images without a container engine, and lists what is in them.
    ///
    /// Needs umoci, and Debian for the libraries. docs/images.md has the rest, and how Docker makes
    /// the same.
    Image(image::Arguments),
    /// Runs scenarios against a real Kubernetes, with images of this tree.
    ///
    /// Without names a smoke test, on a cluster that it starts. `cargo xtask e2e --help` tells what
    /// can be asked; docs/kubernetes.md what a user sees.
    #[command(disable_help_flag = true)]
    E2e {
        /// Passed on to the scenarios, such as `--all` or `pod_killed`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Writes what is made from the definition of KvCluster and from the chart: `crds/`,
    /// `manifests/operator.yaml`, `docs/reference/kvcluster.md`, the chart's list of values.
    Generate {
        /// Write nothing, and fail where a file is not as it would be written.
        #[arg(long)]
        check: bool,
    },
    /// Throws faults at a local cluster under load, and checks what its clients saw.
    ///
    /// `cargo xtask faults --help` tells what can be asked; docs/faults.md what it means.
    #[command(disable_help_flag = true)]
    Faults {
        /// Passed on to the driver, such as `--minutes 5` or `--seed 7`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// A real Kubernetes with several nodes on this machine, without Docker.
    ///
    /// `cargo xtask cluster --help` tells what can be asked; docs/cluster.md how it is made.
    #[command(disable_help_flag = true)]
    Cluster {
        /// Passed on to the cluster's program, such as `up --nodes 3`, `status` or `down`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs everything that CI runs: format, lints, licences, documentation, tidy, tests, the
    /// simulation, its planted bugs, a minute of faults.
    ///
    /// Stops at the first step that fails and says how to run that step alone.
    Ci {
        /// Leave out what needs root: full disks, of the faults. Passed on to `cargo xtask test` and
        /// `cargo xtask faults`.
        #[arg(long)]
        without_root: bool,
    },
}

fn main() -> ExitCode {
    let root = workspace_root();
    let done = match Arguments::parse().task {
        Task::Test { without_root } => tests_run::run(&root, without_root),
        Task::Tidy => tidy::run(&root),
        Task::Sanitize => sanitize::run(&root),
        Task::Setup => setup::run(&root),
        Task::Sim { arguments } => sim::run(&root, &arguments),
        Task::Fuzz { minutes, targets } => fuzz::run(&root, minutes, &targets),
        Task::Bench { arguments } => bench::run(&root, &arguments),
        Task::Image(arguments) => image::run(&root, &arguments),
        Task::E2e { arguments } => e2e::run(&root, &arguments),
        Task::Generate { check } => generate::run(&root, check),
        Task::Faults { arguments } => faults::run(&root, &arguments),
        Task::Cluster { arguments } => cluster::run(&root, &arguments),
        Task::Ci { without_root } => ci::run(&root, without_root),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace that this program was built from: xtask is never installed elsewhere.
fn workspace_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
        .to_owned()
}
