//! Addresses and ports that a cluster takes, and who may have them already.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use super::Problem;
use crate::{
    command::Command,
    control_plane::{ETCD_PEER_PORT, ETCD_PORT},
    error::Result,
    network::Owner,
    topology::{API_PORT, BRIDGE, HOST_ADDRESS, NODE_NETWORK, POD_NETWORK, SERVICE_NETWORK},
};

/// Where the controller manager and the scheduler tell how they are.
const HEALTH_PORTS: [u16; 2] = [10257, 10259];

/// What is taken by somebody else than the cluster in this directory.
pub(super) fn problems(root: &Path) -> Result<Vec<Problem>> {
    let owner = Owner::now();
    if let Some(problem) = another(&owner, root) {
        // It has the ports and routes, too: there is nothing to add.
        return Ok(vec![problem]);
    }
    let taken: Vec<(Ipv4Addr, u16)> = ports().into_iter().filter(|at| is_taken(*at)).collect();
    let routes = Command::line("ip -4 route show").output()?;
    Ok(in_use(&taken).into_iter().chain(judge(&routes)).collect())
}

fn another(owner: &Owner, root: &Path) -> Option<Problem> {
    match owner {
        Owner::Cluster(other) if other.as_os_str().is_empty() => Some(Problem::new(
            format!("there is a bridge {BRIDGE} that does not say whose it is"),
            format!("`ip link delete {BRIDGE}` takes it away, if no cluster is up"),
        )),
        Owner::Cluster(other) if other != root => {
            let other = other.display();
            Some(Problem::new(
                format!("a machine has one cluster at a time, and the one in {other} has {BRIDGE}"),
                format!("end it: cargo xtask cluster --home {other} down"),
            ))
        }
        Owner::Nobody | Owner::Cluster(_) => None,
    }
}

fn ports() -> Vec<(Ipv4Addr, u16)> {
    let local = [ETCD_PORT, ETCD_PEER_PORT].into_iter().chain(HEALTH_PORTS);
    let local = local.map(|port| (Ipv4Addr::LOCALHOST, port));
    local.chain([(HOST_ADDRESS, API_PORT)]).collect()
}

/// An address that the machine does not have yet is free.
fn is_taken(at: (Ipv4Addr, u16)) -> bool {
    TcpListener::bind(at).is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

/// One problem, however many there are: most often it is one other cluster that has all of them.
fn in_use(taken: &[(Ipv4Addr, u16)]) -> Option<Problem> {
    let (_, first) = taken.first()?;
    let names = taken
        .iter()
        .map(|(address, port)| format!("{address}:{port}"));
    Some(Problem::new(
        format!(
            "somebody listens on {}",
            names.collect::<Vec<_>>().join(", ")
        ),
        format!(
            "`ss -ltnp 'sport = :{first}'` shows who; a cluster with another directory is ended by \
             `cargo xtask cluster --home DIRECTORY down`"
        ),
    ))
}

/// Routes of others that lead where nodes, pods or Services will be.
fn judge(routes: &str) -> Vec<Problem> {
    let wanted = [NODE_NETWORK, POD_NETWORK, SERVICE_NETWORK].map(|network| {
        (
            network,
            Network::parse(network).expect("it is written as one"),
        )
    });
    let mut problems = Vec::new();
    for line in routes.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let device = words
            .windows(2)
            .find(|pair| pair[0] == "dev")
            .map_or("?", |pair| pair[1]);
        let Some(there) = words.first().and_then(|word| Network::parse(word)) else {
            continue;
        };
        for (network, _) in wanted.iter().filter(|(_, wanted)| wanted.overlaps(there)) {
            if device != BRIDGE {
                problems.push(Problem::new(
                    format!(
                        "the network {network} is needed, and {} leads to {device}",
                        words[0]
                    ),
                    format!(
                        "`ip route delete {}` takes that route away, if nobody needs it",
                        words[0]
                    ),
                ));
            }
        }
    }
    problems
}

/// An address and how many of its bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: u32,
    length: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').unwrap_or((text, "32"));
        let address: Ipv4Addr = address.parse().ok()?;
        let length = length.parse().ok().filter(|length| *length <= 32)?;
        Some(Self {
            address: address.to_bits(),
            length,
        })
    }

    fn overlaps(self, other: Self) -> bool {
        let common = self.length.min(other.length);
        let differing = self.address ^ other.address;
        common == 0 || differing >> (32 - common) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_overlap_where_one_lies_in_the_other() {
        let network = |text| Network::parse(text).unwrap();
        assert!(network("10.244.3.0/24").overlaps(network("10.244.0.0/16")));
        assert!(network("10.0.0.0/8").overlaps(network("10.244.0.0/16")));
        assert!(!network("10.245.0.0/16").overlaps(network("10.244.0.0/16")));
        assert!(network("172.30.0.9").overlaps(network("172.30.0.0/24")));
        assert_eq!(Network::parse("default"), None);
        assert_eq!(Network::parse("10.0.0.0/33"), None);
    }

    #[test]
    fn others_routes_are_in_the_way_our_own_are_not() {
        let routes = "default via 192.0.2.1 dev eth0\n192.0.2.0/24 dev eth0 proto kernel\n\
                      172.30.0.0/24 dev kvasir0 proto kernel scope link\n\
                      10.244.1.0/24 via 172.30.0.11 dev kvasir0\n";
        assert_eq!(judge(routes), []);
        let said = judge("10.96.0.0/12 dev tun0\n");
        assert_eq!(said.len(), 1);
        assert!(
            said[0].what.contains("10.96.0.0/12 leads to tun0"),
            "{said:?}"
        );
        assert!(said[0].cure.contains("ip route delete 10.96.0.0/12"));
    }

    #[test]
    fn another_cluster_is_named_with_what_ends_it() {
        let (ours, theirs) = (Path::new("/a/place"), Path::new("/b"));
        let said = another(&Owner::Cluster(theirs.to_owned()), ours).unwrap();
        assert!(said.cure.ends_with("--home /b down"), "{said:?}");
        assert_eq!(another(&Owner::Cluster(ours.to_owned()), ours), None);
        assert_eq!(another(&Owner::Nobody, ours), None);
        assert!(another(&Owner::Cluster("".into()), ours).is_some());
    }

    #[test]
    fn a_port_that_is_listened_on_is_taken() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let number = listener.local_addr().unwrap().port();
        assert!(is_taken((Ipv4Addr::LOCALHOST, number)));
        assert_eq!(in_use(&[]), None);
        let both = in_use(&[(Ipv4Addr::LOCALHOST, number), (HOST_ADDRESS, 6443)]).unwrap();
        assert!(
            both.what
                .contains(&format!("127.0.0.1:{number}, 172.30.0.1:6443"))
        );
    }
}
