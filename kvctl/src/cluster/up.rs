//! `kvctl up`: start what is not running, make or find the placement, wait until all is ready.

mod free_ports;
mod hold;
mod identity;
mod wanted;

use std::{fs, path::PathBuf, process::Child, time::Duration};

use anyhow::{Context, Result, bail};
use broker::shell::first_placement::{Bootstrap, ServerAddress, learn_or_make, server_file};
use kvcore::{
    placement::{Member, MemberId, Parts, Placement, Quorums},
    replica::Replica,
    wire::{Reply, Request, Secret, handshake::Expected},
};
use kvnet::{peer::client::PeerClient, secret_file, shutdown::Shutdown};

pub use self::hold::{hold, stop, stop_on_signal};
use super::{
    admin::{self, Stage},
    in_process,
    launch::{self, log_tail},
    layout::Layout,
    process::{ProcessId, stop_all},
    state::{self, ClusterState},
};

/// How long finding or making the placement may take.
const PLACEMENT_MAX: Duration = Duration::from_secs(10);

/// What is said when a signal came before the cluster was ready.
const INTERRUPTED: &str = "interrupted while it started: everything is stopped again";

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
    /// Begin an empty cluster where the data of one is gone.
    pub new_cluster: bool,
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
/// something fails or `shutdown` comes.
pub async fn up(
    options: &UpOptions,
    shutdown: &Shutdown,
    say: &(dyn Fn(&str) + Sync),
) -> Result<UpCluster> {
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
    let mut state = wanted::wanted(options, before.as_ref())?;
    identity::check(&layout, &mut state, options.new_cluster)?;
    // Before anything is written: what never started leaves no cluster behind.
    free_ports::check(&state)?;
    let secret = secret_file::read_or_create(&layout.secret())?;
    write_server_file(&layout, &state)?;
    state.write(&layout)?;
    if options.in_process {
        let running = tokio::select! {
            running = in_process::start(&layout, &mut state, secret) => running?,
            () = shutdown.stopped() => bail!(INTERRUPTED),
        };
        state.write(&layout)?;
        return Ok(UpCluster {
            state,
            children: Vec::new(),
            in_process: Some(running),
        });
    }
    let mut children = Vec::new();
    let started = tokio::select! {
        started = start_all(&layout, &mut state, &secret, &mut children, say) => started,
        () = shutdown.stopped() => Err(anyhow::anyhow!(INTERRUPTED)),
    };
    match started {
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
        wait(layout, &name, &server.admin, Stage::Healthy, server.process).await?;
    }
    say("servers answer; looking for the placement");
    let placement = place(layout, state, secret).await?;
    state.cluster = Some(placement.cluster());
    tracing::debug!(epoch = %placement.epoch(), "placement found or made");
    for at in 0..state.brokers.len() {
        let child = launch::broker(layout, state, &state.brokers[at])?;
        state.brokers[at].process = Some(ProcessId::of(child.id())?);
        children.push((format!("broker-{}", state.brokers[at].number), child));
    }
    state.write(layout)?;
    say("servers are comparing their data");
    for server in &state.servers {
        let name = format!("server-{}", server.number);
        wait(layout, &name, &server.admin, Stage::Ready, server.process).await?;
    }
    for broker in &state.brokers {
        let name = format!("broker-{}", broker.number);
        wait(layout, &name, &broker.http, Stage::Ready, broker.process).await?;
    }
    Ok(())
}

async fn wait(
    layout: &Layout,
    name: &str,
    address: &str,
    stage: Stage,
    process: Option<ProcessId>,
) -> Result<()> {
    // On a thread of its own, so that a signal is heard meanwhile; it ends with the process that
    // it waits for.
    let address = address.to_owned();
    let waiting = tokio::task::spawn_blocking(move || admin::wait(&address, stage, process));
    waiting.await?.with_context(|| {
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
    let bootstrap = match state.cluster {
        Some(_) => Bootstrap::No,
        None => Bootstrap::Yes,
    };
    let (placement, unreached) = learn_or_make(
        &servers,
        state.copies,
        quorums,
        bootstrap,
        secret,
        PLACEMENT_MAX,
    )
    .await?;
    for server in unreached {
        tracing::warn!(server = %server.server, why = server.why, "not reached");
    }
    let current = current_members(state, &placement)?;
    let placement = if current == placement.members() {
        placement
    } else {
        // The same placement under new addresses is not a new epoch.
        let mut parts: Parts = placement.parts().clone();
        parts.members = current;
        parts.address_revision += 1;
        Placement::new(parts)?
    };
    // Offered to all, whoever has it already: an earlier start may have ended between two.
    for server in &state.servers {
        let expected = Expected {
            cluster: Some(placement.cluster()),
            member: None,
        };
        let client = PeerClient::start(server.peer.clone(), expected, secret.clone());
        client.settled(PLACEMENT_MAX).await;
        match client.call(Request::Adopt(placement.clone())).await {
            Ok(Reply::Adopted { .. }) => {}
            other => bail!(
                "server {} did not take the placement: {other:?}",
                server.number
            ),
        }
    }
    Ok(placement)
}

/// The placement's members at the addresses where they answer now.
fn current_members(state: &ClusterState, placement: &Placement) -> Result<Vec<Member>> {
    let mut members = placement.members().to_vec();
    for server in &state.servers {
        let id = admin::status(&server.admin)?.id;
        match members.iter_mut().find(|member| member.id == id) {
            Some(member) => member.address.clone_from(&server.peer),
            None => bail!(not_named(server.number, id)),
        }
    }
    Ok(members)
}

/// Why a server with data of another member, or none, is not taken into the cluster.
pub(super) fn not_named(number: u16, id: MemberId) -> String {
    format!(
        "server {number} is member {id}, which the placement does not name: its directory was \
         emptied or exchanged; bring the old one back (replacing a member comes later)"
    )
}
