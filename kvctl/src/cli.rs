//! The command line: every subcommand and what it does.

mod examples;
mod records;
mod run;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::{
    records::{Generate, Load},
    run::run,
};
use crate::cluster::layout::DATA_DIR_DEFAULT;

/// Kvasir on the command line: start a whole replicated store on this machine, load data into it,
/// and talk to it.
#[derive(Debug, Parser)]
#[command(
    name = "kvctl",
    version,
    after_help = examples::FIRST_WALK
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster is meant.
#[derive(Debug, Clone, Args)]
pub struct Directory {
    /// Directory of the cluster.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR_DEFAULT, env = "KVASIR_DATA_DIR")]
    pub data_dir: PathBuf,
}

/// Which broker is asked.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Directory of the cluster; its first broker is asked.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR_DEFAULT, env = "KVASIR_DATA_DIR")]
    pub data_dir: PathBuf,
    /// Line protocol address of a broker, instead of the directory.
    #[arg(long, value_name = "ADDRESS:PORT", env = "KVASIR_BROKER")]
    pub broker: Option<String>,
}

/// Where values live.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Mode {
    /// In memory, and in the log for durability.
    Memory,
    /// In the log; memory holds keys and positions.
    Disk,
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Sync {
    /// Once it is on the disk: it survives power loss.
    Always,
    /// Once the system has it; the disk has it a second later.
    Interval,
    /// Once the system has it; the disk has it when the system likes.
    Never,
}

/// `kvctl up`.
#[derive(Debug, Args)]
#[command(after_help = examples::UP)]
// Switches of a command line are booleans, each said on its own.
#[allow(clippy::struct_excessive_bools)]
pub struct Up {
    /// Which cluster.
    #[command(flatten)]
    pub directory: Directory,
    /// Trie servers [default: 5, or as many as the directory has].
    #[arg(long, value_name = "N")]
    pub servers: Option<u16>,
    /// Copies of each key [default: 3, or as many as the directory has].
    #[arg(long, value_name = "K")]
    pub copies: Option<usize>,
    /// Brokers [default: 1, or as many as the directory has].
    #[arg(long, value_name = "N")]
    pub brokers: Option<u16>,
    /// First port: servers count up from it, brokers from 200 above (HTTP 680) [default: 7400].
    #[arg(long, value_name = "PORT")]
    pub port_base: Option<u16>,
    /// Where values live [default: memory].
    #[arg(long)]
    pub mode: Option<Mode>,
    /// When a write is acknowledged [default: always].
    #[arg(long)]
    pub sync: Option<Sync>,
    /// Load this file once the cluster is ready; keys that exist are left alone.
    #[arg(long, value_name = "FILE")]
    pub load: Option<PathBuf>,
    /// The field that holds the key, where lines of that file are plain objects.
    #[arg(long, value_name = "FIELD", requires = "load")]
    pub key: Option<String>,
    /// That load replaces keys that exist.
    #[arg(long, requires = "load")]
    pub overwrite: bool,
    /// Begin a new, empty cluster where every server directory of the old one was emptied.
    #[arg(long)]
    pub new_cluster: bool,
    /// All servers and brokers in this one process.
    #[arg(long, conflicts_with = "detach")]
    pub in_process: bool,
    /// Return once everything is ready; `kvctl down` stops it.
    #[arg(long)]
    pub detach: bool,
}

