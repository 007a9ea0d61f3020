//! The broker's program; everything is in the library.

use std::process::ExitCode;

use broker::cli::Cli;
use clap::Parser;

/// The allocator of all programs that hold values: decision 0010.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    kvnet::logs::start(cli.log_format());
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("broker: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(cli.run());
    // A prompt that still waits for a line must not hold the process.
    runtime.shutdown_background();
    ended.unwrap_or_else(|error| {
        eprintln!("broker: {error:#}");
        ExitCode::FAILURE
    })
}
