//! The trie server's process.

use clap::Parser;

/// Fewer resident bytes an item than the system's allocator: decision 0010.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    kvserver::cli::main(kvserver::cli::Args::parse())
}
