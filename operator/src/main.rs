//! The operator's program.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use operator::cli::{Arguments, Command};

fn main() -> ExitCode {
    match start(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> Result<()> {
    match command {
        Command::Run(options) => {
            kvnet::logs::start(options.log_format);
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async {
                let (stop, shutdown) = kvnet::shutdown::channel();
                tokio::spawn(async move {
                    match kvnet::shutdown::signal().await {
                        Ok(signal) => tracing::info!(signal, "stopping"),
                        Err(error) => tracing::error!(%error, "signals cannot be heard: stopping"),
                    }
                    stop.stop();
                });
                operator::run::run(*options, shutdown).await
            })
        }
        Command::Crd => {
            print!("{}", serde_yaml::to_string(&operator::crd::definition())?);
            Ok(())
        }
        Command::Plan(plan) => {
            let text = operator::saved::explain(&plan.from, plan.cluster.as_deref(), &plan.image)?;
            println!("{text}");
            Ok(())
        }
        Command::Generate { root } => operator::generate::run(&root),
    }
}
