//! Figures of Kvasir on Kubernetes. `cargo xtask bench` asks for them, and makes medians and pages of
//! them; here they are measured, turn by turn.

mod clusters;
mod disruption;
mod fakes;
mod many;
mod operator;
mod ready;
mod service_path;
mod stream;

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::{Arguments, namespace::Namespace, world::World};

/// Which figure, and how.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Measure instead of trying scenarios; `cargo xtask bench` does, and makes a page of it
    #[arg(long, value_enum, requires = "into", conflicts_with_all = ["names", "all", "list"])]
    pub(crate) figure: Option<Figure>,
    /// Where figures are written, as JSON
    #[arg(long, value_name = "FILE", requires = "figure")]
    into: Option<PathBuf>,
    /// How often each figure is measured
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    repeats: u32,
    /// Small sizes, to see that it works
    #[arg(long, requires = "figure")]
    quick: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Figure {
    /// From apply to Ready.
    KubernetesReady,
    /// What the operator takes at rest, with one cluster and with many whose pods are fakes.
    Operator,
    /// The same with as many real clusters as the machine bears.
    OperatorMany,
    /// Latency by a Service, and without.
    ServicePath,
    /// What clients see when a pod or a node dies.
    Disruption,
}

/// How thoroughly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How often each figure is measured.
    pub(crate) repeats: u32,
    /// Small sizes, to see that it works.
    quick: bool,
}

impl Effort {
    /// The first when it is to be quick, else the second.
    pub(crate) fn either<T>(self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// What was measured: samples by name, and sentences.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    samples: BTreeMap<String, Vec<f64>>,
    notes: Vec<String>,
}

impl Measured {
    /// One more sample of a figure.
    pub(crate) fn add(&mut self, name: impl Into<String>, sample: f64) {
        let name = name.into();
        println!("    {name}: {sample:.3}");
        self.samples.entry(name).or_default().push(sample);
    }

    /// Something that is no figure.
    pub(crate) fn note(&mut self, note: String) {
        println!("    {note}");
        self.notes.push(note);
    }
}

/// Measures a figure, and writes what came of it into the file that the arguments name.
pub(crate) fn run(arguments: &Arguments, figure: Figure) -> Result<()> {
    let asked = &arguments.figures;
    let into = asked.into.as_deref().context("--into names no file")?;
    let effort = Effort {
        repeats: asked.repeats,
        quick: asked.quick,
    };
    let world = World::begin(arguments)?;
    let mut measured = Measured::default();
    let done = world
        .install()
        .and_then(|()| measure(&world, figure, effort, &mut measured));
    if done.is_err() {
        world.show_operator();
    }
    if done.is_err() && arguments.keep {
        println!("kept: the cluster; `cargo xtask cluster down` ends it");
    } else {
        world.end()?;
    }
    done?;
    let text = json!({"samples": measured.samples, "notes": measured.notes});
    fs::write(into, format!("{text:#}\n"))
        .with_context(|| format!("cannot write {}", into.display()))
}

fn measure(world: &World, figure: Figure, effort: Effort, measured: &mut Measured) -> Result<()> {
    match figure {
        Figure::KubernetesReady => ready::measure(world, effort, measured),
        Figure::Operator => operator::measure(world, effort, measured),
        Figure::OperatorMany => many::measure(world, effort, measured),
        Figure::ServicePath => service_path::measure(world, effort, measured),
        Figure::Disruption => disruption::measure(world, effort, measured),
    }
}

/// Takes a namespace away, and waits until it is gone.
fn remove(namespace: &Namespace) -> Result<()> {
    let delete = ["delete", "namespace", namespace.name()];
    namespace.kubectl().run(&delete).map(drop)
}
