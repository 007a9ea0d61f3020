//! `kvctl up`: start what is not running, make or find the placement, wait until all is ready.

use std::{fs, path::PathBuf, process::Child, time::Duration};

use anyhow::{Context, Result, bail};
use broker::shell::first_placement::{Bootstrap, ServerAddress, learn_or_make, server_file};
use kvcore::{
    placement::{Member, Parts, Placement, Quorums},
    replica::Replica,
    wire::{Reply, Request, Secret, handshake::Expected},
};
use kvnet::{peer::client::PeerClient, secret_file, shutdown};

use super::{
    admin::{self, Stage},
    in_process,
    launch::{self, log_tail},
    layout::{Layout, PORT_BASE_MAX, Ports},
    process::{ProcessId, stop_all},
    state::{self, BrokerState, ClusterState, ServerState},
};
use crate::limits::{BROKERS_MAX, SERVERS_MAX};

/// How long finding or making the placement may take.
const PLACEMENT_MAX: Duration = Duration::from_secs(10);

/// What `kvctl up` is asked for.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// Where the data lies.
    pub data_dir: PathBuf,
    /// Servers; `None` keeps what the directory has, or 5.
    pub servers: Option<u16>,
    /// Copies; `None` keeps what the directory has, or 3.
    pub copies: Option<usize>,
    /// Brokers; `None` keeps what the directory has, or 1.
    pub brokers: Option<u16>,
    /// First port; `None` keeps what the directory has, or 7400.
    pub port_base: Option<u16>,
    /// `--mode` of the servers.
    pub mode: Option<String>,
    /// `--sync` of the servers.
    pub sync: Option<String>,
    /// Everything in this process.
    pub in_process: bool,
}

/// A cluster that is ready, and the processes that this one started.
#[derive(Debug)]
pub struct UpCluster {
    /// What runs where.
    pub state: ClusterState,
    /// Processes to wait for, with their names.
    pub children: Vec<(String, Child)>,
    /// The cluster, where it is in this process.
    pub in_process: Option<in_process::InProcess>,
}

/// Starts the cluster and waits until it is ready. Whatever was started is stopped again when
/// something fails.
pub async fn up(options: &UpOptions, say: &(dyn Fn(&str) + Sync)) -> Result<UpCluster> {
    let layout = Layout::new(&options.data_dir);
    fs::create_dir_all(layout.root())
        .with_context(|| format!("cannot make {}", layout.root().display()))?;
    let layout = Layout::new(fs::canonicalize(layout.root())?);
    let _lock = state::lock(&layout)?;
    let before = ClusterState::read(&layout)?;
    if before.as_ref().is_some_and(ClusterState::is_running) {
        bail!(
            "a cluster already runs in {}: see `kvctl status`, or stop it with `kvctl down`",
            layout.root().display()
        );
    }
    let mut state = wanted(options, before.as_ref())?;
    let secret = secret_file::read_or_create(&layout.secret())?;
    write_server_file(&layout, &state)?;
    state.write(&layout)?;
    if options.in_process {
        let running = in_process::start(&layout, &mut state, secret).await?;
        state.write(&layout)?;
        return Ok(UpCluster {
            state,
            children: Vec::new(),
            in_process: Some(running),
        });
    }
    let mut children = Vec::new();
    match start_all(&layout, &mut state, &secret, &mut children, say).await {
        Ok(()) => Ok(UpCluster {
            state,
            children,
            in_process: None,
        }),
        Err(error) => {
            let _ = stop_all(&state.processes());
            Err(error)
        }
    }
}

/// What the directory has, changed by what was asked for, as far as that can be changed.
fn wanted(options: &UpOptions, before: Option<&ClusterState>) -> Result<ClusterState> {
    let servers = options.servers.or(before.map(count_servers)).unwrap_or(5);
    let brokers = options.brokers.or(before.map(count_brokers)).unwrap_or(1);
    let copies = options.copies.or(before.map(|b| b.copies));
    let copies = copies.unwrap_or_else(|| usize::from(servers).min(3));
    if let Some(before) = before
        && (count_servers(before) != servers || before.copies != copies)
    {
        bail!(
            "{} holds a cluster of {} servers with {} copies; a different number needs another \
             --data-dir",
            options.data_dir.display(),
            before.servers.len(),
            before.copies
        );
    }
    if servers == 0 || servers > SERVERS_MAX {
        bail!("--servers goes from 1 to {SERVERS_MAX}, not {servers}");
    }
    if brokers == 0 || brokers > BROKERS_MAX {
        bail!("--brokers goes from 1 to {BROKERS_MAX}, not {brokers}");
    }
    if copies == 0 || copies > usize::from(servers) {
        bail!("--copies goes from 1 to the number of servers, {servers}, not {copies}");
    }
    let base = options.port_base.or(before.and_then(port_base));
    let base = base.unwrap_or(super::layout::PORT_BASE_DEFAULT);
    if !(1024..=PORT_BASE_MAX).contains(&base) {
        bail!("--port-base goes from 1024 to {PORT_BASE_MAX}, not {base}");
    }
    let ports = Ports::new(base);
    let kept = |chosen: &Option<String>, before: Option<String>, default: &str| {
        chosen
            .clone()
            .or(before)
            .unwrap_or_else(|| default.to_owned())
    };
    let local = |port: u16| format!("127.0.0.1:{port}");
    Ok(ClusterState {
        copies,
        mode: kept(&options.mode, before.map(|b| b.mode.clone()), "memory"),
        sync: kept(&options.sync, before.map(|b| b.sync.clone()), "always"),
        servers: (1..=servers)
            .map(|number| ServerState {
                number,
                peer: local(ports.peer(number)),
                admin: local(ports.admin(number)),
                process: None,
            })
            .collect(),
        brokers: (1..=brokers)
            .map(|number| BrokerState {
                number,
                line: local(ports.line(number)),
                http: local(ports.http(number)),
                process: None,
            })
            .collect(),
        in_process: None,
    })
}

