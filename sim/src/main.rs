//! The simulation as a program; `cargo xtask sim` runs it.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match sim::cli::run(&sim::cli::Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
