//! `kvctl up`: a cluster, and what people see of it.

use std::{io::Write, process::ExitCode, time::Duration};

use anyhow::{Context, Result};

use super::{load_code, say};
use crate::{
    cli::{Mode, Sync, Up},
    cluster::{
        layout::{DATA_DIR_DEFAULT, Layout},
        up::{self, UpCluster, UpOptions},
    },
    limits::LOAD_RETRY_SECONDS,
    load::{self, LoadOptions},
    status,
};

pub(super) async fn run(args: Up) -> Result<ExitCode> {
    kvnet::logs::start_quiet();
    let options = UpOptions {
        data_dir: args.directory.data_dir.clone(),
        servers: args.servers,
        copies: args.copies,
        brokers: args.brokers,
        port_base: args.port_base,
        mode: (args.mode.map(|mode| match mode {
            Mode::Memory => "memory".to_owned(),
            Mode::Disk => "disk".to_owned(),
        })),
        sync: (args.sync.map(|sync| match sync {
            Sync::Always => "always".to_owned(),
            Sync::Interval => "interval".to_owned(),
            Sync::Never => "never".to_owned(),
        })),
        in_process: args.in_process,
        new_cluster: args.new_cluster,
    };
    // Before anything runs: Ctrl-C must not leave half a cluster behind.
    let shutdown = up::stop_on_signal(say);
    if let Some(file) = &args.load {
        std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let cluster = up::up(&options, &shutdown, &say).await?;
    let layout = Layout::new(std::fs::canonicalize(&options.data_dir)?);
    let loaded = tokio::select! {
        loaded = load_first(&cluster, &args) => loaded,
        () = shutdown.stopped() => Err(anyhow::anyhow!("stopped while it was loading")),
    };
    let code = match loaded {
        Ok(code) => code,
        Err(error) => {
            up::stop(&layout, cluster, &say).await?;
            return Err(error);
        }
    };
    let mut out = std::io::stdout();
    writeln!(out, "{}", welcome(&layout, &cluster)?)?;
    if args.detach {
        return Ok(code);
    }
    writeln!(out, "Ctrl-C stops the cluster; its data stays.")?;
    up::hold(&layout, cluster, &shutdown, &say).await?;
    Ok(code)
}

/// `--load`, once the cluster is ready.
async fn load_first(cluster: &UpCluster, args: &Up) -> Result<ExitCode> {
    let Some(file) = &args.load else {
        return Ok(ExitCode::SUCCESS);
    };
    let broker = cluster.state.brokers.first();
    let broker = broker.context("there is a broker")?.line.clone();
    let options = LoadOptions {
        file: Some(file.clone()),
        key_field: args.key.clone(),
        overwrite: args.overwrite,
        restart: false,
        rejects: None,
        retry_for: Duration::from_secs(LOAD_RETRY_SECONDS),
        quiet: false,
    };
    Ok(load_code(load::load(&broker, options).await?))
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
        .map(|here| here.join(DATA_DIR_DEFAULT));
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
