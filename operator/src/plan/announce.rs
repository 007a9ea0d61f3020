//! Who has to be told of the placement in force: every server in it and every broker that has an
//! older one.

use std::fmt;

use kvcore::placement::{ClusterId, Epoch, Placement};
use uuid::Uuid;

use crate::{names, observed::Observed};

/// Somebody to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// Name of the pod.
    pub pod: String,
    /// Where it takes placements, `host:port`.
    pub address: String,
    /// The process there, as it called itself.
    pub process: Uuid,
}

/// Whoever has an older placement, or none.
pub(super) fn decide(placement: &Placement, observed: &Observed) -> Vec<Announce> {
    let age = (placement.epoch(), placement.parts().address_revision);
    let is_behind = |cluster: Option<ClusterId>, has: (Epoch, u64)| {
        cluster.is_none_or(|cluster| cluster == placement.cluster()) && has < age
    };
    let servers = observed.servers.values().filter_map(|pod| {
        let status = pod.heard.answer()?;
        // A blank server that is not in the placement keeps its freedom to join as a new member.
        placement.index_of(status.id)?;
        let behind = is_behind(status.cluster, (status.epoch, status.address_revision));
        behind.then_some(Announce {
            pod: pod.pod.name.clone(),
            address: at(pod.pod.address()?, names::ADMIN_PORT),
            process: status.id.0,
        })
    });
    let brokers = observed.brokers.iter().filter_map(|pod| {
        let status = pod.heard.as_ref()?;
        let behind = is_behind(status.cluster, (status.epoch, status.address_revision));
        behind.then_some(Announce {
            pod: pod.pod.name.clone(),
            address: at(pod.pod.address()?, names::HTTP_PORT),
            process: status.id.0,
        })
    });
    servers.chain(brokers).collect()
}

/// `host:port` of an address of either kind.
pub fn at(ip: &str, port: i32) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}

impl fmt::Display for Announce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.pod, self.address)
    }
}
