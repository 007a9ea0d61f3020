//! What scenarios share: the cluster, its programs, the images, and the operator installed by the
//! chart.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use kvasir_cluster::{Cluster, Options, Wipe};

use crate::{
    Arguments, Provider,
    client::Client,
    kubectl::Kubectl,
    kvcluster::KvCluster,
    namespace::Namespace,
    operator::Operator,
    rights::{Since, Unused},
    wait,
};

/// Where the operator is installed.
pub(crate) const OPERATOR_NAMESPACE: &str = "kvasir-system";

/// Name of the release, and so of the operator's objects.
pub(crate) const RELEASE: &str = "kvasir";

/// How long the operator may take to be ready.
const INSTALL_MAX: &str = "90s";

/// How long its pods may take to go.
const UNINSTALL_MAX: Duration = Duration::from_mins(1);

/// How long nodes may take to know a new Service.
const CONNECT_MAX: Duration = Duration::from_secs(15);

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
        self.helm(&[
            "upgrade",
            "--install",
            RELEASE,
            &self.chart(),
            "--create-namespace",
            "--set",
            &self.tag_value(),
            "--wait",
            "--timeout",
            INSTALL_MAX,
        ])
    }

    /// Uninstalls it, and waits until it is gone.
    pub(crate) fn uninstall(&self) -> Result<()> {
        let arguments = ["uninstall", RELEASE, "--wait", "--timeout", INSTALL_MAX];
        self.helm(&arguments)?;
        wait::until_true("the operator is gone", UNINSTALL_MAX, || {
            Ok(Operator::of(self).runs()?.is_empty())
        })
    }

    /// `helm` in the operator's namespace.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Result<()> {
        self.kubectl.within(OPERATOR_NAMESPACE).helm(arguments)?;
        Ok(())
    }

    /// Where the chart is.
    pub(crate) fn chart(&self) -> String {
        self.root.join("charts/kvasir").display().to_string()
    }

    /// The images' tag.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// The value that chooses the images.
    pub(crate) fn tag_value(&self) -> String {
        format!("image.tag={}", self.tag)
    }

    /// Where the repository is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Gives the images one more tag, on all nodes.
    pub(crate) fn tag_images(&self, tag: &str) -> Result<()> {
        let cluster = self.cluster()?;
        for node in cluster.topology().nodes() {
            for image in ["registry.local/kvasir", "registry.local/kvasir-operator"] {
                let (there, new) = (format!("{image}:{}", self.tag), format!("{image}:{tag}"));
                let words = ["ctr", "--namespace=k8s.io", "images", "tag", "--force"];
                cluster.run_in(node, &[&words[..], &[&there, &new]].concat())?;
            }
        }
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

    /// Files of the repository in this directory whose names end so, in order.
    pub(crate) fn files(&self, directory: &str, extension: &str) -> Result<Vec<PathBuf>> {
        let directory = self.root.join(directory);
        let entries = std::fs::read_dir(&directory)
            .with_context(|| format!("cannot read {}", directory.display()))?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == extension) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// The basic example with a Service that is reached from this machine, at [`Self::connect`].
    pub(crate) fn basic(&self) -> Result<String> {
        let example = self.file("manifests/examples/basic.yaml")?;
        Ok(example.replace(
            "  brokers:\n",
            "  brokers:\n    service:\n      type: NodePort\n",
        ))
    }

    /// Waits until a `KvCluster` is ready.
    pub(crate) fn wait_ready(namespace: &Namespace, name: &str, limit: Duration) -> Result<()> {
        KvCluster::named(namespace, name).ready(limit)
    }

    /// A client of a cluster with a `NodePort` Service, once nodes know the Service.
    pub(crate) fn connect(&self, namespace: &Namespace, service: &str) -> Result<Client> {
        wait::until("the node port answers", CONNECT_MAX, || {
            let address = self.node_port(namespace, service);
            let client = address.and_then(Client::connect);
            Ok(client.map_err(|error| format!("{error:#}")))
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