/// `kvctl bench`.
#[derive(Debug, Args)]
#[command(after_help = examples::BENCH)]
pub struct Bench {
    /// Which cluster; all its brokers are asked.
    #[command(flatten)]
    pub directory: Directory,
    /// Line protocol address of a broker, instead of the directory; more than one may be named.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "KVASIR_BROKER",
        value_delimiter = ','
    )]
    pub broker: Vec<String>,
    /// How long, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub seconds: f64,
    /// Operations due each second, whether or not earlier ones were answered; latency counts from
    /// when they were due, so that stalls are not hidden.
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
    /// Without --rate: operations on their way at once.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub concurrency: usize,
    /// Without --rate: milliseconds between the end of an operation and the client's next.
    #[arg(long, value_name = "MS", default_value_t = 0, conflicts_with = "rate")]
    pub pause: u64,
    /// Connections, spread over the brokers; operations are pipelined on each. One that is lost is
    /// made again, to another broker if need be.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub connections: usize,
    /// Shares in percent, GET:PUT or GET:PUT:DELETE.
    #[arg(long, value_name = "MIX", default_value = "50:50")]
    pub mix: crate::bench::Mix,
    /// Which keys: uniform, sequential, zipf or zipf:EXPONENT.
    #[arg(long, value_name = "KEYS", default_value = "uniform")]
    pub distribution: crate::bench::Keys,
    /// How many keys.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub keys: u64,
    /// Bytes of a value.
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub value_bytes: usize,
    /// Chooses keys and operations.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Do not write every key once before.
    #[arg(long)]
    pub no_fill: bool,
    /// Record every operation in this file, one JSON object a line, for a checker. Every put then
    /// writes another value, text that begins with who wrote it.
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// What `kvctl` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a cluster on this machine, or go on with the one in the directory.
    Up(Up),
    /// Stop the cluster; its data stays.
    Down(Directory),
    /// Show the cluster: epoch, members with their slots and keys, slots short of copies.
    Status {
        /// Which cluster.
        #[command(flatten)]
        directory: Directory,
        /// As JSON, with the field names of a `KvCluster`'s status.
        #[arg(long)]
        json: bool,
    },
    /// Kill a server at once (SIGKILL).
    Kill {
        /// Which cluster.
        #[command(flatten)]
        directory: Directory,
        /// The server's number, from 1.
        number: u16,
    },
    /// Start a server again and wait until it has caught up.
    Start {
        /// Which cluster.
        #[command(flatten)]
        directory: Directory,
        /// The server's number, from 1.
        number: u16,
    },
    /// Load a file of records, with progress; goes on where it was interrupted.
    Load(Load),
    /// Print the value of a key as JSON. Exit code 1: not there; 2: could not find out.
    #[command(after_help = examples::GET)]
    Get {
        /// Which broker.
        #[command(flatten)]
        target: Target,
        /// The whole key, as it is.
        key: String,
        /// Answer from whatever copies are live, and say when they were too few to be sure.
        #[arg(long)]
        available: bool,
        /// Print a raw value's own bytes.
        #[arg(long)]
        raw: bool,
    },
    /// Store a value under a key.
    #[command(after_help = examples::PUT)]
    Put {
        /// Which broker.
        #[command(flatten)]
        target: Target,
        /// The whole key, as it is.
        key: String,
        /// The value as JSON; `-` reads it from standard input.
        #[arg(allow_negative_numbers = true)]
        value: String,
        /// The value is raw bytes, not JSON.
        #[arg(long)]
        raw: bool,
    },
    /// Delete a key. Exit code 1: it was not there; 2: not done, or unknown.
    Delete {
        /// Which broker.
        #[command(flatten)]
        target: Target,
        /// The whole key, as it is.
        key: String,
    },
    /// Print a value inside a document by its dot path.
    #[command(after_help = examples::QUERY)]
    Query {
        /// Which broker.
        #[command(flatten)]
        target: Target,
        /// Key and steps with dots between them; a dot inside a name is escaped (`python3\.11`).
        path: String,
        /// Answer from whatever copies are live, and say when they were too few to be sure.
        #[arg(long)]
        available: bool,
    },
    /// Print keys that begin with a prefix, in order, as `{"key": …, "value": …}` lines. Exit code
    /// 1: there is none; 2: could not find out.
    #[command(after_help = examples::SCAN)]
    Scan {
        /// Which broker.
        #[command(flatten)]
        target: Target,
        /// The prefix; empty is all keys.
        #[arg(default_value = "")]
        prefix: String,
        /// At most this many keys.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Begin after this key.
        #[arg(long, value_name = "KEY")]
        after: Option<String>,
        /// Answer from whatever copies are live, and say when they were too few to be sure.
        #[arg(long)]
        available: bool,
    },
    /// Write random records, the same for the same seed.
    Generate(Generate),
    /// Put load on the cluster and print what it took.
    Bench(Bench),
    /// Be a trie server (the program `kvserver`).
    Server(kvserver::cli::Args),
    /// Be a broker (the program `broker`).
    Broker(broker::cli::Cli),
    /// Print a shell's completions.
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory.
    #[command(after_help = examples::MAN)]
    Man {
        /// The directory.
        directory: PathBuf,
    },
}
