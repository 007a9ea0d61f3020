//! The cluster as a whole: up, found again, down.

mod nodes;
mod state;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Instant,
};

use crate::{
    addons,
    api::{Api, all_ready},
    cgroups, control_plane,
    error::{Error, Result},
    home::{Home, remove, write_file},
    images,
    limits::NODE_READY_MAX,
    network::{self, Owner},
    node, pki, preflight, process,
    programs::{Programs, Progress},
    sysctls,
    topology::{NodeNumber, Topology, all_nodes},
    wait::{Look, wait_for},
};
use state::State;

/// What a cluster is to be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it keeps what it has.
    pub home: Home,
    /// Its nodes and zones.
    pub topology: Topology,
    /// Whether it tells on the standard error what it does.
    pub progress: Progress,
}

impl Options {
    /// Three nodes in three zones, in the place that the environment names.
    pub fn from_environment() -> Result<Self> {
        Ok(Self {
            home: Home::from_environment()?,
            topology: Topology::default(),
            progress: Progress::Shown,
        })
    }
}

/// What `down` takes along beside everything that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wipe {
    /// Nothing: the next `up` finds all objects and volumes again.
    Nothing,
    /// Objects, volumes, logs. Images stay imported, which saves most of the next start.
    State,
    /// The whole directory, keys and images, too. Only the built programs stay.
    Everything,
}

/// A cluster that is up. Copies are cheap and mean the same one; dropping them ends nothing.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    home: Home,
    topology: Topology,
    programs: Programs,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// Starts one and waits until its nodes are Ready and names are answered for.
    ///
    /// Takes minutes the first time, while programs are built; some ten seconds from then on. What
    /// is left of a run that died is cleared away first. Where it fails, nothing is left running.
    pub fn up(options: &Options) -> Result<Self> {
        let lock = options.home.lock()?;
        Self::up_under(&lock, options)
    }

    fn up_under(_lock: &std::fs::File, options: &Options) -> Result<Self> {
        let home = &options.home;
        match State::of(home)? {
            State::Up(topology) => {
                return Err(Error::AlreadyUp {
                    nodes: topology.len(),
                });
            }
            State::Half { ended } => {
                return Err(Error::HalfUp {
                    ended: ended.join(", "),
                    logs: home.logs(),
                });
            }
            State::Down => {}
            State::Died => stop_everything(home)?,
        }
        preflight::check(home)?;
        let programs = Programs::build(home, options.progress)?;
        let started = start(options, &programs);
        if started.is_err() {
            // The first error is the one that says why.
            let _ = stop_everything(home);
        }
        started.map(|()| Self::new(home.clone(), options.topology, programs))
    }

    /// The cluster that runs in this home.
    pub fn attach(home: &Home) -> Result<Self> {
        match State::settled(home)? {
            State::Up(topology) => Ok(Self::new(home.clone(), topology, Programs::built(home)?)),
            State::Half { ended } => Err(Error::HalfUp {
                ended: ended.join(", "),
                logs: home.logs(),
            }),
            State::Down | State::Died => Err(Error::NotUp),
        }
    }

    /// The one that runs, else a new one. Of several callers at once one starts it, and all get it.
    pub fn attach_or_up(options: &Options) -> Result<Self> {
        let lock = options.home.wait_for_lock()?;
        match Self::attach(&options.home) {
            Err(Error::NotUp) => Self::up_under(&lock, options),
            attached => attached,
        }
    }

    fn new(home: Home, topology: Topology, programs: Programs) -> Self {
        let kubeconfig = home.kubeconfig();
        Self {
            inner: Arc::new(Inner {
                home,
                topology,
                programs,
                kubeconfig,
            }),
        }
    }

    /// How clients reach it, as its administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.inner.kubeconfig
    }

    /// Where it keeps what it has.
    pub fn home(&self) -> &Home {
        &self.inner.home
    }

    /// Its nodes and zones.
    pub fn topology(&self) -> Topology {
        self.inner.topology
    }

    /// kubectl and helm, of the cluster's own version.
    pub fn programs(&self) -> &Programs {
        &self.inner.programs
    }

    /// The node with this number, counted from 1.
    pub fn node(&self, number: u8) -> Result<NodeNumber> {
        self.topology().node(number)
    }

    pub(crate) fn api(&self) -> Api {
        Api::new(self.home())
    }

    /// Ends it.
    pub fn down(self, wipe: Wipe) -> Result<()> {
        down(self.home(), wipe)
    }
}

