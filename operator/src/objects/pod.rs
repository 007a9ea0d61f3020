//! What the pods of servers and brokers have in common.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Affinity, Capabilities, Container, EnvVar, HTTPGetAction, PodAffinityTerm, PodAntiAffinity,
        PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SeccompProfile, SecretVolumeSource,
        SecurityContext, TopologySpreadConstraint, Volume, VolumeMount, WeightedPodAffinityTerm,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::secret;
use crate::{
    crd::Scheduling, names::Component, observed::pods::SECRET_DIGEST, validate::Validated,
};

/// User and group of all processes: `nonroot` of the image.
const USER: i64 = 65532;

/// Where the secret is mounted.
pub(super) const SECRET_DIRECTORY: &str = "/etc/kvasir/secret";

const SECRET_VOLUME: &str = "secret";

/// A container with everything that the restricted Pod Security standard asks for.
pub(super) fn container(wanted: &Validated, name: &str, command: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(wanted.image.clone()),
        image_pull_policy: wanted
            .spec
            .image_pull_policy
            .map(|policy| policy.as_str().to_owned()),
        command: Some(vec![command.to_owned()]),
        env: Some(vec![EnvVar {
            name: "KVASIR_SECRET_FILE".to_owned(),
            value: Some(format!("{SECRET_DIRECTORY}/{}", secret::KEY)),
            ..EnvVar::default()
        }]),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![mount(SECRET_VOLUME, SECRET_DIRECTORY, Access::Read)]),
        // A program's last words: the reason it could not start.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

/// Whether a volume is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A volume at a path.
pub(super) fn mount(volume: &str, path: &str, access: Access) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: (access == Access::Read).then_some(true),
        ..VolumeMount::default()
    }
}

/// A template with one container.
pub(super) fn template(
    wanted: &Validated,
    component: Component,
    (scheduling, secret): (&Scheduling, &str),
    container: Container,
    volumes: Vec<Volume>,
) -> PodTemplateSpec {
    let mut labels = scheduling.pod_metadata.labels.clone();
    labels.extend(wanted.names.labels(component));
    let mut annotations = scheduling.pod_metadata.annotations.clone();
    annotations.insert(SECRET_DIGEST.to_owned(), secret.to_owned());
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(wanted, component, scheduling, container, volumes)),
    }
}

fn spec(
    wanted: &Validated,
    component: Component,
    scheduling: &Scheduling,
    container: Container,
    mut volumes: Vec<Volume>,
) -> PodSpec {
    let account = match component {
        Component::Server => wanted.names.server(),
        Component::Broker | Component::Cluster => wanted.names.broker(),
    };
    volumes.insert(0, secret_volume(wanted));
    let selector = wanted.names.selector(component);
    PodSpec {
        service_account_name: Some(account),
        automount_service_account_token: Some(false),
        // Dozens of environment variables that name every Service of the namespace help nobody.
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            // A volume with many files is not walked at every start.
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        image_pull_secrets: some_if_any(wanted.spec.image_pull_secrets.clone()),
        node_selector: Some(scheduling.node_selector.clone()).filter(|map| !map.is_empty()),
        affinity: Some(
            scheduling
                .affinity
                .clone()
                .unwrap_or_else(|| apart(selector.clone())),
        ),
        tolerations: some_if_any(scheduling.tolerations.clone()),
        topology_spread_constraints: Some(spread(wanted, scheduling, &selector)),
        priority_class_name: scheduling.priority_class_name.clone(),
        termination_grace_period_seconds: Some(30),
        containers: vec![container],
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

fn some_if_any<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn secret_volume(wanted: &Validated) -> Volume {
    Volume {
        name: SECRET_VOLUME.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(wanted.names.secret()),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Pods of one kind prefer different nodes.
fn apart(selector: BTreeMap<String, String>) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(LabelSelector {
            match_labels: Some(selector),
            ..LabelSelector::default()
        }),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![
                WeightedPodAffinityTerm {
                    weight: 100,
                    pod_affinity_term: term,
                },
            ]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// What was asked for, or over zones as evenly as can be had.
fn spread(
    wanted: &Validated,
    scheduling: &Scheduling,
    selector: &BTreeMap<String, String>,
) -> Vec<TopologySpreadConstraint> {
    let own = LabelSelector {
        match_labels: Some(selector.clone()),
        ..LabelSelector::default()
    };
    let mut constraints = scheduling.topology_spread_constraints.clone();
    if constraints.is_empty() {
        constraints.push(TopologySpreadConstraint {
            max_skew: 1,
            topology_key: wanted.spec.servers.zone_key.clone(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            ..TopologySpreadConstraint::default()
        });
    }
    for constraint in &mut constraints {
        constraint.label_selector.get_or_insert_with(|| own.clone());
    }
    constraints
}

/// A probe by HTTP.
pub(super) fn probe(path: &str, port: &str, (period, failures): (i32, i32)) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(port.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}
