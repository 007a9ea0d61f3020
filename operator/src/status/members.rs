//! `status.members`: every server pod, and every member of the placement that has none.

use kvcore::placement::Placement;

use super::{Figures, Moment};
use crate::{
    crd::MemberState,
    observed::{Heard, Observed, ServerPod},
};

/// A figure follows when it has moved by more than one part in this many: 5 %.
const PARTS: i64 = 20;

/// Longest text of a server that is passed on, in characters.
const TEXT_CHARS_MAX: usize = 300;

/// All members, pods in the order of their ordinals first.
pub(super) fn list(
    observed: &Observed,
    placement: Option<&Placement>,
    moment: Moment<'_>,
) -> Vec<MemberState> {
    let mut members: Vec<_> = observed
        .servers
        .values()
        .map(|pod| of_pod(pod, placement, moment))
        .collect();
    let without_pod = placement
        .into_iter()
        .flat_map(|placement| placement.members().iter().zip(0_u16..))
        .filter(|(member, _)| {
            members
                .iter()
                .all(|state| state.id != member.id.to_string())
        })
        .map(|(member, index)| MemberState {
            id: member.id.to_string(),
            zone: member.zone.clone(),
            slots: slots(placement, kvcore::placement::MemberIndex(index)),
            reason: "no pod says that it has this member's disk".to_owned(),
            ..MemberState::default()
        });
    let without_pod: Vec<_> = without_pod.collect();
    members.extend(without_pod);
    members
}

fn of_pod(pod: &ServerPod, placement: Option<&Placement>, moment: Moment<'_>) -> MemberState {
    let previous = moment
        .previous
        .into_iter()
        .flat_map(|status| &status.members);
    let mut previous = previous.filter(|member| member.pod == pod.pod.name);
    let previous = previous.next();
    let answer = pod.heard.answer();
    let index = answer.and_then(|status| placement?.index_of(status.id));
    let zone = index.and_then(|index| Some(placement?.member(index).zone.clone()));
    // A server that is silent for a moment is still the member that it was.
    let known = |text: fn(&MemberState) -> &String| previous.map(text).cloned().unwrap_or_default();
    MemberState {
        pod: pod.pod.name.clone(),
        id: answer.map_or_else(
            || known(|member| &member.id),
            |status| status.id.to_string(),
        ),
        node: pod.pod.node.clone().unwrap_or_default(),
        zone: zone.unwrap_or_else(|| pod.zone.clone()),
        ready: super::is_ready(pod),
        slots: index.map_or(0, |index| slots(placement, index)),
        bytes: bytes(
            answer.map(|status| status.log_bytes),
            previous,
            moment.figures,
        ),
        version: answer.map_or_else(
            || known(|member| &member.version),
            |status| status.program.chars().take(TEXT_CHARS_MAX).collect(),
        ),
        reason: reason(pod).chars().take(TEXT_CHARS_MAX).collect(),
    }
}

fn slots(placement: Option<&Placement>, index: kvcore::placement::MemberIndex) -> i32 {
    placement.map_or(0, |placement| {
        super::count(placement.slots_of(index).iter().count())
    })
}

/// The figure as it was, until it has moved enough and a minute has passed.
fn bytes(now: Option<u64>, previous: Option<&MemberState>, figures: Figures) -> i64 {
    let was = previous.map_or(0, |member| member.bytes);
    let Some(now) = now.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)) else {
        return was;
    };
    let moved = (now - was).abs() > was / PARTS;
    if moved && (was == 0 || figures == Figures::Due) {
        now
    } else {
        was
    }
}

/// Why the pod is not ready, the nearest cause first.
fn reason(pod: &ServerPod) -> String {
    if super::is_ready(pod) {
        return String::new();
    }
    if pod.pod.leaving {
        return "it is being deleted".to_owned();
    }
    if let Some(trouble) = &pod.pod.trouble {
        return format!("{}: {}", trouble.reason, trouble.message)
            .trim_end_matches([':', ' '])
            .to_owned();
    }
    if pod.pod.node.is_none() {
        return "it is not scheduled yet".to_owned();
    }
    match &pod.heard {
        Heard::NotYet if pod.pod.ip.is_none() => "it is being started".to_owned(),
        Heard::NotYet => "it has not been asked yet".to_owned(),
        Heard::Silent(why) => format!("it does not answer: {why}"),
        Heard::Answer(status) => match &status.reason {
            Some(reason) => reason.clone(),
            None => "Kubernetes does not call it ready yet".to_owned(),
        },
    }
}
