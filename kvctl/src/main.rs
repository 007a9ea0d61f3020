//! The command line's process.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match kvctl::cli::run(kvctl::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kvctl: {error:#}");
            ExitCode::from(2)
        }
    }
}
