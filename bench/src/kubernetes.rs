//! Figures of Kvasir on Kubernetes: measured by the program `e2e` on a cluster of this machine, made
//! into pages here.

mod disruption;
mod operator;
mod path;
mod ready;

use std::{collections::BTreeMap, fs, io, process::Command};

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub(crate) use self::{
    disruption::run as disruption,
    operator::{run as operator, run_many as operator_many},
    path::run as service_path,
    ready::run as ready,
};
use crate::{figures::Samples, settings::Settings};

/// Where all of them run.
const WHERE: &str = "A local cluster of three nodes in three zones, all on this machine \
                     (`cargo xtask cluster`), with images present";

/// What a figure of `e2e` brought.
struct Figures {
    samples: BTreeMap<String, Samples>,
    notes: Vec<String>,
}

impl Figures {
    /// Runs it.
    fn measure(settings: &Settings, figure: &str) -> Result<Self> {
        let (Some(images), true) = (&settings.images, settings.e2e.is_file()) else {
            bail!(
                "there is no {}, or no --images: start it as `cargo xtask bench`",
                settings.e2e.display()
            );
        };
        let scratch = settings.scratch("figure")?;
        let into = scratch.path().join("figures.json");
        let mut command = Command::new(&settings.e2e);
        command.arg("--images").arg(images);
        command.args(["--figure", figure, "--into"]).arg(&into);
        command.args(["--repeats", &settings.repeats.to_string()]);
        if settings.quick {
            command.arg("--quick");
        }
        // What it tells on its way is not the result.
        let status = command
            .stdout(io::stderr())
            .status()
            .context("cannot start e2e")?;
        if !status.success() {
            bail!("e2e failed ({status}); if a cluster is left: `cargo xtask cluster down`");
        }
        Self::read(&fs::read_to_string(&into)?)
    }

    fn read(text: &str) -> Result<Self> {
        let read: Value = serde_json::from_str(text).context("e2e wrote no JSON")?;
        let samples = read["samples"]
            .as_object()
            .context("there are no samples")?;
        let samples = samples.iter().map(|(name, all)| {
            let all = all.as_array().into_iter().flatten();
            (name.clone(), all.filter_map(Value::as_f64).collect())
        });
        let notes = read["notes"].as_array().into_iter().flatten();
        Ok(Self {
            samples: samples.collect(),
            notes: notes
                .filter_map(|note| note.as_str().map(str::to_owned))
                .collect(),
        })
    }

    /// The samples of this name.
    fn of(&self, name: &str) -> Result<Samples> {
        let samples = self.samples.get(name).cloned();
        samples.with_context(|| format!("e2e measured no {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_and_missing_ones_named() {
        let figures = Figures::read(r#"{"samples": {"a.b": [1, 2.5, 4]}, "notes": ["so"]}"#);
        let figures = figures.unwrap();
        assert!((figures.of("a.b").unwrap().median() - 2.5).abs() < 1e-9);
        assert_eq!(figures.notes, ["so"]);
        assert!(figures.of("c").unwrap_err().to_string().contains('c'));
        assert!(Figures::read("{}").is_err());
    }
}
