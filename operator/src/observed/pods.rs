//! Pods, reduced to what decides.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use kvcore::status::BrokerStatus;

use super::{Heard, name_of};

/// A server pod.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServerPod {
    /// What all pods have.
    pub pod: PodFacts,
    /// Zone of its node, empty where the node has none or is not known yet.
    pub zone: String,
    /// What its server last said.
    pub heard: Heard,
}

/// A broker pod.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BrokerPod {
    /// What all pods have.
    pub pod: PodFacts,
    /// What the broker last said, if the last question had an answer.
    pub heard: Option<BrokerStatus>,
}

/// What the plan knows of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// Its UID: a pod of the same name with another is another pod.
    pub uid: String,
    /// Its address, once it has one.
    pub ip: Option<String>,
    /// Its node, once it is scheduled.
    pub node: Option<String>,
    /// Whether Kubernetes calls it ready.
    pub ready: bool,
    /// What its container is about.
    pub container: Stage,
    /// Whether it is being deleted.
    pub leaving: bool,
    /// Revision of the template that it was made of.
    pub revision: String,
    /// Digest of the secret that it was made with.
    pub secret: String,
    /// Why it does not run, where Kubernetes says so.
    pub trouble: Option<Trouble>,
}

/// What a pod's container is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// It is not there yet, or between two starts.
    #[default]
    Waits,
    /// It runs.
    Runs,
    /// It has ended for good, and its pod with it.
    Ended,
}

/// Why a pod does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Kubernetes' word for it, such as `ImagePullBackOff` or `Unschedulable`.
    pub reason: String,
    /// Kubernetes' sentence about it.
    pub message: String,
}

/// How long a claim may wait for its volume before somebody should look.
const CLAIM_MAX: Duration = Duration::from_secs(15);

/// How long a pod may take to have its container, pulling its image counted in.
const START_MAX: Duration = Duration::from_mins(3);

/// Annotation of pods with a digest of the secret that they were made with.
pub const SECRET_DIGEST: &str = "kvasir.dev/secret-digest";

/// Label of pods with the revision of their StatefulSet's template.
const REVISION: &str = "controller-revision-hash";

/// Kubernetes' word for a pod that no node takes.
const UNSCHEDULABLE: &str = "Unschedulable";

/// Longest sentence of Kubernetes that is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 300;

impl PodFacts {
    /// Reduces a pod.
    pub fn of(pod: &Pod) -> Self {
        let metadata = &pod.metadata;
        let status = pod.status.as_ref();
        let text = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
            map.as_ref()
                .and_then(|map| map.get(key))
                .cloned()
                .unwrap_or_default()
        };
        Self {
            name: name_of(metadata).to_owned(),
            uid: metadata.uid.clone().unwrap_or_default(),
            ip: status
                .and_then(|status| status.pod_ip.clone())
                .filter(|ip| !ip.is_empty()),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            ready: status.is_some_and(is_ready),
            container: status.map(stage).unwrap_or_default(),
            leaving: metadata.deletion_timestamp.is_some(),
            revision: text(&metadata.labels, REVISION),
            secret: text(&metadata.annotations, SECRET_DIGEST),
            trouble: status.and_then(trouble),
        }
    }

    /// Says what its claim waits for, before Kubernetes' own words, and that a pod which has long been made
    /// has no container yet.
    pub fn add_to_trouble(&mut self, claim: Option<String>, age: Duration) {
        let is_named = |trouble: &Trouble| trouble.reason == UNSCHEDULABLE;
        let waits = self.container == Stage::Waits && !self.leaving;
        match (&mut self.trouble, claim) {
            (Some(trouble), Some(claim)) if is_named(trouble) => {
                trouble.message = format!("{claim}; {}", trouble.message);
            }
            (None, Some(claim)) if waits && age > CLAIM_MAX => {
                self.trouble = Some(trouble_of(Some("ClaimNotBound"), Some(&claim)));
            }
            (None, None) if waits && age > START_MAX => {
                let name = &self.name;
                let look =
                    format!("its container is not there yet: see kubectl describe pod {name}");
                self.trouble = Some(trouble_of(Some("NotStarted"), Some(&look)));
            }
            _ => {}
        }
        if let Some(trouble) = &mut self.trouble {
            trouble.message = trouble.message.chars().take(MESSAGE_CHARS_MAX).collect();
        }
    }

    /// Whether it runs so that its server can be asked.
    pub fn address(&self) -> Option<&str> {
        self.ip.as_deref().filter(|_| !self.leaving)
    }
}

fn is_ready(status: &PodStatus) -> bool {
    status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn stage(status: &PodStatus) -> Stage {
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        return Stage::Ended;
    }
    let mut containers = status.container_statuses.iter().flatten();
    let runs = containers.any(|container| {
        let state = container.state.as_ref();
        state.is_some_and(|state| state.running.is_some())
    });
    if runs { Stage::Runs } else { Stage::Waits }
}

/// What keeps the pod from running: its container first, since that is nearest to the cause.
fn trouble(status: &PodStatus) -> Option<Trouble> {
    let mut containers = status.container_statuses.iter().flatten();
    let waiting = containers.find_map(container_trouble);
    waiting.or_else(|| {
        let mut conditions = status.conditions.iter().flatten();
        let unscheduled = conditions
            .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
            .map(|condition| trouble_of(condition.reason.as_deref(), condition.message.as_deref()));
        let failed = (status.phase.as_deref() == Some("Failed"))
            .then(|| trouble_of(status.reason.as_deref(), status.message.as_deref()));
        failed.or(unscheduled)
    })
}

fn container_trouble(container: &ContainerStatus) -> Option<Trouble> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    // On the way, not in trouble.
    if matches!(reason, "ContainerCreating" | "PodInitializing") {
        return None;
    }
    let ended = container
        .last_state
        .as_ref()
        .and_then(|last| last.terminated.as_ref());
    let message = ended
        .and_then(|ended| ended.message.as_deref())
        .or(waiting.message.as_deref());
    Some(trouble_of(Some(reason), message))
}

fn trouble_of(reason: Option<&str>, message: Option<&str>) -> Trouble {
    Trouble {
        reason: reason.unwrap_or("Unknown").to_owned(),
        message: message
            .unwrap_or_default()
            .chars()
            .take(MESSAGE_CHARS_MAX)
            .collect(),
    }
}
