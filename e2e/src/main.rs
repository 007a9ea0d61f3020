//! Scenarios against a real Kubernetes. `cargo xtask e2e` builds what they need and runs them.
//!
//! Everything goes the way a user's would: `helm`, `kubectl`, and the line protocol. One file a
//! scenario, each in a namespace of its own, which is shown when something fails.

mod client;
mod document;
mod figures;
mod kubectl;
mod kvcluster;
mod load;
mod namespace;
mod operator;
mod port_forward;
mod rights;
mod runner;
mod scenarios;
mod wait;
mod world;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};

/// Runs scenarios against a real Kubernetes.
#[derive(Debug, Parser)]
#[command(
    name = "e2e",
    after_help = "Examples:\n  \
        cargo xtask e2e                    a smoke test, on a cluster that it starts\n  \
        cargo xtask e2e --all              every scenario\n  \
        cargo xtask e2e pod_killed         those whose names have this in them\n  \
        KUBECONFIG=… cargo xtask e2e --provider existing"
)]
struct Arguments {
    /// Parts of names of scenarios to run; without any, the smoke test
    names: Vec<String>,
    /// Run every scenario
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Print the scenarios and end
    #[arg(long)]
    list: bool,
    /// Where Kubernetes comes from
    #[arg(long, value_enum, default_value_t = Provider::Local)]
    provider: Provider,
    /// Directory with kvasir.tar and kvasir-operator.tar, to load into the nodes of the local provider
    #[arg(long)]
    images: Option<PathBuf>,
    /// Tag of the images
    #[arg(long, default_value = "0.1.0-dev")]
    tag: String,
    /// Leave namespaces of scenarios that failed as they are
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    figures: figures::Asked,
}

/// Where Kubernetes comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Provider {
    /// Started on this machine, as root.
    Local,
    /// The one that KUBECONFIG names. Scenarios that break nodes are left out.
    Existing,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.figures.figure {
        Some(figure) => figures::run(&arguments, figure),
        None => runner::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
