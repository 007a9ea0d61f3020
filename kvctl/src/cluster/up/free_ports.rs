//! Whether the cluster's ports are free, asked before anything is started.
//!
//! A process that finds its port taken ends by itself, but where another cluster has the port, that
//! one's answers would be taken for those of the process that is being started.

use std::{io::ErrorKind, net::TcpListener};

use anyhow::{Result, bail};

use crate::cluster::state::ClusterState;

/// An error names the first port that cannot be had, and what it is for.
pub(super) fn check(state: &ClusterState) -> Result<()> {
    let servers = state.servers.iter().flat_map(|server| {
        let name = format!("server {}", server.number);
        [(name.clone(), &server.peer), (name, &server.admin)]
    });
    let brokers = state.brokers.iter().flat_map(|broker| {
        let name = format!("broker {}", broker.number);
        [(name.clone(), &broker.line), (name, &broker.http)]
    });
    for (name, address) in servers.chain(brokers) {
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
                "{address} is in use, which {name} needs: stop what listens there, or choose \
                 other ports with --port-base"
            ),
            Err(error) => bail!("cannot listen on {address}, which {name} needs: {error}"),
        }
    }
    Ok(())
}