/// Ends whatever runs in this home, whole or half, and takes along what `wipe` says.
pub fn down(home: &Home, wipe: Wipe) -> Result<()> {
    let lock = home.lock()?;
    stop_everything(home)?;
    match wipe {
        Wipe::Nothing => {}
        Wipe::State => {
            for node in all_nodes() {
                node::wipe(home, node)?;
            }
            remove(&home.etcd())?;
            remove(&home.logs())?;
        }
        Wipe::Everything => {
            drop(lock);
            remove(home.root())?;
        }
    }
    Ok(())
}

fn stop_everything(home: &Home) -> Result<()> {
    let remembers = home.run_file("topology.json").exists();
    if !Owner::now().lets(home.root(), remembers) {
        // Links, routes and cgroups of these names are another cluster's, and it may be up. Processes
        // are known by more than their names.
        end_recorded(home)?;
        return remove(&home.run());
    }
    // Nodes first, and all at once: there is nothing that they should still tell anybody.
    on_each(all_nodes(), |node| node::end(home, node))?;
    control_plane::stop(home)?;
    end_recorded(home)?;
    network::remove_all()?;
    cgroups::remove_all()?;
    sysctls::restore(home)?;
    remove(&home.run())
}

fn end_recorded(home: &Home) -> Result<()> {
    let mut recorded = process::recorded(home)?.into_iter();
    recorded.try_for_each(|(_, process)| process.end())
}

/// Does the same to several nodes at once; the first error of any is returned, once all are done.
fn on_each(
    nodes: impl Iterator<Item = NodeNumber>,
    act: impl Fn(NodeNumber) -> Result<()> + Sync,
) -> Result<()> {
    thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> = nodes.map(|node| scope.spawn(move || act(node))).collect();
        let ended = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        ended.fold(Ok(()), Result::and)
    })
}

fn start(options: &Options, programs: &Programs) -> Result<()> {
    let Options {
        home,
        topology,
        progress,
    } = options;
    let said = Said::new(*progress);
    home.make()?;
    State::record(home, *topology)?;
    sysctls::save(home)?;
    pki::make(home)?;
    // Pods that ask the node's own resolver find none: there is nothing outside to be asked.
    write_file(&home.etc("resolv.conf"), "nameserver 10.255.255.53\n")?;
    images::pack_all(home, programs)?;
    said.step("keys and images are there");
    network::make_bridge(home.root())?;
    control_plane::begin(home, programs)?;
    on_each(topology.nodes(), |node| {
        node::begin(home, programs, *topology, node)?;
        node::prepare(home, node)
    })?;
    said.step("nodes have power and images");
    control_plane::wait_ready(home)?;
    said.step("the API server answers");
    control_plane::finish(home, programs)?;
    let nodes: Vec<NodeNumber> = topology.nodes().collect();
    let api = Api::new(home);
    let before = api.nodes()?;
    for node in &nodes {
        node::admit(home, *node)?;
    }
    addons::apply(home, programs)?;
    state::forget_strangers(programs, home, *topology, &before)?;
    wait_nodes(&api, &nodes, &before)?;
    said.step("all nodes are Ready");
    addons::wait_ready(home, *topology)?;
    said.step("DNS answers on every node");
    Ok(())
}

fn wait_nodes(api: &Api, nodes: &[NodeNumber], before: &[crate::api::NodeReport]) -> Result<()> {
    wait_for("nodes to be Ready", NODE_READY_MAX, || {
        let ready = api.nodes().map_err(|error| error.to_string());
        let ready = ready.and_then(|now| all_ready(nodes, &now, before));
        Ok(ready.map_or_else(Look::NotYet, Look::Seen))
    })
}

/// Tells how long the start took so far.
struct Said {
    progress: Progress,
    since: Instant,
}

impl Said {
    fn new(progress: Progress) -> Self {
        Self {
            progress,
            since: Instant::now(),
        }
    }

    fn step(&self, what: &str) {
        if self.progress == Progress::Shown {
            eprintln!("{:5.1} s  {what}", self.since.elapsed().as_secs_f64());
        }
    }
}
