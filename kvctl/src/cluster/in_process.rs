//! The whole cluster in this process: servers and broker talk without sockets.
//!
//! Everything else is the same: the directories, the placement, the copies. Admin HTTP and the
//! line protocol listen as usual, so that the other commands work.

use std::{collections::HashMap, sync::Arc, time::Instant};

use anyhow::{Context, Result, bail};
use broker::{
    control::Control,
    http,
    line::{self, LineLimits},
    shell::{Broker, BrokerOptions, first_placement},
};
use bytesize::ByteSize;
use kvcore::{
    placement::{ClusterId, Member, MemberId, Placement, Quorums},
    replica::{CallError, PendingReply, Replica},
    status::{StorageMode, SyncMode},
    wire::{Reply, Request, Secret},
};
use kvnet::{clock::SystemClock, shutdown};
use kvserver::{
    process::{Running, ServerOptions, start as start_server},
    store::StoreOptions,
};
use parking_lot::RwLock;
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    layout::Layout,
    process::ProcessId,
    state::{ClusterState, ServerState},
    up::not_named,
};
use crate::limits::{POLL, START_MAX};

/// A cluster in this process.
#[derive(Debug)]
pub struct InProcess {
    servers: Vec<Running>,
    brokers: JoinSet<()>,
    stop: shutdown::Trigger,
}

/// Members of this process by their id; filled as they start.
#[derive(Debug, Clone, Default)]
struct Local(Arc<RwLock<HashMap<MemberId, Arc<dyn Replica>>>>);

impl kvnet::peer::dial::Dial for Local {
    fn dial(&self, _cluster: ClusterId, member: &Member) -> Arc<dyn Replica> {
        Arc::new(InThisProcess {
            local: self.clone(),
            member: member.id,
        })
    }
}

/// A member of this process, looked up at each call: others may start after it is asked for.
#[derive(Debug)]
struct InThisProcess {
    local: Local,
    member: MemberId,
}

impl InThisProcess {
    fn found(&self) -> Option<Arc<dyn Replica>> {
        self.local.0.read().get(&self.member).cloned()
    }
}

const NOT_HERE: &str = "it is not in this process, or not yet";

impl Replica for InThisProcess {
    fn call(&self, request: Request) -> PendingReply {
        match self.found() {
            Some(replica) => replica.call(request),
            None => PendingReply::here(Err(CallError::NotSent(NOT_HERE.to_owned()))),
        }
    }

    fn trouble(&self) -> Option<String> {
        match self.found() {
            Some(replica) => replica.trouble(),
            None => Some(NOT_HERE.to_owned()),
        }
    }
}

/// Starts every server and broker of `state` in this process.
pub async fn start(layout: &Layout, state: &mut ClusterState, secret: Secret) -> Result<InProcess> {
    let local = Local::default();
    let mut servers = Vec::new();
    for server in &state.servers {
        let options = ServerOptions {
            data_dir: layout.server(server.number),
            peer: None,
            admin: Some(server.admin.clone()),
            secret: secret.clone(),
            store: store_options(state),
        };
        let running = start_server(options, Arc::new(local.clone())).await?;
        let replica: Arc<dyn Replica> = Arc::new(running.server().clone());
        local.0.write().insert(running.server().member(), replica);
        servers.push(running);
    }
    let placement = place(state, &servers).await?;
    state.cluster = Some(placement.cluster());
    let (stop, shutdown) = shutdown::channel();
    let mut brokers = JoinSet::new();
    for config in &state.brokers {
        let listen = |address: String| async move {
            TcpListener::bind(&address)
                .await
                .with_context(|| format!("cannot listen on {address}"))
        };
        let line = listen(config.line.clone()).await?;
        let admin = listen(config.http.clone()).await?;
        let broker = Broker::start(
            placement.clone(),
            Arc::new(local.clone()),
            Arc::new(SystemClock),
            BrokerOptions::default(),
        )
        .await;
        let control = Control::new(secret.clone(), Arc::new(SystemClock), shutdown.clone());
        control.announce(broker.clone());
        brokers.spawn(http::serve(admin, control, shutdown.clone()));
        let limits = LineLimits::default();
        brokers.spawn(line::serve(line, broker, limits, shutdown.clone()));
    }
    // Known before anything is waited for: `kvctl down` must find this process.
    state.in_process = Some(ProcessId::of(std::process::id())?);
    state.write(layout)?;
    wait_ready(&servers).await?;
    Ok(InProcess {
        servers,
        brokers,
        stop,
    })
}

async fn wait_ready(servers: &[Running]) -> Result<()> {
    let since = Instant::now();
    for (server, number) in servers.iter().zip(1..) {
        while let Some(reason) = server.server().status().reason {
            if since.elapsed() > START_MAX {
                let seconds = START_MAX.as_secs();
                anyhow::bail!("server {number} is not ready after {seconds} s: {reason}");
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

fn store_options(state: &ClusterState) -> StoreOptions {
    StoreOptions {
        mode: if state.mode == "disk" {
            StorageMode::Disk
        } else {
            StorageMode::Memory
        },
        sync: match state.sync.as_str() {
            "interval" => SyncMode::Interval,
            "never" => SyncMode::Never,
            _ => SyncMode::Always,
        },
        // Several logs of one process share its address space and the disk of a small machine.
        segment_bytes: u32::try_from(ByteSize::mib(64).as_u64()).unwrap_or(u32::MAX),
        ..StoreOptions::default()
    }
}

/// The placement the servers have, or their first; in force on all of them when this returns,
/// also where an earlier start was interrupted between two.
async fn place(state: &ClusterState, servers: &[Running]) -> Result<Placement> {
    let newest = servers
        .iter()
        .filter_map(|server| server.server().placement())
        .max_by_key(Placement::epoch);
    let placement = match newest {
        Some(placement) => placement,
        None => first_placement::make(members(state, servers), state.copies, Quorums::default())?,
    };
    for (running, server) in servers.iter().zip(&state.servers) {
        let id = running.server().member();
        if placement.index_of(id).is_none() {
            bail!(not_named(server.number, id));
        }
        let adopt = Request::Adopt(placement.clone());
        match running.server().call(adopt).await {
            Ok(Reply::Adopted { .. }) => {}
            other => bail!(
                "server {} did not take the placement: {other:?}",
                server.number
            ),
        }
    }
    Ok(placement)
}

fn members(state: &ClusterState, servers: &[Running]) -> Vec<Member> {
    let member = |(running, server): (&Running, &ServerState)| Member {
        id: running.server().member(),
        address: server.peer.clone(),
        zone: String::new(),
        weight: 1,
    };
    servers.iter().zip(&state.servers).map(member).collect()
}

impl InProcess {
    /// Finishes what is in flight and closes every log.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.stop();
        while self.brokers.join_next().await.is_some() {}
        for server in self.servers {
            server.stop().await.map_err(anyhow::Error::msg)?;
        }
        Ok(())
    }
}
