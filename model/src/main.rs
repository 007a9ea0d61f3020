//! The models as a program.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if model::cli::run(&model::cli::Arguments::parse()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
