//! A `KvCluster` for tests, as an API server would hand it out.
//!
//! Its names differ from anything that the operator uses itself, so that a swapped one shows.

use kvcore::{
    placement::{Epoch, MemberId, Placement},
    status::{MemberStatus, StorageMode, SyncMode},
};
use uuid::Uuid;

use crate::{
    crd::{KvCluster, KvClusterSpec},
    observed::{Heard, Observed, Recorded, ServerPod, pods::PodFacts},
    plan,
    validate::{Validated, validate},
};

/// UID of [`cluster`].
pub(crate) const UID: &str = "6f1f6f0a-8a0e-4d3b-9a53-0c9b0a6d1c11";

/// Three servers, three copies, everything else as the schema fills it in.
pub(crate) fn cluster() -> KvCluster {
    let spec: KvClusterSpec = serde_json::from_str("{}").expect("every field has a default");
    let mut cluster = KvCluster::new("carts", spec);
    cluster.metadata.namespace = Some("shop".to_owned());
    cluster.metadata.uid = Some(UID.to_owned());
    cluster.metadata.generation = Some(4);
    cluster
}

/// The same, validated.
pub(crate) fn validated() -> Validated {
    validate(&cluster(), "registry.local/kvasir:1").expect("it is valid")
}

/// The member on the disk of the server with this ordinal.
pub(crate) fn member(ordinal: i32) -> MemberId {
    let number = u128::try_from(ordinal).expect("ordinals are not negative");
    MemberId(Uuid::from_u128(0xd15c_0000 + number))
}

/// What a server with an empty disk says.
pub(crate) fn blank(ordinal: i32) -> MemberStatus {
    MemberStatus {
        id: member(ordinal),
        cluster: None,
        epoch: Epoch::default(),
        digest: None,
        author: None,
        address_revision: 0,
        ready: false,
        reason: Some("it is blank".to_owned()),
        slots: 0,
        slots_unsynced: 0,
        slots_damaged: 0,
        damage_met: 0,
        slots_behind: 0,
        keys: 0,
        tombstones: 0,
        memory_bytes: 0,
        log_bytes: 0,
        mode: StorageMode::Memory,
        sync: SyncMode::Always,
        started_at: 0,
        program: "0.1.0".to_owned(),
        sessions: Vec::new(),
        slots_left: None,
    }
}

/// What a server says that follows this placement and has caught up.
pub(crate) fn follows(ordinal: i32, placement: &Placement) -> MemberStatus {
    MemberStatus {
        cluster: Some(placement.cluster()),
        epoch: placement.epoch(),
        digest: Some(placement.digest()),
        author: Some(placement.parts().author),
        address_revision: placement.parts().address_revision,
        ready: true,
        reason: None,
        ..blank(ordinal)
    }
}

/// A server pod that runs, each in a zone of its own.
pub(crate) fn pod(ordinal: i32, heard: Heard) -> ServerPod {
    ServerPod {
        pod: PodFacts {
            name: format!("carts-server-{ordinal}"),
            uid: format!("uid-{ordinal}"),
            ip: Some(format!("10.1.0.{ordinal}")),
            node: Some(format!("n{ordinal}")),
            ready: true,
            ..PodFacts::default()
        },
        zone: format!("z{ordinal}"),
        heard,
    }
}

/// Three server pods that say what `says` makes of their ordinals.
pub(crate) fn observed(says: impl Fn(i32) -> Heard) -> Observed {
    Observed {
        servers: (0..3)
            .map(|ordinal| (ordinal, pod(ordinal, says(ordinal))))
            .collect(),
        ..Observed::default()
    }
}

/// An answer.
pub(crate) fn answer(status: MemberStatus) -> Heard {
    Heard::Answer(Box::new(status))
}

/// The first placement of three blank servers.
pub(crate) fn placement() -> Placement {
    let plan = plan::plan(&validated(), &observed(|ordinal| answer(blank(ordinal))));
    plan.placement
        .in_force(&Recorded::Absent)
        .cloned()
        .expect("the first is made")
}

/// The record of a placement.
pub(crate) fn recorded(placement: Placement) -> Recorded {
    Recorded::Known {
        placement,
        resource_version: "41".to_owned(),
    }
}

/// A cluster where all is well.
pub(crate) fn settled() -> Observed {
    let placement = placement();
    let observed = observed(|ordinal| answer(follows(ordinal, &placement)));
    Observed {
        recorded: recorded(placement),
        ..observed
    }
}
