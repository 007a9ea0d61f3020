//! The cluster under test: started by `kvctl up`, its processes then in our own hands.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    disk::SmallDisk,
    fault::Who,
    process::{Process, end_politely},
    stop::Stop,
};

/// Trie servers.
pub(crate) const SERVERS: usize = 5;

/// Two for each of them.
const SERVER_PORTS: u16 = 10;

/// Copies of each key.
const COPIES: usize = 3;

/// How long the cluster may take to come up.
const UP_MAX: Duration = Duration::from_secs(90);

/// How long a process may take to end after SIGTERM, which promises ten seconds.
const TERM_MAX: Duration = Duration::from_secs(15);

/// Servers, brokers and their disks. Nothing of it outlives the value.
#[derive(Debug)]
pub(crate) struct Cluster {
    kvctl: PathBuf,
    data: PathBuf,
    // Processes end before their disks go: fields are dropped in this order.
    brokers: Vec<Process>,
    servers: Vec<Process>,
    /// Those of the first servers.
    pub disks: Vec<SmallDisk>,
    /// Line protocol addresses.
    pub lines: Vec<String>,
}

impl Cluster {
    /// Starts it in `home`; the first `disks` servers have small disks.
    pub(crate) fn start(
        kvctl: &Path,
        home: &Path,
        brokers: usize,
        disks: usize,
        stop: &Stop,
    ) -> Result<Self> {
        let mut cluster = Self {
            kvctl: kvctl.to_owned(),
            data: home.join("data"),
            brokers: Vec::new(),
            servers: Vec::new(),
            disks: Vec::new(),
            lines: Vec::new(),
        };
        for number in 0..disks {
            let disk = SmallDisk::mount(&cluster.server_directory(number))?;
            cluster.disks.push(disk);
        }
        let up = cluster.up(home, brokers, stop);
        // Also when it failed: what runs has to be ended.
        let adopted = cluster.adopt();
        up?;
        adopted?;
        Ok(cluster)
    }

    fn up(&self, home: &Path, brokers: usize, stop: &Stop) -> Result<()> {
        let base = free_ports()?.to_string();
        let out = fs::File::create(home.join("up.log"))?;
        let mut up = self
            .kvctl(&["up", "--detach", "--sync", "always", "--port-base", &base])
            .args(["--servers", &SERVERS.to_string()])
            .args(["--copies", &COPIES.to_string()])
            .args(["--brokers", &brokers.to_string()])
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {}", self.kvctl.display()))?;
        let ended = stop.wait_for("`kvctl up`", UP_MAX, || {
            Ok(up.try_wait()?.ok_or_else(|| "it still starts".to_owned()))
        });
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => bail!(
                "`kvctl up`: {}",
                fs::read_to_string(home.join("up.log")).unwrap_or_default()
            ),
            Err(error) => {
                // Asked to, it ends what it has started.
                end_politely(&mut up, TERM_MAX);
                Err(error)
            }
        }
    }

    /// Takes the processes that `cluster.json` names.
    fn adopt(&mut self) -> Result<()> {
        let text = fs::read(self.data.join("cluster.json")).context("no cluster was made")?;
        let state: Value = serde_json::from_slice(&text)?;
        let logs = self.data.join("logs");
        let list = |of: &str| state[of].as_array().cloned().unwrap_or_default();
        let process = |entry: &Value, kind: &str| {
            let number = entry["number"].as_u64().context("it has a number")?;
            let pid = entry["process"]["pid"]
                .as_i64()
                .context("it was not started")?;
            Process::adopt(&format!("{kind}-{number}"), i32::try_from(pid)?, &logs)
        };
        let mut failed = None;
        for (of, kind, into) in [
            ("servers", "server", &mut self.servers),
            ("brokers", "broker", &mut self.brokers),
        ] {
            for entry in list(of) {
                match process(&entry, kind) {
                    Ok(process) => into.push(process),
                    Err(error) => failed = Some(error),
                }
            }
        }
        for entry in list("brokers") {
            let line = entry["line"].as_str().context("a broker has an address")?;
            self.lines.push(line.to_owned());
        }
        failed.map_or(Ok(()), Err)
    }

    /// `kvctl` on this cluster.
    pub(crate) fn kvctl(&self, arguments: &[&str]) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&self.kvctl);
        command
            .args(arguments)
            .env("KVASIR_DATA_DIR", &self.data)
            .env_remove("KVASIR_BROKER")
            .stdin(Stdio::null())
            // Ctrl-C is for this program, which then ends all others in order.
            .process_group(0);
        command
    }

    pub(crate) fn server_directory(&self, at: usize) -> PathBuf {
        self.data.join(format!("server-{}", at + 1))
    }

    pub(crate) fn process(&mut self, who: Who) -> &mut Process {
        match who {
            Who::Server(at) => &mut self.servers[at],
            Who::Broker(at) => &mut self.brokers[at],
        }
    }

    /// Everybody.
    pub(crate) fn all(&self) -> Vec<Who> {
        let servers = (0..self.servers.len()).map(Who::Server);
        let brokers = (0..self.brokers.len()).map(Who::Broker);
        servers.chain(brokers).collect()
    }

    /// `kvctl status --json`
    pub(crate) fn status(&self) -> Result<Value> {
        let Output { status, stdout, .. } = self.kvctl(&["status", "--json"]).output()?;
        if !status.success() {
            bail!("`kvctl status` failed ({status})");
        }
        Ok(serde_json::from_slice(&stdout)?)
    }

    /// Ends everything in order; gives the names of those that had to be killed.
    pub(crate) fn end(&mut self) -> Result<Vec<String>> {
        let mut killed = Vec::new();
        for processes in [&mut self.brokers, &mut self.servers] {
            for process in &*processes {
                process.signal(Signal::CONT)?;
                process.signal(Signal::TERM)?;
            }
            let until = Instant::now() + TERM_MAX;
            for process in processes {
                if !process.wait_ended(until) {
                    killed.push(process.name.clone());
                    process.kill()?;
                }
            }
        }
        Ok(killed)
    }

    /// What processes said that nobody should hear: where, and the line.
    pub(crate) fn panics(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.data.join("logs"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let lines = text.lines().filter(|line| line.contains("panicked at"));
            found.extend(lines.map(|line| format!("{}: {line}", entry.path().display())));
        }
        found
    }
}

/// The first of a cluster's worth of ports that nobody listens on.
fn free_ports() -> Result<u16> {
    // Another place for each process, below the ports that the system gives out by itself.
    let first = u16::try_from(std::process::id() % 1_000)? * 16 + 11_000;
    for base in (first..30_000).step_by(16) {
        let servers = (0..SERVER_PORTS).map(|at| base + at);
        let brokers = (0..3).flat_map(|at| [base + 200 + at, base + 680 + at]);
        if servers
            .chain(brokers)
            .all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        {
            return Ok(base);
        }
    }
    bail!("no cluster's worth of ports is free")
}
