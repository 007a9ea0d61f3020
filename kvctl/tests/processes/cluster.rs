//! A cluster with a directory and ports of its own; nothing of it outlives the test.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use kvctl::cluster::{layout::Layout, process::ProcessId, state::ClusterState};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{call::Call, ports::Ports};

pub(crate) struct Cluster {
    home: TempDir,
    pub(crate) ports: Ports,
}

impl Cluster {
    /// Nothing runs yet.
    pub(crate) fn new() -> Self {
        Self {
            home: tempfile::tempdir().expect("a temporary directory"),
            ports: Ports::claim(),
        }
    }

    /// Runs in the background.
    #[track_caller]
    pub(crate) fn up(options: &[&str]) -> Self {
        let cluster = Self::new();
        cluster.call_up(options).ok();
        cluster
    }

    /// `kvctl up --detach`
    pub(crate) fn call_up(&self, options: &[&str]) -> Call {
        let base = self.ports.base().to_string();
        let mut arguments = vec!["up", "--detach", "--port-base", &base];
        arguments.extend(options);
        self.kvctl(&arguments)
    }

    /// `kvctl` in the directory beside the data.
    pub(crate) fn kvctl(&self, arguments: &[&str]) -> Call {
        let data = self.data();
        let home = self.home.path();
        Call::new(arguments).with(|command| {
            command.current_dir(home).env("KVASIR_DATA_DIR", data);
        })
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Writes a file beside the data.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    pub(crate) fn processes(&self) -> Vec<ProcessId> {
        let state = ClusterState::read(&Layout::new(self.data()));
        state
            .ok()
            .flatten()
            .map_or(Vec::new(), |state| state.processes())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.processes().into_iter().any(ProcessId::is_alive)
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.kvctl(&["status", "--json"]).ok().json()
    }

    /// Every key and value, as `kvctl scan` prints them.
    #[track_caller]
    pub(crate) fn scan(&self) -> Vec<String> {
        let said = self.kvctl(&["scan"]).ok();
        said.lines().into_iter().map(str::to_owned).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let processes = self.processes();
        if processes.is_empty() {
            return;
        }
        if std::thread::panicking() {
            show_logs(&self.data().join("logs"));
            // A second panic would hide the first.
            for process in processes {
                let _ = process.signal(Signal::KILL);
            }
            return;
        }
        self.kvctl(&["down"]).run();
        for process in processes {
            let _ = process.signal(Signal::KILL);
            process.wait_ended(Instant::now(), Duration::from_secs(5));
        }
    }
}

fn show_logs(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        eprintln!("--- {}", entry.path().display());
        for line in &lines[lines.len().saturating_sub(8)..] {
            eprintln!("{line}");
        }
    }
}
