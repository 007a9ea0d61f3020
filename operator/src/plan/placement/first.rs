//! The first placement: once every server has said that its disk is empty.

use kvcore::placement::{
    AuthorId, ClusterId, Epoch, Member, Parts, Placement, SlotPlacement, planner,
};

use super::{Decided, Expect, Why};
use crate::{
    crd::OperationKind,
    observed::{Heard, Observed, ServerPod},
    validate::Validated,
};

/// Makes the first placement, or says whom it waits for.
pub(super) fn decide(wanted: &Validated, observed: &Observed) -> Decided {
    let mut members = Vec::new();
    let mut missing = Vec::new();
    for ordinal in 0..wanted.replicas() {
        match member(wanted, observed.servers.get(&ordinal)) {
            Ok(member) => members.push(member),
            Err(why) => missing.push(format!("{}: {why}", wanted.names.server_pod(ordinal))),
        }
    }
    missing.extend(beyond(wanted, observed));
    if !missing.is_empty() {
        let message = format!(
            "the first placement waits until every server has said that its disk is empty; {}",
            missing.join("; ")
        );
        return Decided::wait(OperationKind::Bootstrap, message);
    }
    if let Some((one, other)) = twice(&members) {
        let message = format!("{one} and {other} say that they are the same member");
        return Decided::wait(OperationKind::Bootstrap, message);
    }
    // The planner does not look at the order; people who read the placement do.
    match make(wanted, members) {
        Ok(placement) => Decided::record(placement, Expect::Absent, Why::First),
        Err(why) => Decided::stall("NoPlacement", why),
    }
}

/// Servers and volumes beyond those that were asked for, which may have data: of more servers than
/// now, some may be blank and the others not.
fn beyond(wanted: &Validated, observed: &Observed) -> Vec<String> {
    let asked = wanted.replicas();
    let pods = observed.servers.range(asked..).filter(|(_, pod)| {
        let answer = pod.heard.answer();
        answer.is_none_or(|status| status.cluster.is_some())
    });
    let pods = pods.map(|(_, pod)| format!("{}: it may have data", pod.pod.name));
    let claims = observed.objects.claims.keys().filter(|claim| {
        let ordinal = wanted.names.ordinal_of_claim(claim);
        ordinal.is_some_and(|ordinal| ordinal >= asked && !observed.servers.contains_key(&ordinal))
    });
    let claims = claims.map(|claim| {
        format!(
            "claim {claim} may have data: ask for as many servers as there are claims, or delete it"
        )
    });
    pods.chain(claims).collect()
}

/// The member of a blank server, or why it cannot be named yet.
fn member(wanted: &Validated, pod: Option<&ServerPod>) -> Result<Member, String> {
    let Some(pod) = pod else {
        return Err("there is no pod yet".to_owned());
    };
    if let (None | Some(_), Some(trouble)) = (&pod.pod.ip, &pod.pod.trouble) {
        return Err(format!("{} {}", trouble.reason, trouble.message)
            .trim_end()
            .to_owned());
    }
    let Some(ip) = pod.pod.address() else {
        return Err("it has no address yet".to_owned());
    };
    match &pod.heard {
        Heard::NotYet => Err("it has not been heard yet".to_owned()),
        Heard::Silent(why) => Err(format!("it does not answer: {why}")),
        Heard::Answer(status) => Ok(Member {
            id: status.id,
            address: wanted.names.server_address(&pod.pod.name, ip),
            zone: pod.zone.clone(),
            weight: 1,
        }),
    }
}

/// Two members of one id: two pods on one disk, which nothing good comes of.
fn twice(members: &[Member]) -> Option<(&str, &str)> {
    members.iter().enumerate().find_map(|(index, one)| {
        let other = members[index + 1..]
            .iter()
            .find(|other| other.id == one.id)?;
        Some((one.address.as_str(), other.address.as_str()))
    })
}

/// The names of the cluster and its author are the `KvCluster`'s own UID, so that an operator that
/// was killed between two steps makes the same placement again.
fn make(wanted: &Validated, members: Vec<Member>) -> Result<Placement, String> {
    let sets = planner::plan(&members, wanted.copies(), None).map_err(|error| error.to_string())?;
    let slots = SlotPlacement::all_stable(sets, Epoch(1), wanted.quorums);
    Placement::new(Parts {
        cluster: ClusterId(wanted.uid),
        epoch: Epoch(1),
        author: AuthorId(wanted.uid),
        address_revision: 0,
        copies: wanted.spec.copies,
        quorums: wanted.quorums,
        members,
        slots,
    })
    .map_err(|error| error.to_string())
}
