//! Events for what a person would ask about: one when it begins, never again while it lasts.
//!
//! What was told before stands in the status that was written before, so a restarted operator
//! does not tell it twice.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Resource,
    core::error_boundary::InvalidObject,
    runtime::events::{Event, EventType},
};

use crate::{
    act::{REQUEST_MAX, brief},
    context::Context,
    crd::{ConditionType, KvCluster, KvClusterStatus, Operation, OperationState},
    plan::{Plan, placement::Step, placement::Why},
    reconcile::Watched,
};

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether somebody should look.
    pub kind: Kind,
    /// One word in CamelCase.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// Whether somebody should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is as it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Longest sentence of an Event, in bytes: the API server takes 1 KiB.
const MESSAGE_BYTES_MAX: usize = 1000;

/// What is new since the previous status.
///
/// Of what was to be done only what was: `done` is the plan if it was carried out.
pub fn notices(
    done: Option<&Plan>,
    previous: Option<&KvClusterStatus>,
    status: &KvClusterStatus,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    if let Some(plan) = done
        && let Step::Record { placement, why, .. } = &plan.placement
    {
        let reason = match why {
            Why::First => Some("PlacementMade"),
            Why::Rebuilt => Some("PlacementRebuilt"),
            // Pods come and go; who looks finds the addresses in the ConfigMap.
            Why::Addresses => None,
        };
        notices.extend(reason.map(|reason| Notice {
            kind: Kind::Normal,
            reason: reason.to_owned(),
            message: format!(
                "epoch {} with {} members, {} copies of each key",
                placement.epoch(),
                placement.members().len(),
                placement.copies()
            ),
        }));
    }
    let restarts = done.into_iter().flat_map(|plan| &plan.restarts);
    notices.extend(restarts.map(|restart| Notice {
        kind: Kind::Normal,
        reason: "PodRestarted".to_owned(),
        message: restart.to_string(),
    }));
    let known = previous.map_or(&[][..], |status| &status.operations);
    let new = status
        .operations
        .iter()
        .filter(|operation| !is_told(known, operation));
    notices.extend(new.map(of_operation));
    notices.extend(conditions(previous, status));
    notices
}

/// Whether the same was told before; what its sentence counts may change.
fn is_told(known: &[Operation], operation: &Operation) -> bool {
    known.iter().any(|old| {
        (old.kind, old.state, &old.member) == (operation.kind, operation.state, &operation.member)
    })
}

fn of_operation(operation: &Operation) -> Notice {
    let kind = match operation.state {
        OperationState::Running | OperationState::Waiting => Kind::Normal,
        OperationState::Blocked => Kind::Warning,
    };
    let member = if operation.member.is_empty() {
        String::new()
    } else {
        format!("{}: ", operation.member)
    };
    Notice {
        kind,
        reason: format!("{:?}{:?}", operation.kind, operation.state),
        message: format!("{member}{}", operation.message),
    }
}

/// Conditions that people wait for, or fear.
fn conditions(previous: Option<&KvClusterStatus>, status: &KvClusterStatus) -> Vec<Notice> {
    let was = |kind: ConditionType| {
        let mut old = previous.into_iter().flat_map(|status| &status.conditions);
        old.find(|condition| condition.type_ == kind.to_string())
            .map(|condition| condition.status.as_str())
    };
    let is = |kind: ConditionType| {
        let mut now = status.conditions.iter();
        now.find(|condition| condition.type_ == kind.to_string())
    };
    let told = [
        (ConditionType::Ready, "True", Kind::Normal, "Ready"),
        (
            ConditionType::Available,
            "False",
            Kind::Warning,
            "Unavailable",
        ),
        (
            ConditionType::QuorumAtRisk,
            "True",
            Kind::Warning,
            "QuorumAtRisk",
        ),
        (ConditionType::Stalled, "True", Kind::Warning, "Stalled"),
        (ConditionType::Paused, "True", Kind::Normal, "Paused"),
    ];
    told.into_iter()
        .filter_map(|(kind, state, severity, reason)| {
            let now = is(kind).filter(|condition| condition.status == state)?;
            // A new cluster is not available yet; that is no news.
            let is_first = was(kind).is_none() && kind == ConditionType::Available;
            (was(kind) != Some(state) && !is_first).then(|| Notice {
                kind: severity,
                reason: reason.to_owned(),
                message: now.message.clone(),
            })
        })
        .collect()
}

/// Tells that a `KvCluster` cannot be read, and so not be looked after. Nothing else of it can be written.
pub async fn unreadable(cluster: &Watched, why: &InvalidObject, context: &Context) {
    let about = cluster.object_ref(&());
    let name = about.name.as_deref().unwrap_or_default();
    tracing::error!(cluster = name, %why, "cannot be read");
    let message = format!(
        "this operator cannot read it: {why}. Mend what is named, or run the operator that it was \
         written for"
    );
    publish_one(
        context,
        &about,
        Notice {
            kind: Kind::Warning,
            reason: "Unreadable".to_owned(),
            message,
        },
    )
    .await;
}

/// Publishes them. An Event that cannot be written is logged: nothing depends on it.
pub async fn publish(cluster: &KvCluster, context: &Context, notices: Vec<Notice>) {
    let about = cluster.object_ref(&());
    for notice in notices {
        publish_one(context, &about, notice).await;
    }
}

async fn publish_one(context: &Context, about: &ObjectReference, notice: Notice) {
    let mut note = notice.message;
    note.truncate(note.floor_char_boundary(MESSAGE_BYTES_MAX));
    let event = Event {
        type_: match notice.kind {
            Kind::Normal => EventType::Normal,
            Kind::Warning => EventType::Warning,
        },
        action: notice.reason.clone(),
        reason: notice.reason,
        note: Some(note),
        secondary: None,
    };
    let publish = context.recorder.publish(&event, about);
    match tokio::time::timeout(REQUEST_MAX, publish).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let why = brief(&error);
            tracing::warn!(why, "an Event could not be written");
        }
        Err(_) => tracing::warn!("an Event could not be written: the API server did not answer"),
    }
}
