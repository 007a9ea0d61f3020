//! The broker's command line.

use std::{
    io::IsTerminal,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{ArgAction, Parser};
use kvcore::placement::Quorums;
use kvnet::{
    logs::LogFormat,
    secret_file,
    shutdown::{self, Signals},
};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    load::{self, LoadOptions},
    machine::read::Demand,
    process::{BrokerProcess, Patience, PlacementSource, ProcessOptions},
    prompt,
    shell::{
        BrokerOptions,
        first_placement::{Bootstrap, server_file},
    },
};

/// The line protocol's address unless asked otherwise: this machine only.
const LINE_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7600);

/// The HTTP address unless asked otherwise: this machine only.
const HTTP_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Longest time that a broker serves on after it was told to stop, in seconds: an hour.
const DRAIN_SECONDS_MAX: i64 = 3600;

/// Copies unless asked otherwise, where there are that many servers.
const COPIES_DEFAULT: usize = 3;

const EXAMPLES: &str = "\
Examples:
  A cluster of three servers on this machine, each key on two of them:
      head -c 32 /dev/urandom | base64 > secret && chmod 600 secret
      export KVASIR_SECRET_FILE=secret
      kvserver -p 7001 --admin 127.0.0.1:7101 --data-dir s1 &
      kvserver -p 7002 --admin 127.0.0.1:7102 --data-dir s2 &  ...
      printf '127.0.0.1 7001\\n127.0.0.1 7002\\n127.0.0.1 7003\\n' > servers.txt
      broker -s servers.txt -i data.txt -k 2
      kvasir> GET person1
      kvasir> QUERY person1.address.street

  Commands from a pipe, one answer each:
      echo 'QUERY person1.name' | broker -s servers.txt

  A broker for other programs, on all interfaces, until it is told to stop:
      broker -s servers.txt --serve-only --line 0.0.0.0:7600 --http 0.0.0.0:8080
      printf 'GET person1\\n' | nc -N localhost 7600

HELP at the prompt lists the commands.";

/// Coordinates the copies of a Kvasir cluster's keys: loads data, answers commands at a prompt,
/// from a pipe and over TCP.
#[derive(Debug, Parser)]
// Switches of a command line are booleans, each said on its own.
#[allow(clippy::struct_excessive_bools)]
#[command(name = "broker", version, after_help = EXAMPLES)]
pub struct Cli {
    /// File of trie servers: one `ip port [zone]` a line, `#` begins a comment
    #[arg(short, long, value_name = "SERVER_FILE", env = "KVBROKER_SERVERS")]
    servers: PathBuf,
    /// File of entries to load first, one `"key" : value` a line
    #[arg(short = 'i', long, value_name = "DATA_FILE", env = "KVBROKER_DATA")]
    data: Option<PathBuf>,
    /// Copies of each key, for a cluster that is new [default: 3, or fewer if there are fewer servers]
    #[arg(short = 'k', long, value_name = "K", env = "KVBROKER_COPIES")]
    copies: Option<usize>,
    /// Make the first placement if every listed server is blank [default unless --serve-only]
    #[arg(long, overrides_with = "no_bootstrap")]
    bootstrap: bool,
    /// Never make a placement: wait for the cluster's author
    #[arg(long, overrides_with = "bootstrap", env = "KVBROKER_NO_BOOTSTRAP")]
    no_bootstrap: bool,
    /// Loading overwrites keys that have a value
    #[arg(long)]
    overwrite: bool,
    /// Refuse a delete unless every server that holds the key is up
    #[arg(long, env = "KVBROKER_STRICT_DELETE")]
    strict_delete: bool,
    /// What reads need: a `quorum`, or whatever copies are `available` (answers then say so)
    /// [default: available, quorum with --serve-only]
    #[arg(long, value_name = "quorum|available", value_parser = parse_reads, env = "KVBROKER_READS")]
    reads: Option<Demand>,
    /// File with the cluster's secret, the same for all servers and brokers
    #[arg(long, value_name = "FILE", env = "KVASIR_SECRET_FILE")]
    secret_file: Option<PathBuf>,
    /// Copies that must answer a read, for a cluster that is new [default: a majority]
    #[arg(long, value_name = "R", env = "KVBROKER_READ_QUORUM")]
    read_quorum: Option<u8>,
    /// Copies that must have a write, for a cluster that is new [default: a majority]
    #[arg(long, value_name = "W", env = "KVBROKER_WRITE_QUORUM")]
    write_quorum: Option<u8>,
    /// Where the line protocol listens [default: 127.0.0.1:7600]
    #[arg(long, value_name = "ADDR:PORT", env = "KVBROKER_LINE")]
    line: Option<SocketAddr>,
    /// Where HTTP listens: /healthz /readyz /status /metrics /placement [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", env = "KVBROKER_HTTP")]
    http: Option<SocketAddr>,
    /// How long to serve on after SIGTERM or SIGINT while /readyz says no, so that a load balancer
    /// finds out first; a second signal cuts it short [default: 0]
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(..=DRAIN_SECONDS_MAX),
        env = "KVBROKER_DRAIN"
    )]
    drain: Option<u32>,
    /// No prompt: serve until SIGTERM or SIGINT
    #[arg(long, action = ArgAction::SetTrue, env = "KVBROKER_SERVE_ONLY")]
    serve_only: bool,
    /// How log lines look
    #[arg(
        long,
        value_name = "text|json",
        default_value = "text",
        env = "KVBROKER_LOG_FORMAT"
    )]
    log_format: LogFormat,
}

