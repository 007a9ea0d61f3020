//! The command line of a trie server, its environment, and its configuration file.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use bytesize::ByteSize;
use clap::{Parser, ValueEnum};
use kvcore::status::{StorageMode, SyncMode};
use kvnet::{logs::LogFormat, peer::dial::TcpDial, secret_file, shutdown};
use serde::Deserialize;

use crate::{
    process::{self, ServerOptions},
    store::StoreOptions,
};

/// Ports that are used when none is given.
const PEER_PORT: u16 = 7400;
const ADMIN_PORT: u16 = 7401;

/// Names the secret's file for servers and brokers alike; `KVSERVER_SECRET_FILE` wins over it.
const SECRET_FILE_SHARED: &str = "KVASIR_SECRET_FILE";

/// A trie server: one member of a Kvasir cluster.
///
/// It keeps its share of the keys in tries over a log, answers brokers on its peer port, and
/// catches up with the other members by itself. Run by hand it listens on loopback alone.
#[derive(Debug, Parser)]
#[command(
    name = "kvserver",
    version,
    after_help = "\
Examples:
  kvserver -a 127.0.0.1 -p 7400 --data-dir ./s1 --secret-file ./secret
  kvserver -p 7410 --admin 127.0.0.1:7411 --data-dir ./s2 --secret-file ./secret --mode disk
  curl http://127.0.0.1:7401/status

Every option can stand in the environment as KVSERVER_<OPTION>, or in the file given by --config
(YAML, the options' long names with underscores). The command line wins over the environment, and
that over the file."
)]
pub struct Args {
    /// Address to listen on for peers.
    #[arg(short, long, env = "KVSERVER_ADDRESS", value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// Port to listen on for peers [default: 7400].
    #[arg(short, long, env = "KVSERVER_PORT", value_name = "PORT")]
    port: Option<u16>,
    /// Where the admin HTTP listens [default: the peer address, port 7401].
    #[arg(long, env = "KVSERVER_ADMIN", value_name = "ADDRESS:PORT")]
    admin: Option<String>,
    /// Directory for the data; made if it is not there [default: ./kvserver-data].
    #[arg(long, env = "KVSERVER_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where values live [default: memory].
    #[arg(long, env = "KVSERVER_MODE")]
    mode: Option<Mode>,
    /// When a write is acknowledged [default: always].
    #[arg(long, env = "KVSERVER_SYNC")]
    sync: Option<Sync>,
    /// Memory of tries and values beyond which writes are refused, such as 512MiB; reads and
    /// deletes go on [default: none].
    #[arg(long, env = "KVSERVER_MEMORY_LIMIT", value_name = "SIZE")]
    memory_limit: Option<ByteSize>,
    /// File with the cluster's secret, readable by its owner alone (mode 0600). Also taken from
    /// `KVASIR_SECRET_FILE`, which brokers read too.
    #[arg(long, env = "KVSERVER_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// File with options (YAML).
    #[arg(long, env = "KVSERVER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines look: text or json.
    #[arg(long, env = "KVSERVER_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// Where values live.
#[derive(Debug, Clone, Copy, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// In memory, and in the log for durability.
    Memory,
    /// In the log; memory holds keys and positions.
    Disk,
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sync {
    /// Once it is on the disk: it survives power loss.
    Always,
    /// Once the system has it; the disk has it a second later.
    Interval,
    /// Once the system has it; the disk has it when the system likes.
    Never,
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    address: Option<IpAddr>,
    port: Option<u16>,
    admin: Option<String>,
    data_dir: Option<PathBuf>,
    mode: Option<Mode>,
    sync: Option<Sync>,
    memory_limit: Option<ByteSize>,
    secret_file: Option<PathBuf>,
}

/// Runs a trie server until SIGTERM or SIGINT.
pub fn main(args: Args) -> Result<()> {
    kvnet::logs::start(args.log_format);
    let options = options(args)?;
    kvnet::descriptors::raise_limit_or_warn();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let ended = runtime.block_on(async {
        let (trigger, shutdown) = shutdown::channel();
        tokio::spawn(async move {
            match shutdown::signal().await {
                Ok(signal) => tracing::info!(signal, "stopping"),
                Err(error) => tracing::error!(%error, "cannot listen for signals"),
            }
            trigger.stop();
        });
        let dial = Arc::new(TcpDial::new(options.secret.clone()));
        process::run(options, dial, shutdown).await
    });
    // A blocking read that hangs on a dead disk must not keep the process.
    runtime.shutdown_background();
    ended
}

/// What the command line, the environment and the file say together.
pub fn options(args: Args) -> Result<ServerOptions> {
    let file = match &args.config {
        None => ConfigFile::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the configuration {}", path.display()))?;
            serde_yaml::from_str(&text).with_context(|| format!("in {}", path.display()))?
        }
    };
    let address = args
        .address
        .or(file.address)
        .unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    let port = args.port.or(file.port).unwrap_or(PEER_PORT);
    let admin = args.admin.or(file.admin);
    let admin = admin.unwrap_or_else(|| std::net::SocketAddr::new(address, ADMIN_PORT).to_string());
    let data_dir = args
        .data_dir
        .or(file.data_dir)
        .unwrap_or_else(|| "kvserver-data".into());
    let shared = || std::env::var_os(SECRET_FILE_SHARED).map(PathBuf::from);
    let secret_file = args.secret_file.or_else(shared).or(file.secret_file).context(
        "no --secret-file or KVASIR_SECRET_FILE: give the cluster's secret, the same file for all its processes \
         (`head -c 32 /dev/urandom | base64 > secret; chmod 600 secret` makes one, `kvctl up` does \
         it for you)",
    )?;
    let memory_limit = args.memory_limit.or(file.memory_limit);
    Ok(ServerOptions {
        data_dir,
        peer: Some(std::net::SocketAddr::new(address, port).to_string()),
        admin: Some(admin),
        secret: secret_file::read(&secret_file)?,
        store: StoreOptions {
            mode: match args.mode.or(file.mode).unwrap_or(Mode::Memory) {
                Mode::Memory => StorageMode::Memory,
                Mode::Disk => StorageMode::Disk,
            },
            sync: match args.sync.or(file.sync).unwrap_or(Sync::Always) {
                Sync::Always => SyncMode::Always,
                Sync::Interval => SyncMode::Interval,
                Sync::Never => SyncMode::Never,
            },
            memory_limit: memory_limit.map(|size| size.as_u64()),
            ..StoreOptions::default()
        },
    })
}

#[cfg(test)]
mod tests;
