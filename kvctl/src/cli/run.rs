//! Carrying out a subcommand.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result};
use clap::CommandFactory;

use super::{Cli, Command, Load, Mode, Sync, Target, Up};
use crate::{
    client::Client,
    cluster::{
        down,
        layout::Layout,
        state::ClusterState,
        up::{self, UpCluster, UpOptions},
    },
    data::{self, Form, Found, Reads},
    load::{self, LoadOptions, LoadSummary},
    status,
};

/// Runs the command line; the exit code is for scripts.
pub fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Server(args) => kvserver::cli::main(args).map(|()| ExitCode::SUCCESS),
        Command::Broker(args) => {
            kvnet::logs::start(args.log_format());
            runtime()?.block_on(args.run())
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "kvctl", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { directory } => {
            std::fs::create_dir_all(&directory)?;
            clap_mangen::generate_to(Cli::command(), &directory)
                .with_context(|| format!("cannot write to {}", directory.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Up(up) => runtime()?.block_on(run_up(up)),
        Command::Down(directory) => {
            down::down(&Layout::new(directory.data_dir), &say).map(|()| ExitCode::SUCCESS)
        }
        Command::Status { directory, json } => {
            let status = status::gather(&Layout::new(directory.data_dir))?;
            println!(
                "{}",
                if json {
                    status::to_json(&status)?
                } else {
                    status::to_text(&status)
                }
            );
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

async fn run_up(args: Up) -> Result<ExitCode> {
    kvnet::logs::start_quiet();
    let name = |value: Option<String>| value;
    let options = UpOptions {
        data_dir: args.directory.data_dir.clone(),
        servers: args.servers,
        copies: args.copies,
        brokers: args.brokers,
        port_base: args.port_base,
        mode: name(args.mode.map(|mode| match mode {
            Mode::Memory => "memory".to_owned(),
            Mode::Disk => "disk".to_owned(),
        })),
        sync: name(args.sync.map(|sync| match sync {
            Sync::Always => "always".to_owned(),
            Sync::Interval => "interval".to_owned(),
            Sync::Never => "never".to_owned(),
        })),
        in_process: args.in_process,
    };
    let cluster = up::up(&options, &say).await?;
    let layout = Layout::new(std::fs::canonicalize(&options.data_dir)?);
    let broker = cluster
        .state
        .brokers
        .first()
        .context("there is a broker")?
        .line
        .clone();
    let mut code = ExitCode::SUCCESS;
    if let Some(file) = args.load {
        let options = LoadOptions {
            file: Some(file),
            key_field: args.key,
            overwrite: args.overwrite,
            restart: false,
            rejects: None,
            quiet: false,
        };
        code = load_code(load::load(&broker, options).await?);
    }
    println!("{}", welcome(&layout, &cluster)?);
    if args.detach {
        return Ok(code);
    }
    println!("Ctrl-C stops the cluster; its data stays.");
    up::hold(&layout, cluster, &say).await?;
    Ok(code)
}

/// The addresses, and lines to try.
fn welcome(layout: &Layout, cluster: &UpCluster) -> Result<String> {
    let layout = layout.clone();
    let state = cluster.state.clone();
    let status = status::to_text(&status::gather(&layout)?);
    let brokers = state.brokers.iter().map(|broker| {
        format!(
            "broker {}: line protocol {}, HTTP http://{}",
            broker.number, broker.line, broker.http
        )
    });
    let brokers = brokers.collect::<Vec<_>>().join("\n");
    let root = layout.root();
    let here = std::env::current_dir()
        .ok()
        .map(|here| here.join(super::DATA_DIR_DEFAULT));
    let directory = if here.is_some_and(|here| here == root) {
        String::new()
    } else {
        format!(" --data-dir {}", root.display())
    };
    Ok(format!(
        "\n{status}\n\n{brokers}\n\nTry:\n  kvctl put{directory} person1 \
         '{{\"name\":\"John\",\"address\":{{\"number\":12}}}}'\n  \
         kvctl query{directory} person1.address.number\n"
    ))
}
