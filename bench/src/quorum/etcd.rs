//! Three members of etcd on this machine, and load on their leader.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use etcd_client::{Client, GetOptions};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;

use crate::{
    cleanup::{self, Program, Scratch},
    figures::Load,
    load::{Kind, Plan, Window, joined, key},
    settings::Settings,
};

const READY_MAX: Duration = Duration::from_secs(30);

/// How a get is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// After a quorum said that nothing newer was written.
    Linearizable,
    /// From what the member asked has.
    Serializable,
}

/// A running etcd; ended and removed when dropped.
#[derive(Debug)]
pub(super) struct Etcd {
    programs: Vec<Program>,
    _scratch: Scratch,
    leader: String,
}

impl Etcd {
    /// Starts three members, their fsync on, and waits for a leader.
    pub(super) async fn start(settings: &Settings) -> Result<Self> {
        cleanup::need("etcd", "etcd-server")?;
        let scratch = settings.scratch("etcd")?;
        let mut addresses = Vec::new();
        for _ in 0..3 {
            let local = |port| format!("http://127.0.0.1:{port}");
            addresses.push((local(cleanup::free_port()?), local(cleanup::free_port()?)));
        }
        let peers = addresses.iter().zip(1..);
        let peers: Vec<_> = peers
            .map(|((_, peer), number)| format!("m{number}={peer}"))
            .collect();
        let mut programs = Vec::new();
        for ((client, peer), number) in addresses.iter().zip(1..) {
            let name = format!("m{number}");
            let mut command = Command::new("etcd");
            command.args(["--name", &name, "--log-level", "error", "--logger", "zap"]);
            command.arg("--data-dir").arg(scratch.path().join(&name));
            command.args([
                "--listen-client-urls",
                client,
                "--advertise-client-urls",
                client,
            ]);
            command.args([
                "--listen-peer-urls",
                peer,
                "--initial-advertise-peer-urls",
                peer,
            ]);
            command.args([
                "--initial-cluster",
                &peers.join(","),
                "--initial-cluster-state",
                "new",
            ]);
            programs.push(Program::start(&mut command, scratch.path(), &name)?);
        }
        let clients: Vec<_> = addresses.into_iter().map(|(client, _)| client).collect();
        let leader = leader(&clients, &mut programs).await?;
        Ok(Self {
            programs,
            _scratch: scratch,
            leader,
        })
    }

    /// Puts every key once.
    pub(super) async fn fill(&mut self, keys: u64, value: &str) -> Result<()> {
        let mut tasks = JoinSet::new();
        for number in 0..64 {
            let mut client = Client::connect([&self.leader], None).await?;
            let value = value.to_owned();
            tasks.spawn(async move {
                for number in (number..keys).step_by(64) {
                    client.put(key(number), value.as_str(), None).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        self.programs.iter_mut().try_for_each(Program::check)
    }

    /// Loads the leader.
    pub(super) async fn load(&self, plan: &Plan, reads: Reads) -> Result<Load> {
        let mut clients = Vec::new();
        for _ in plan.depths() {
            let client = Client::connect([&self.leader], None).await?;
            clients.push(client);
        }
        let window = Window::of(plan);
        let mut tasks = JoinSet::new();
        let mut seed = 0;
        for (depth, client) in plan.depths().into_iter().zip(clients) {
            for _ in 0..depth {
                tasks.spawn(requests(client.clone(), seed, plan.clone(), reads, window));
                seed += 1;
            }
        }
        joined(tasks, window).await
    }
}

async fn requests(
    mut client: Client,
    seed: u64,
    plan: Plan,
    reads: Reads,
    window: Window,
) -> Result<Load> {
    let mut load = Load::new();
    let mut random = StdRng::seed_from_u64(seed);
    while Instant::now() < window.end {
        let key = key(random.random_range(0..plan.keys));
        let since = Instant::now();
        let is_good = match plan.kind {
            Kind::Put => client.put(key, plan.value.as_bytes(), None).await.is_ok(),
            Kind::Get => {
                let options = match reads {
                    Reads::Linearizable => None,
                    Reads::Serializable => Some(GetOptions::new().with_serializable()),
                };
                let got = client.get(key, options).await;
                got.is_ok_and(|got| got.kvs().len() == 1)
            }
        };
        load.failed += u64::from(!is_good);
        window.record(&mut load, since);
    }
    Ok(load)
}

/// The address of the member that leads.
async fn leader(clients: &[String], programs: &mut [Program]) -> Result<String> {
    let since = Instant::now();
    loop {
        for program in programs.iter_mut() {
            program.check()?;
        }
        for address in clients {
            let status = async {
                let mut client = Client::connect([address], None).await?;
                client.status().await
            };
            if let Ok(Ok(status)) = tokio::time::timeout(Duration::from_secs(1), status).await {
                let member = status
                    .header()
                    .context("a status has a header")?
                    .member_id();
                if status.leader() == member {
                    return Ok(address.clone());
                }
            }
        }
        if since.elapsed() > READY_MAX {
            bail!("etcd has no leader: {}", programs[0].said());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
