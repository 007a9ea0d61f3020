//! Nodes and pods that exist for the API server alone: KWOK says of them whatever a kubelet would.
//! Their addresses belong to nobody, so no server and no broker there ever answers.

use std::{
    fmt::Write as _,
    fs,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use kvasir_cluster::{Progress, tool};

use crate::{kubectl::Kubectl, namespace::Namespace, world::World};

/// What KWOK does to nodes and pods.
const STAGES: &str = include_str!("fakes/stages.yaml");

/// The nodes, and a class of volumes that nobody makes.
const NODES: &str = include_str!("fakes/nodes.yaml");

/// Names the fake nodes.
const LABEL: &str = "kvasir.dev/fake";

/// Servers and brokers of a cluster, as in the basic example.
const SERVERS: u32 = 3;
const BROKERS: u32 = 2;

/// Fake nodes, a KWOK that looks after them, and volumes for so many clusters.
#[derive(Debug)]
pub(super) struct Fakes {
    kwok: Child,
    kubectl: Kubectl,
    clusters: u32,
}

impl Fakes {
    /// Makes nodes and volumes.
    pub(super) fn begin(world: &World, clusters: u32) -> Result<Self> {
        let cluster = world.cluster()?;
        let program = tool(cluster.home(), "kwok", Progress::Shown)?;
        let config = cluster.home().root().join("etc/kwok.yaml");
        fs::write(&config, STAGES).with_context(|| format!("cannot write {}", config.display()))?;
        let log = cluster.home().logs().join("kwok.log");
        let log =
            fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // It ends with us, however we end.
        let kwok = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .arg("--kubeconfig")
            .arg(cluster.kubeconfig())
            .arg("--config")
            .arg(&config)
            .arg("--manage-all-nodes=false")
            .arg(format!("--manage-nodes-with-label-selector={LABEL}=true"))
            .arg("--node-lease-duration-seconds=40")
            // It needs no port of the machine's: nobody asks for logs of what never ran.
            .arg("--node-port=0")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start kwok")?;
        let fakes = Self {
            kwok,
            kubectl: world.kubectl().clone(),
            clusters,
        };
        fakes.kubectl.apply(NODES)?;
        fakes.kubectl.apply(&volumes(clusters * SERVERS))?;
        Ok(fakes)
    }

    /// All pods of all clusters.
    pub(super) fn pods(&self) -> u32 {
        self.clusters * (SERVERS + BROKERS)
    }

    /// Applies the clusters.
    pub(super) fn apply(&self, namespace: &Namespace) -> Result<()> {
        let mut text = String::new();
        for number in 1..=self.clusters {
            text.push_str(&cluster(number));
        }
        namespace.kubectl().apply(&text)
    }

    /// Takes nodes and volumes away, for a cluster that goes on.
    pub(super) fn remove(&self) -> Result<()> {
        let selector = format!("--selector={LABEL}=true");
        for kind in ["nodes", "persistentvolumes", "storageclasses"] {
            self.kubectl
                .run(&["delete", kind, &selector, "--wait=false"])?;
        }
        Ok(())
    }
}

impl Drop for Fakes {
    fn drop(&mut self) {
        // It ends with the process; who it was is known.
        let _ = self.kwok.kill();
        let _ = self.kwok.wait();
    }
}

/// A cluster all of whose pods go to fake nodes.
fn cluster(number: u32) -> String {
    let placed = format!(
        "nodeSelector: {{{LABEL}: \"true\"}}, tolerations: [{{key: {LABEL}, operator: Exists}}]"
    );
    format!(
        "---\napiVersion: kvasir.dev/v1alpha1\nkind: KvCluster\nmetadata: {{name: fake-{number}}}\n\
         spec:\n  copies: 3\n  \
         servers: {{replicas: {SERVERS}, storage: {{size: 1Gi, storageClassName: fake}}, {placed}}}\n  \
         brokers: {{replicas: {BROKERS}, {placed}}}\n"
    )
}

/// Volumes that are bound without anybody making them.
fn volumes(count: u32) -> String {
    let mut text = String::new();
    for number in 1..=count {
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: PersistentVolume\n\
             metadata: {{name: fake-{number}, labels: {{{LABEL}: \"true\"}}}}\n\
             spec:\n  storageClassName: fake\n  capacity: {{storage: 1Gi}}\n  \
             accessModes: [ReadWriteOnce]\n  hostPath: {{path: /nowhere}}\n"
        );
    }
    text
}
