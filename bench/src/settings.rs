//! What the command line asks for.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use crate::{Bench, cleanup::Scratch};

/// Kvasir beside its peers, in one run on one machine.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub(crate) struct Arguments {
    /// Which bench, or `all`.
    #[arg(value_name = "NAME")]
    name: String,
    /// Small sizes, within some 30 seconds: to try it, not to quote it.
    #[arg(long)]
    quick: bool,
    /// How often each side is measured, in turns [default: 5, with --quick 3].
    #[arg(long, value_name = "N")]
    repeats: Option<usize>,
    /// Write the result into docs/benchmarks.md, in the place of the last one.
    #[arg(long)]
    write: bool,
    /// Where all sides keep their data; emptied afterwards.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Where Kvasir's programs are. `cargo xtask bench` builds them and says so.
    #[arg(long, value_name = "DIR", default_value = "target/release")]
    programs: PathBuf,
    /// Where Kvasir's images are, for benches on Kubernetes. `cargo xtask bench` makes them.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
}

impl Arguments {
    /// The benches that are asked for.
    pub(crate) fn benches(&self) -> Result<Vec<Bench>> {
        if self.name == "all" {
            return Ok(Bench::value_variants().to_vec());
        }
        if let Ok(bench) = Bench::from_str(&self.name, false) {
            return Ok(vec![bench]);
        }
        let names: Vec<_> = Bench::value_variants().iter().copied().map(name).collect();
        bail!(
            "there is no bench `{}`: there are {} and all",
            self.name,
            names.join(", ")
        );
    }
}

/// The name of a bench on the command line.
pub(crate) fn name(bench: Bench) -> String {
    let value = bench.to_possible_value();
    value.expect("no bench is hidden").get_name().to_owned()
}

/// What holds for all benches of a run.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Small sizes.
    pub(crate) quick: bool,
    /// How often each side is measured.
    pub(crate) repeats: usize,
    /// Whether the page is written.
    pub(crate) write: bool,
    /// Where data is kept.
    pub(crate) directory: PathBuf,
    /// The program `kvctl`.
    pub(crate) kvctl: PathBuf,
    /// The program `e2e`, which benches on Kubernetes need.
    pub(crate) e2e: PathBuf,
    /// Where the images are that it loads.
    pub(crate) images: Option<PathBuf>,
    repeats_asked: bool,
}

impl Settings {
    pub(crate) fn new(arguments: Arguments) -> Result<Self> {
        let programs = arguments.programs;
        let kvctl = programs.join("kvctl");
        let kvctl = kvctl.canonicalize().with_context(|| {
            format!(
                "there is no {}: start it as `cargo xtask bench`, or give --programs",
                kvctl.display()
            )
        })?;
        let beside = || programs.join("bench-data");
        let directory = arguments.directory.unwrap_or_else(beside);
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let repeats = arguments
            .repeats
            .unwrap_or(if arguments.quick { 3 } else { 5 });
        if repeats == 0 {
            bail!("--repeats is at least 1");
        }
        Ok(Self {
            e2e: programs.join("e2e"),
            images: arguments.images,
            quick: arguments.quick,
            repeats,
            write: arguments.write,
            directory: directory.canonicalize()?,
            kvctl,
            repeats_asked: arguments.repeats.is_some(),
        })
    }

    /// The first with --quick, else the second.
    pub(crate) fn either<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The command that repeats a bench.
    pub(crate) fn command(&self, bench: Bench) -> String {
        let mut command = format!("cargo xtask bench {}", name(bench));
        if self.quick {
            command.push_str(" --quick");
        }
        if self.repeats_asked {
            let _ = write!(command, " --repeats {}", self.repeats);
        }
        command
    }

    /// A new directory, removed when the value is dropped.
    pub(crate) fn scratch(&self, name: &str) -> Result<Scratch> {
        Scratch::new(&self.directory, name)
    }

    /// The page of the figures.
    pub(crate) fn page() -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        root.expect("the crate lies in the repository")
            .join("docs/benchmarks.md")
    }
}
