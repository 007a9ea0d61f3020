//! `cluster.json`: what a local cluster consists of and what runs where.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use kvcore::placement::ClusterId;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{layout::Layout, process::ProcessId};
use crate::limits::{LOCK_MAX, POLL};

/// What a local cluster consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    /// Which cluster it is, once its first placement was made: without it, empty directories would
    /// pass for those of a new one.
    #[serde(default)]
    pub cluster: Option<ClusterId>,
    /// Copies of each key.
    pub copies: usize,
    /// `--mode` of the servers.
    pub mode: String,
    /// `--sync` of the servers.
    pub sync: String,
    /// The servers, in the order of their numbers.
    pub servers: Vec<ServerState>,
    /// The brokers, in the order of their numbers.
    pub brokers: Vec<BrokerState>,
    /// The process that holds everything, with `--in-process`.
    pub in_process: Option<ProcessId>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// From 1.
    pub number: u16,
    /// Its peer address.
    pub peer: String,
    /// Its admin address.
    pub admin: String,
    /// Its process, while one was started.
    pub process: Option<ProcessId>,
}

/// One broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerState {
    /// From 1.
    pub number: u16,
    /// Its line protocol address.
    pub line: String,
    /// Its HTTP address.
    pub http: String,
    /// Its process, while one was started.
    pub process: Option<ProcessId>,
}

impl ClusterState {
    /// Reads the state, `None` where no cluster was ever made.
    pub fn read(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.state();
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .with_context(|| format!("{} is damaged", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Reads the state of a cluster that should be there.
    pub fn require(layout: &Layout) -> Result<Self> {
        match Self::read(layout)? {
            Some(state) => Ok(state),
            None => bail!(
                "no cluster in {}: start one with `kvctl up`, or name its directory by --data-dir",
                layout.root().display()
            ),
        }
    }

    /// Writes the state, all or nothing.
    pub fn write(&self, layout: &Layout) -> Result<()> {
        let (path, temporary) = (layout.state(), layout.state().with_extension("json.new"));
        let text = serde_json::to_vec_pretty(self).context("the state serialises")?;
        let written = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        written().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Every process that was started and may be running.
    pub fn processes(&self) -> Vec<ProcessId> {
        let servers = self.servers.iter().filter_map(|server| server.process);
        let brokers = self.brokers.iter().filter_map(|broker| broker.process);
        // Brokers first: they finish their operations while the servers are still there.
        brokers.chain(servers).chain(self.in_process).collect()
    }

    /// Whether anything of it runs.
    pub fn is_running(&self) -> bool {
        self.processes().into_iter().any(ProcessId::is_alive)
    }

    /// The server with this number.
    pub fn server(&self, number: u16) -> Result<&ServerState> {
        let found = self.servers.iter().find(|server| server.number == number);
        found.with_context(|| {
            format!(
                "there is no server {number}: they go from 1 to {}",
                self.servers.len()
            )
        })
    }
}

/// Changes the state while nobody else does.
pub fn change<T>(
    layout: &Layout,
    change: impl FnOnce(&mut ClusterState) -> Result<T>,
) -> Result<T> {
    // First, since where there is no cluster there is nothing to lock.
    ClusterState::require(layout)?;
    let _lock = lock(layout)?;
    let mut state = ClusterState::require(layout)?;
    let result = change(&mut state)?;
    state.write(layout)?;
    Ok(result)
}

/// Keeps others from changing the state for as long as the file lives.
pub fn lock(layout: &Layout) -> Result<File> {
    let path = layout.state_lock();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let since = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if since.elapsed() < LOCK_MAX => std::thread::sleep(POLL),
            Err(Errno::WOULDBLOCK) => bail!(
                "another kvctl is starting the cluster in {}: wait until it is done",
                layout.root().display()
            ),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}
