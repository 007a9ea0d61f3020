//! What a cluster shall be: what its directory has, changed by what is asked for.

use anyhow::{Result, bail};

use super::UpOptions;
use crate::{
    cluster::{
        layout::{PORT_BASE_DEFAULT, PORT_BASE_MAX, Ports},
        state::{BrokerState, ClusterState, ServerState},
    },
    limits::{BROKERS_MAX, SERVERS_MAX},
};

/// What the directory has, changed by what was asked for, as far as that can be changed.
pub(super) fn wanted(options: &UpOptions, before: Option<&ClusterState>) -> Result<ClusterState> {
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
    let base = base.unwrap_or(PORT_BASE_DEFAULT);
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
        cluster: before.and_then(|before| before.cluster),
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
