//! The subcommands that records come from: a file, or chance.

use std::path::PathBuf;

use clap::Args;

use super::{Target, examples};
use crate::limits::LOAD_RETRY_SECONDS;

/// `kvctl load`.
#[derive(Debug, Args)]
#[command(after_help = examples::LOAD)]
pub struct Load {
    /// Which broker.
    #[command(flatten)]
    pub target: Target,
    /// The file, `-` for standard input. Lines are entries of the notation or JSON objects.
    pub file: PathBuf,
    /// The field that holds the key, where lines are plain objects: the object is the value.
    #[arg(long, value_name = "FIELD")]
    pub key: Option<String>,
    /// Replace keys that exist; otherwise they are left alone.
    #[arg(long)]
    pub overwrite: bool,
    /// Begin again where an earlier load of the file was interrupted.
    #[arg(long)]
    pub restart: bool,
    /// Where lines that were not loaded go [default: FILE.rejects; stdin.rejects for a pipe].
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// How long a record is tried again while the cluster does not take it, before the load stops.
    #[arg(long, value_name = "SECONDS", default_value_t = LOAD_RETRY_SECONDS)]
    pub retry_for: u64,
    /// No progress bar.
    #[arg(long)]
    pub quiet: bool,
}

/// `kvctl generate`.
#[derive(Debug, Args)]
#[command(after_help = examples::GENERATE)]
pub struct Generate {
    /// File with the names that maps are made of: `name type` a line, where a type is string, int
    /// or float.
    #[arg(short = 'k', long, value_name = "KEY_FILE")]
    pub key_file: PathBuf,
    /// Records to write.
    #[arg(short = 'n', long, value_name = "LINES")]
    pub lines: u64,
    /// Levels of maps below a record's own.
    #[arg(short = 'd', long, value_name = "DEPTH")]
    pub depth: usize,
    /// Most keys of a map; 0 makes every value `{}`.
    #[arg(short = 'm', long, value_name = "MAX_KEYS")]
    pub max_keys: usize,
    /// Longest string, in characters.
    #[arg(short = 'l', long, value_name = "MAX_LEN")]
    pub max_length: usize,
    /// Chooses the records [default: random, and printed].
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// The papers' notation, `"key" : { ... }` (the default).
    #[arg(long, conflicts_with = "ndjson")]
    pub notation: bool,
    /// JSON, `{"key": ..., "value": ...}`.
    #[arg(long)]
    pub ndjson: bool,
}
