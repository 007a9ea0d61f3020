//! A real Kubernetes with several nodes on one Linux machine, without Docker, and faults in it.
//!
//! [`Cluster::up`] starts one: etcd and the control plane as processes of the machine, each node as
//! namespaces with a containerd, a kubelet and a kube-proxy of its own. What a test breaks, it breaks by
//! a call that returns a [`Fault`], and mends by dropping it. docs/cluster.md tells how it is laid out.
//!
//! Every function blocks; asynchronous callers run them where blocking is allowed.

mod addons;
mod api;
mod cgroups;
mod cluster;
mod command;
mod control_plane;
mod digest;
mod error;
mod faults;
mod home;
mod images;
mod limits;
mod network;
mod node;
mod pki;
mod preflight;
mod process;
mod procfs;
mod programs;
mod status;
mod sysctls;
mod topology;
mod usage;
mod wait;

pub use cluster::{Cluster, Options, Wipe, down};
pub use error::{Error, Result};
pub use faults::{Direction, Fault};
pub use home::{HOME_VARIABLE, Home, TOOLS_VARIABLE};
pub use images::{ImageConfig, TOOLS, copy_program, pack_image};
pub use limits::NODES_MAX;
pub use preflight::{Problem, Problems, check, install};
pub use programs::{Programs, Progress, tool};
pub use status::{NodeStatus, Status};
pub use topology::{NodeNumber, Topology};
pub use usage::{PodUsage, Usage};