fn count_servers(state: &ClusterState) -> u16 {
    u16::try_from(state.servers.len()).unwrap_or(u16::MAX)
}

fn count_brokers(state: &ClusterState) -> u16 {
    u16::try_from(state.brokers.len()).unwrap_or(u16::MAX)
}

fn port_base(state: &ClusterState) -> Option<u16> {
    state.servers.first()?.peer.rsplit_once(':')?.1.parse().ok()
}

fn write_server_file(layout: &Layout, state: &ClusterState) -> Result<()> {
    let lines = state
        .servers
        .iter()
        .map(|server| server.peer.replace(':', " ") + "\n");
    let path = layout.server_file();
    fs::write(&path, lines.collect::<String>())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The servers as the broker reads them from a file.
pub fn server_addresses(layout: &Layout) -> Result<Vec<ServerAddress>> {
    Ok(server_file::read(&layout.server_file())?)
}

async fn start_all(
    layout: &Layout,
    state: &mut ClusterState,
    secret: &Secret,
    children: &mut Vec<(String, Child)>,
    say: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    for at in 0..state.servers.len() {
        let child = launch::server(layout, state, &state.servers[at])?;
        state.servers[at].process = Some(ProcessId::of(child.id())?);
        children.push((format!("server-{}", state.servers[at].number), child));
    }
    // Written before anything is waited for: `kvctl down` must find them whatever happens here.
    state.write(layout)?;
    say("servers are recovering their data");
    for server in &state.servers {
        let name = format!("server-{}", server.number);
        wait(layout, &name, &server.admin, Stage::Healthy, server.process)?;
    }
    say("servers answer; looking for the placement");
    let placement = place(layout, state, secret).await?;
    tracing::debug!(epoch = %placement.epoch(), "placement found or made");
    for at in 0..state.brokers.len() {
        let child = launch::broker(layout, &state.brokers[at])?;
        state.brokers[at].process = Some(ProcessId::of(child.id())?);
        children.push((format!("broker-{}", state.brokers[at].number), child));
    }
    state.write(layout)?;
    say("servers are comparing their data");
    for server in &state.servers {
        let name = format!("server-{}", server.number);
        wait(layout, &name, &server.admin, Stage::Ready, server.process)?;
    }
    for broker in &state.brokers {
        let name = format!("broker-{}", broker.number);
        wait(layout, &name, &broker.http, Stage::Ready, broker.process)?;
    }
    Ok(())
}

fn wait(
    layout: &Layout,
    name: &str,
    address: &str,
    stage: Stage,
    process: Option<ProcessId>,
) -> Result<()> {
    admin::wait(address, stage, process).with_context(|| {
        let log = layout.log(name);
        format!(
            "{name} did not start; {} ends with:{}",
            log.display(),
            log_tail(layout, name)
        )
    })
}

/// Finds the placement of the servers or makes their first, and brings its addresses up to date.
async fn place(layout: &Layout, state: &ClusterState, secret: &Secret) -> Result<Placement> {
    let servers = server_addresses(layout)?;
    let quorums = Quorums::default();
    let (placement, unreached) = learn_or_make(
        &servers,
        state.copies,
        quorums,
        Bootstrap::Yes,
        secret,
        PLACEMENT_MAX,
    )
    .await?;
    for server in unreached {
        tracing::warn!(server = %server.server, why = server.why, "not reached");
    }
    let current = current_members(state, &placement)?;
    if current == placement.members() {
        return Ok(placement);
    }
    // The same placement under new addresses is not a new epoch.
    let mut parts: Parts = placement.parts().clone();
    parts.members = current;
    parts.address_revision += 1;
    let moved = Placement::new(parts)?;
    for server in &state.servers {
        let expected = Expected {
            cluster: Some(moved.cluster()),
            member: None,
        };
        let client = PeerClient::start(server.peer.clone(), expected, secret.clone());
        client.settled(PLACEMENT_MAX).await;
        match client.call(Request::Adopt(moved.clone())).await {
            Ok(Reply::Adopted { .. }) => {}
            other => bail!(
                "server {} did not take its new address: {other:?}",
                server.number
            ),
        }
    }
    Ok(moved)
}

/// The placement's members at the addresses where they answer now.
fn current_members(state: &ClusterState, placement: &Placement) -> Result<Vec<Member>> {
    let mut members = placement.members().to_vec();
    for server in &state.servers {
        let id = admin::status(&server.admin)?.id;
        match members.iter_mut().find(|member| member.id == id) {
            Some(member) => member.address.clone_from(&server.peer),
            None => bail!(
                "server {} is member {id}, which the placement does not name: its directory was \
                 emptied or exchanged; bring the old one back (replacing a member comes later)",
                server.number
            ),
        }
    }
    Ok(members)
}

/// Waits for Ctrl-C or SIGTERM, saying when a process ends meanwhile; then stops everything.
pub async fn hold(layout: &Layout, cluster: UpCluster, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let UpCluster {
        mut children,
        in_process,
        ..
    } = cluster;
    let signal = shutdown::signal();
    tokio::pin!(signal);
    loop {
        tokio::select! {
            signal = &mut signal => {
                say(&format!("{}: stopping", signal?));
                break;
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                children.retain_mut(|(name, child)| match child.try_wait() {
                    Ok(Some(status)) => {
                        say(&format!("{name} ended: {status}"));
                        false
                    }
                    _ => true,
                });
            }
        }
    }
    if let Some(in_process) = in_process {
        return in_process.stop().await;
    }
    super::down::down(layout, say)
}
