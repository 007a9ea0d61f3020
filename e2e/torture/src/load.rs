//! The load: several `kvctl bench --history` at once, on the same few keys, through all brokers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{cluster::Cluster, process::end_politely, stop::Stop};

/// Keys that everybody works on: few, so that operations meet.
pub(crate) const KEYS: usize = 40;

/// One of them, from 0.
pub(crate) fn key(number: usize) -> String {
    format!("bench{number:012}")
}

/// How long a load may go on after its time: its last operations, at their worst.
const OVERTIME_MAX: Duration = Duration::from_mins(1);

/// How long an interrupted load may take to write its history.
const POLITE_MAX: Duration = Duration::from_secs(5);

/// One load: shares of operations, bytes of a value, clients, milliseconds between operations.
struct Shape {
    mix: &'static str,
    value_bytes: &'static str,
    clients: &'static str,
    pause: &'static str,
}

/// Small values, values that no page of a scan carries, and values in chunks.
const SHAPES: [Shape; 3] = [
    Shape {
        mix: "45:45:10",
        value_bytes: "100",
        clients: "12",
        pause: "4",
    },
    Shape {
        mix: "50:40:10",
        value_bytes: "40000",
        clients: "4",
        pause: "40",
    },
    Shape {
        mix: "60:35:5",
        value_bytes: "300000",
        clients: "2",
        pause: "150",
    },
];

/// The loads that run.
#[derive(Debug)]
pub(crate) struct Loads {
    children: Vec<Child>,
    home: PathBuf,
    /// What they record.
    pub histories: Vec<PathBuf>,
}

impl Loads {
    /// Starts them.
    pub(crate) fn start(cluster: &Cluster, home: &Path, time: Duration, seed: u64) -> Result<Self> {
        let mut loads = Self {
            children: Vec::new(),
            home: home.to_owned(),
            histories: Vec::new(),
        };
        for (at, shape) in SHAPES.iter().enumerate() {
            let history = home.join(format!("history-{at}.ndjson"));
            let log = fs::File::create(loads.log(at))?;
            let mut command = cluster.kvctl(&["bench", "--no-fill", "--json"]);
            command.arg("--history").arg(&history);
            command.args(["--keys", &KEYS.to_string()]);
            command.args(["--seed", &(seed.wrapping_mul(3) + at as u64).to_string()]);
            command.args(["--seconds", &time.as_secs().to_string()]);
            command.args(["--mix", shape.mix, "--value-bytes", shape.value_bytes]);
            command.args([
                "--connections",
                shape.clients,
                "--concurrency",
                shape.clients,
            ]);
            command.args(["--pause", shape.pause]);
            // Each prefers another broker for its first client.
            for turn in 0..cluster.lines.len() {
                let line = &cluster.lines[(at + turn) % cluster.lines.len()];
                command.args(["--broker", line]);
            }
            command.stdout(Stdio::null()).stderr(log);
            let child = command.spawn().context("cannot start `kvctl bench`")?;
            loads.children.push(child);
            loads.histories.push(history);
        }
        Ok(loads)
    }

    fn log(&self, at: usize) -> PathBuf {
        self.home.join(format!("bench-{at}.log"))
    }

    /// Waits until all have ended by themselves; gives what went wrong with them.
    pub(crate) fn finish(&mut self, stop: &Stop) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        for at in 0..self.children.len() {
            let child = &mut self.children[at];
            let status = stop.wait_for("a load to end", OVERTIME_MAX, || {
                Ok(child.try_wait()?.ok_or_else(|| "it still runs".to_owned()))
            })?;
            if !status.success() {
                let words = fs::read_to_string(self.log(at)).unwrap_or_default();
                problems.push(format!("load {at} failed ({status}): {}", words.trim()));
            }
        }
        Ok(problems)
    }
}

impl Drop for Loads {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Politely, so that the histories are whole for whoever looks at them.
            end_politely(child, POLITE_MAX);
        }
    }
}
