//! Carrying out a subcommand.

mod up;

use std::{io::Write, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::CommandFactory;

use super::{Bench, Cli, Command, Generate, Load, Target};
use crate::{
    bench::{self, BenchOptions},
    client::Client,
    cluster::{down, layout::Layout, state::ClusterState, up::stop_on_signal},
    data::{self, Form, Found, Reads},
    generate::{self, GenerateOptions},
    load::{self, LoadOptions, LoadSummary},
    status,
};

/// Runs the command line; the exit code is for scripts.
pub fn run(cli: Cli) -> Result<ExitCode> {
    // A load or a bench has many connections, and a cluster in one process all of its files.
    kvnet::descriptors::raise_limit_or_warn();
    match cli.command {
        Command::Server(args) => kvserver::cli::main(args).map(|()| ExitCode::SUCCESS),
        Command::Broker(args) => {
            kvnet::logs::start(args.log_format());
            runtime()?.block_on(args.run())
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "kvctl", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { directory } => {
            std::fs::create_dir_all(&directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
            clap_mangen::generate_to(Cli::command(), &directory)
                .with_context(|| format!("cannot write to {}", directory.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Up(up) => runtime()?.block_on(up::run(up)),
        Command::Down(directory) => {
            down::down(&Layout::new(directory.data_dir), &say).map(|()| ExitCode::SUCCESS)
        }
        Command::Status { directory, json } => {
            let status = status::gather(&Layout::new(directory.data_dir))?;
            let text = if json {
                status::to_json(&status)?
            } else {
                status::to_text(&status)
            };
            writeln!(std::io::stdout(), "{text}")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Kill { directory, number } => {
            let process = down::kill(&Layout::new(directory.data_dir), number)?;
            say(&format!(
                "server {number} (process {}) is dead",
                process.pid
            ));
            Ok(ExitCode::SUCCESS)
        }
        Command::Start { directory, number } => {
            let process = down::start(&Layout::new(directory.data_dir), number)?;
            say(&format!(
                "server {number} (process {}) has caught up and serves",
                process.pid
            ));
            Ok(ExitCode::SUCCESS)
        }
        Command::Generate(generate) => run_generate(&generate),
        Command::Bench(bench) => runtime()?.block_on(run_bench(bench)),
        command => runtime()?.block_on(run_data(command)),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.context("cannot start the async runtime")
}

fn say(text: &str) {
    eprintln!("{text}");
}

/// The commands that speak to a broker.
async fn run_data(command: Command) -> Result<ExitCode> {
    let reads = |available| {
        if available {
            Reads::Available
        } else {
            Reads::Default
        }
    };
    let form = |raw| if raw { Form::Raw } else { Form::Json };
    let found = match command {
        Command::Load(load) => return run_load(load).await,
        Command::Get {
            target,
            key,
            available,
            raw,
        } => data::get(&connect(&target).await?, &key, reads(available), form(raw)).await?,
        Command::Put {
            target,
            key,
            value,
            raw,
        } => data::put(&connect(&target).await?, &key, &value, form(raw)).await?,
        Command::Delete { target, key } => data::delete(&connect(&target).await?, &key).await?,
        Command::Query {
            target,
            path,
            available,
        } => data::query(&connect(&target).await?, &path, reads(available)).await?,
        Command::Scan {
            target,
            prefix,
            limit,
            after,
            available,
        } => {
            let client = connect(&target).await?;
            data::scan(&client, &prefix, limit, after.as_deref(), reads(available)).await?
        }
        other => anyhow::bail!("{other:?} is carried out elsewhere"),
    };
    Ok(code(found))
}

fn code(found: Found) -> ExitCode {
    ExitCode::from(found.code())
}

fn broker_address(target: &Target) -> Result<String> {
    if let Some(address) = &target.broker {
        return Ok(address.clone());
    }
    let state = ClusterState::require(&Layout::new(&target.data_dir))?;
    let first = state.brokers.first().context("the cluster has no broker")?;
    Ok(first.line.clone())
}

async fn connect(target: &Target) -> Result<Client> {
    let address = broker_address(target)?;
    Client::connect(&address).await.with_context(|| {
        format!(
            "is the cluster up? `kvctl up --data-dir {}`",
            target.data_dir.display()
        )
    })
}

async fn run_load(load: Load) -> Result<ExitCode> {
    let broker = broker_address(&load.target)?;
    let options = LoadOptions {
        file: (load.file != Path::new("-")).then_some(load.file),
        key_field: load.key,
        overwrite: load.overwrite,
        restart: load.restart,
        rejects: load.rejects,
        retry_for: Duration::from_secs(load.retry_for),
        quiet: load.quiet,
    };
    Ok(load_code(load::load(&broker, options).await?))
}

fn load_code(summary: LoadSummary) -> ExitCode {
    if summary.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_generate(args: &Generate) -> Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(rand::random);
    if args.seed.is_none() {
        say(&format!("seed {seed}: --seed {seed} writes the same again"));
    }
    let options = GenerateOptions {
        fields: generate::read_key_file(&args.key_file)?,
        lines: args.lines,
        depth: args.depth,
        max_keys: args.max_keys,
        max_length: args.max_length,
        seed,
        form: if args.ndjson {
            generate::Form::Ndjson
        } else {
            generate::Form::Notation
        },
    };
    generate::generate(
        &options,
        &mut std::io::BufWriter::new(std::io::stdout().lock()),
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn run_bench(args: Bench) -> Result<ExitCode> {
    let brokers = if args.broker.is_empty() {
        let state = ClusterState::require(&Layout::new(&args.directory.data_dir))?;
        let brokers = state.brokers.into_iter().map(|broker| broker.line);
        brokers.collect()
    } else {
        args.broker
    };
    if brokers.is_empty() {
        anyhow::bail!("the cluster has no broker");
    }
    let duration = std::time::Duration::try_from_secs_f64(args.seconds)
        .context("--seconds is a number of seconds")?;
    let options = BenchOptions {
        duration,
        rate: args.rate,
        concurrency: args.concurrency,
        pause: Duration::from_millis(args.pause),
        connections: args.connections,
        mix: args.mix,
        keys: args.distribution,
        key_count: args.keys,
        value_bytes: args.value_bytes,
        seed: args.seed,
        fill: !args.no_fill,
        history: args.history,
    };
    // Ctrl-C ends the run early, with its report, and leaves the history whole.
    let shutdown = stop_on_signal(say);
    let report = bench::bench(&brokers, &options, &shutdown).await?;
    let text = if args.json {
        serde_json::to_string(&report)?
    } else {
        report.to_text()
    };
    writeln!(std::io::stdout(), "{text}")?;
    // What was measured until then is shown all the same.
    match report.given_up {
        Some(why) => Err(anyhow::anyhow!(why)),
        None => Ok(ExitCode::SUCCESS),
    }
}