fn parse_reads(text: &str) -> Result<Demand, String> {
    match text {
        "quorum" => Ok(Demand::Quorum),
        "available" => Ok(Demand::Available),
        other => Err(format!("reads are `quorum` or `available`, not `{other}`")),
    }
}

impl Cli {
    /// How log lines look.
    pub fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// Runs the broker to its end.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(file) = &self.data {
            // Said before a placement is made for it.
            std::fs::File::open(file)
                .with_context(|| format!("cannot read the data file {}", file.display()))?;
        }
        kvnet::descriptors::raise_limit_or_warn();
        // Before anybody can see this process, and send it one.
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let options = self.process_options().await?;
        let (trigger, shutdown) = shutdown::channel();
        let trigger = std::sync::Arc::new(trigger);
        let on_signal = std::sync::Arc::clone(&trigger);
        let drain = Duration::from_secs(self.drain.unwrap_or(0).into());
        tokio::spawn(async move {
            let signal = signals.next().await;
            tracing::info!(signal, drain_seconds = drain.as_secs(), "stopping");
            on_signal.leave();
            // The second of two signals is from somebody who does not want to wait.
            let _ = timeout(drain, signals.next()).await;
            on_signal.stop();
        });
        let Some(process) = BrokerProcess::start(options, shutdown.clone()).await? else {
            return Ok(ExitCode::SUCCESS);
        };
        let mut failed = false;
        if let Some(file) = &self.data {
            let options = LoadOptions {
                overwrite: self.overwrite,
                ..LoadOptions::default()
            };
            let summary = tokio::select! {
                summary = load::load(process.broker(), file, options) => summary?,
                () = shutdown.stopped() => anyhow::bail!("stopped while loading {}", file.display()),
            };
            eprintln!("{}: {summary}", file.display());
            // What is not loaded must not go unnoticed in a script.
            failed |= summary.failed + summary.bad_lines > 0;
        }
        if !self.serve_only {
            let is_terminal = std::io::stdin().is_terminal();
            failed |= prompt::run(process.broker().clone(), is_terminal, shutdown).await?;
            trigger.stop();
        }
        process.finished().await;
        Ok(if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }

    async fn process_options(&self) -> anyhow::Result<ProcessOptions> {
        let secret_file = self.secret_file.as_ref().context(
            "no secret: name a file with --secret-file or KVASIR_SECRET_FILE, the same for all \
             servers and brokers; to make one: head -c 32 /dev/urandom | base64 > secret && \
             chmod 600 secret",
        )?;
        // Its text says the cause already.
        let secret = secret_file::read(secret_file).map_err(|error| anyhow::anyhow!("{error}"))?;
        let servers = server_file::read(&self.servers)?;
        let copies = self.copies.unwrap_or(COPIES_DEFAULT.min(servers.len()));
        let may_make = !self.no_bootstrap && (self.bootstrap || !self.serve_only);
        let (bootstrap, patience) = (
            if may_make {
                Bootstrap::Yes
            } else {
                Bootstrap::No
            },
            if self.serve_only {
                Patience::KeepAsking
            } else {
                Patience::GiveUp
            },
        );
        let reads = if self.serve_only {
            Demand::Quorum
        } else {
            Demand::Available
        };
        Ok(ProcessOptions {
            source: PlacementSource::Servers {
                servers,
                copies,
                quorums: Quorums {
                    read: self.read_quorum,
                    write: self.write_quorum,
                },
                bootstrap,
                patience,
            },
            secret,
            broker: BrokerOptions {
                demand: self.reads.unwrap_or(reads),
                strict_delete: self.strict_delete,
                ..BrokerOptions::default()
            },
            line: self.listen(self.line, LINE_DEFAULT, "--line").await?,
            http: self.listen(self.http, HTTP_DEFAULT, "--http").await?,
        })
    }
    /// By hand several brokers may run on one machine: one that was given no address does
    /// without the default one where another broker has it.
    async fn listen(
        &self,
        chosen: Option<SocketAddr>,
        default: SocketAddr,
        option: &str,
    ) -> anyhow::Result<Option<TcpListener>> {
        let address = chosen.unwrap_or(default);
        match TcpListener::bind(address).await {
            Ok(listener) => Ok(Some(listener)),
            Err(error) if chosen.is_none() && !self.serve_only => {
                tracing::warn!(%address, %error, "not listening: choose an address with {option}");
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| {
                format!("cannot listen on {address}: choose another with {option}")
            }),
        }
    }
}
