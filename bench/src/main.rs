//! Kvasir beside its peers, in one run on one machine: `cargo xtask bench`.
//!
//! Every bench starts both sides, measures them in turns (A B A B), and says of each figure its
//! median and its spread. A reach that is missed is printed as such.

mod allocator;
mod bulk;
mod cleanup;
mod compaction;
mod document;
mod figures;
mod footprint;
mod kubernetes;
mod kvasir;
mod load;
mod log;
mod machine;
mod quorum;
mod records;
mod restart;
mod scale;
mod settings;
mod trie;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::{
    document::Section,
    settings::{Arguments, Settings},
};

/// The benches, in the order of `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// Puts and gets through one broker, beside etcd.
    Quorum,
    /// The trie beside blart, rart, qp-trie, `BTreeMap`, hashbrown: time.
    Trie,
    /// The same: bytes a key.
    TrieMemory,
    /// Memory an item, beside memcached and Redis.
    Footprint,
    /// Group commit, beside write and fdatasync.
    Log,
    /// Opening a store, beside inserting its keys.
    Restart,
    /// Overwrites with compaction, beside the same without.
    Compaction,
    /// `kvctl load`, beside dd.
    Load,
    /// Throughput and memory by servers and keys.
    Scale,
    /// On Kubernetes: from apply to Ready.
    KubernetesReady,
    /// On Kubernetes: what the operator takes at rest, with one cluster and with 200.
    Operator,
    /// On Kubernetes: the same with as many real clusters as fit.
    OperatorMany,
    /// On Kubernetes: the way by a Service, beside one to the pod.
    ServicePath,
    /// On Kubernetes: failed writes and gaps when a pod or a node dies.
    Disruption,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let names = arguments.benches()?;
    let settings = Settings::new(arguments)?;
    cleanup::on_signals()?;
    for bench in names {
        let name = settings::name(bench);
        eprintln!("== {name}");
        let machine = machine::describe(&settings)?;
        let mut section = match bench {
            Bench::Quorum => quorum::run(&settings)?,
            Bench::Trie => trie::run(&settings)?,
            Bench::TrieMemory => trie::run_memory(&settings)?,
            Bench::Footprint => footprint::run(&settings)?,
            Bench::Log => log::run(&settings)?,
            Bench::Restart => restart::run(&settings)?,
            Bench::Compaction => compaction::run(&settings)?,
            Bench::Load => bulk::run(&settings)?,
            Bench::Scale => scale::run(&settings)?,
            Bench::KubernetesReady => kubernetes::ready(&settings)?,
            Bench::Operator => kubernetes::operator(&settings)?,
            Bench::OperatorMany => kubernetes::operator_many(&settings)?,
            Bench::ServicePath => kubernetes::service_path(&settings)?,
            Bench::Disruption => kubernetes::disruption(&settings)?,
        };
        section.begin_with(&machine, &settings.command(bench));
        println!("{}", section.text(&name));
        if settings.write {
            document::write(&settings, &name, &section)?;
        }
    }
    Ok(())
}

/// What a bench gives: its part of the page.
type Measured = Result<Section>;
