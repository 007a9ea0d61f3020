//! What scenarios share: the cluster, its programs, the images, and the operator installed by the
//! chart.

use std::{env, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use kvasir_cluster::{Cluster, Options, Wipe};

use crate::{
    Arguments, Provider,
    kubectl::Kubectl,
    namespace::Namespace,
    rights::{Since, Unused},
    wait,
};

/// Where the operator is installed.
pub(crate) const OPERATOR_NAMESPACE: &str = "kvasir-system";

/// Name of the release, and so of the operator's objects.
pub(crate) const RELEASE: &str = "kvasir";

/// How long the operator may take to be ready.
const INSTALL_MAX: &str = "90s";

/// A cluster with the operator in it.
#[derive(Debug)]
pub(crate) struct World {
    cluster: Option<Cluster>,
    /// Whether this run started it, and so ends it.
    started: bool,
    kubectl: Kubectl,
    root: PathBuf,
    tag: String,
    /// Requests since then are this run's, where they are written down.
    since: Option<Since>,
}

impl World {
    /// The cluster, started if it is not there, with images and the operator.
    pub(crate) fn begin(arguments: &Arguments) -> Result<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let root = root
            .parent()
            .context("the crate lies in the repository")?
            .to_owned();
        let mut started = false;
        let (cluster, kubectl) = match arguments.provider {
            Provider::Local => {
                let options = Options::from_environment()?;
                started = Cluster::attach(&options.home).is_err();
                let cluster = Cluster::attach_or_up(&options)?;
                let programs = cluster.programs();
                let kubectl = Kubectl::new(
                    programs.kubectl.clone(),
                    programs.helm.clone(),
                    Some(cluster.kubeconfig().to_owned()),
                );
                (Some(cluster), kubectl)
            }
            Provider::Existing => {
                if env::var_os("KUBECONFIG").is_none() {
                    bail!("--provider existing takes the cluster that KUBECONFIG names: set it");
                }
                (None, Kubectl::new("kubectl".into(), "helm".into(), None))
            }
        };
        let since = cluster.as_ref().map(|cluster| Since::now(cluster.home()));
        let world = Self {
            since: since.transpose()?,
            cluster,
            started,
            kubectl,
            root,
            tag: arguments.tag.clone(),
        };
        if let (Some(cluster), Some(images)) = (&world.cluster, &arguments.images) {
            for name in ["kvasir", "operator"] {
                cluster.load_image(&images.join(format!("{name}.tar")))?;
            }
        }
        Ok(world)
    }

    /// Installs the operator by the chart, or upgrades it.
    pub(crate) fn install(&self) -> Result<()> {
        let chart = self.root.join("charts/kvasir");
        let tag = format!("image.tag={}", self.tag);
        self.kubectl.helm(&[
            "upgrade",
            "--install",
            RELEASE,
            &chart.display().to_string(),
            "--namespace",
            OPERATOR_NAMESPACE,
            "--create-namespace",
            "--set",
            &tag,
            "--wait",
            "--timeout",
            INSTALL_MAX,
        ])?;
        Ok(())
    }

    /// Prints how the operator is.
    pub(crate) fn show_operator(&self) {
        let kubectl = self.kubectl.within(OPERATOR_NAMESPACE);
        let name = "deployment/kvasir-operator";
        for arguments in [&["describe", "pods"][..], &["logs", name, "--tail=60"]] {
            println!("--- kubectl {}", arguments.join(" "));
            match kubectl.run(arguments) {
                Ok(text) => println!("{text}"),
                Err(error) => println!("{error:#}"),
            }
        }
    }

    /// Holds what the operator did against its rights, where that is known.
    pub(crate) fn check_rights(&self, unused: Unused) -> Result<()> {
        match &self.since {
            Some(since) => since.check(&self.kubectl, unused),
            None => Ok(()),
        }
    }

    /// Ends the cluster, if this run started it.
    pub(crate) fn end(self) -> Result<()> {
        match self.cluster {
            Some(cluster) if self.started => Ok(cluster.down(Wipe::State)?),
            _ => Ok(()),
        }
    }

    /// Whether the cluster goes with this run, and whatever is in it.
    pub(crate) fn is_its_own(&self) -> bool {
        self.started
    }

    /// `kubectl` on the whole cluster.
    pub(crate) fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The cluster on this machine; an error where it is somebody else's.
    pub(crate) fn cluster(&self) -> Result<&Cluster> {
        self.cluster
            .as_ref()
            .context("nodes can be broken on the local provider alone")
    }

    /// A file of the repository.
    pub(crate) fn file(&self, path: &str) -> Result<String> {
        let path = self.root.join(path);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Waits until a `KvCluster` is ready.
    pub(crate) fn wait_ready(namespace: &Namespace, name: &str, limit: Duration) -> Result<()> {
        let kubectl = namespace.kubectl();
        wait::until(&format!("KvCluster {name} is ready"), limit, || {
            let cluster = kubectl.get(&["kvcluster", name])?;
            let conditions = cluster["status"]["conditions"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let ready = conditions
                .iter()
                .find(|condition| condition["type"] == "Ready");
            let is_current =
                cluster["status"]["observedGeneration"] == cluster["metadata"]["generation"];
            Ok(match ready {
                Some(ready) if ready["status"] == "True" && is_current => Ok(()),
                Some(ready) => Err(ready["message"].as_str().unwrap_or_default().to_owned()),
                None => Err("it has no status yet".to_owned()),
            })
        })
    }

    /// Where the line protocol of a cluster with a `NodePort` Service is reached from this machine.
    pub(crate) fn node_port(&self, namespace: &Namespace, service: &str) -> Result<SocketAddr> {
        let service = namespace.kubectl().get(&["service", service])?;
        let ports = service["spec"]["ports"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let line = ports.iter().find(|port| port["name"] == "line");
        let port = line.and_then(|port| port["nodePort"].as_u64());
        let port = port.context("the Service has no node port")?;
        let nodes = self.kubectl.list(&["nodes"])?;
        let addresses = nodes
            .iter()
            .filter_map(|node| node["status"]["addresses"].as_array())
            .flatten();
        let mut internal = addresses.filter(|address| address["type"] == "InternalIP");
        let address = internal
            .next()
            .and_then(|address| address["address"].as_str());
        let address = address.context("no node has an address")?;
        format!("{address}:{port}").parse().context("no address")
    }
}
