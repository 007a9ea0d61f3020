//! The command line of the operator.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use kvnet::logs::LogFormat;

/// Keeps what every `KvCluster` asks for.
#[derive(Debug, Parser)]
#[command(
    name = "kvasir-operator",
    version,
    about = "Keeps what every KvCluster asks for: servers, brokers, and k good copies of every key",
    after_help = "Examples:\n  \
        kvasir-operator run --image registry.local/kvasir:1.0\n  \
        kvasir-operator run --namespace shop --namespace billing\n  \
        kvasir-operator crd | kubectl apply --server-side -f -"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Looks after KvClusters until SIGTERM or SIGINT.
    Run(Box<Run>),
    /// Prints the definition of KvCluster.
    Crd,
    /// Explains what the operator would do, from files alone
    #[command(after_help = PLAN_EXAMPLE)]
    Plan(Plan),
    /// Writes the files that are made from the definition.
    #[command(hide = true)]
    Generate {
        /// Top of the repository.
        #[arg(long)]
        root: PathBuf,
    },
}

const PLAN_EXAMPLE: &str = "Save what it looks at, without any Secret:
  mkdir saved && cd saved
  kubectl -n shop get kvcluster,sts,deploy,svc,sa,cm,pdb,netpol,pvc,pod -o yaml > objects.yaml
  kubectl get nodes -o yaml > nodes.yaml
  for pod in $(kubectl -n shop get pod -o name -l app.kubernetes.io/component=server); do
    at=/api/v1/namespaces/shop/pods/${pod#pod/}:7401/proxy
    kubectl get --raw $at/status > ${pod#pod/}.status.json
    kubectl get --raw $at/placement > ${pod#pod/}.placement.json || rm ${pod#pod/}.placement.json
  done
  kvasir-operator plan --from .";

/// Whose plan to explain.
#[derive(Debug, Args)]
pub struct Plan {
    /// Directory with objects (*.yaml, *.json) and with what servers and brokers said
    /// (POD.status.json, POD.placement.json)
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    /// Which KvCluster, where there are several
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub cluster: Option<String>,
    /// Image of servers and brokers where nothing saved names one
    #[arg(long, default_value = "registry.local/kvasir:unknown")]
    pub image: String,
}

/// How to look after KvClusters.
#[derive(Debug, Args)]
pub struct Run {
    /// Look after the KvClusters of this namespace alone; may be given several times [default: all
    /// namespaces]
    #[arg(
        long = "namespace",
        env = "KVOPERATOR_NAMESPACE",
        value_delimiter = ','
    )]
    pub namespaces: Vec<String>,
    /// Image of servers and brokers where a KvCluster names none
    #[arg(long, env = "KVOPERATOR_IMAGE")]
    pub image: String,
    /// KvClusters that are looked at side by side
    #[arg(long, env = "KVOPERATOR_CONCURRENCY", default_value_t = 8,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Do not look at nodes, which takes a right for the whole cluster: all servers then count as
    /// of one zone
    #[arg(long, env = "KVOPERATOR_WITHOUT_NODES")]
    pub without_nodes: bool,
    /// Act without holding the Lease: only where no second operator can run
    #[arg(long, env = "KVOPERATOR_WITHOUT_LEADER_ELECTION")]
    pub without_leader_election: bool,
    /// Namespace of the Lease [default: the operator's own]
    #[arg(long, env = "KVOPERATOR_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Name of the Lease
    #[arg(long, env = "KVOPERATOR_LEASE_NAME", default_value = "kvasir-operator")]
    pub lease_name: String,
    /// Name of this operator in the Lease and in Events [default: the host's name and a number]
    #[arg(long, env = "KVOPERATOR_IDENTITY")]
    pub identity: Option<String>,
    /// Where HTTP listens: /healthz /readyz /metrics
    #[arg(long, env = "KVOPERATOR_LISTEN", default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,
    /// How log lines look
    #[arg(
        long,
        env = "KVOPERATOR_LOG_FORMAT",
        default_value = "text",
        value_name = "text|json"
    )]
    pub log_format: LogFormat,
}
