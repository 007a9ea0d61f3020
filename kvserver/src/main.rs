//! The trie server's process.

use clap::Parser;

fn main() -> anyhow::Result<()> {
    kvserver::cli::main(kvserver::cli::Args::parse())
}
