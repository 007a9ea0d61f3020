//! The StatefulSet of the servers.
//!
//! All pods start at once, and none is replaced unless the operator deletes it: which one may go is
//! its decision. Claims are never deleted by the StatefulSet.

use k8s_openapi::{
    api::{
        apps::v1::{
            StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
            StatefulSetUpdateStrategy,
        },
        core::v1::{
            ContainerPort, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodTemplateSpec,
            VolumeResourceRequirements,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
    },
};

use super::{metadata, pod};
use crate::{
    crd::{StorageMode, SyncMode},
    names::{ADMIN_PORT, Component, DATA_VOLUME, PEER_PORT},
    observed::Observed,
    quantity::Amount,
    validate::Validated,
};

/// Where the volume is mounted.
const VOLUME_DIRECTORY: &str = "/var/lib/kvasir";

/// A directory of its own on the volume: some file systems have things of theirs at the top.
const DATA_DIRECTORY: &str = "/var/lib/kvasir/data";

/// File with the secret in every pod.
pub const SERVER_CONTAINER: &str = "server";

/// Where the secret is found in a container.
pub const SECRET_FILE: &str = "/etc/kvasir/secret/secret";

/// Share of the memory limit that tries and values may take, in percent: the rest is for requests
/// in flight, the allocator and the program itself.
const MEMORY_PERCENT: u64 = 75;

/// How long a server may take to open its log before it is given up: an hour, in probes of 2 s.
const STARTUP_PROBES: i32 = 1800;

/// Builds the StatefulSet with this many pods.
pub(super) fn build(
    wanted: &Validated,
    observed: &Observed,
    replicas: i32,
    secret: &str,
) -> StatefulSet {
    let names = &wanted.names;
    StatefulSet {
        metadata: metadata(wanted, names.server(), Component::Server),
        spec: Some(StatefulSetSpec {
            replicas: Some(replicas),
            service_name: Some(names.headless()),
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                ..StatefulSetUpdateStrategy::default()
            }),
            persistent_volume_claim_retention_policy: Some(
                StatefulSetPersistentVolumeClaimRetentionPolicy {
                    when_deleted: Some("Retain".to_owned()),
                    when_scaled: Some("Retain".to_owned()),
                },
            ),
            revision_history_limit: Some(3),
            selector: LabelSelector {
                match_labels: Some(names.selector(Component::Server)),
                ..LabelSelector::default()
            },
            template: template(wanted, secret),
            volume_claim_templates: Some(vec![claim_template(wanted, observed)]),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn template(wanted: &Validated, secret: &str) -> PodTemplateSpec {
    let servers = &wanted.spec.servers;
    let mut container = pod::container(wanted, SERVER_CONTAINER, "/usr/bin/kvserver");
    container.args = Some(arguments(wanted));
    container.resources.clone_from(&servers.resources);
    let mounts = container.volume_mounts.get_or_insert_default();
    mounts.push(pod::mount(
        DATA_VOLUME,
        VOLUME_DIRECTORY,
        pod::Access::Write,
    ));
    let port = |name: &str, number| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    container.ports = Some(vec![port("peer", PEER_PORT), port("admin", ADMIN_PORT)]);
    container.startup_probe = Some(pod::probe("/healthz", "admin", (2, STARTUP_PROBES)));
    container.liveness_probe = Some(pod::probe("/healthz", "admin", (10, 6)));
    container.readiness_probe = Some(pod::probe("/readyz", "admin", (2, 2)));
    let carried = (&servers.scheduling, secret);
    pod::template(wanted, Component::Server, carried, container, Vec::new())
}

fn arguments(wanted: &Validated) -> Vec<String> {
    let storage = &wanted.spec.servers.storage;
    let mode = match storage.mode {
        StorageMode::Memory => "memory",
        StorageMode::Disk => "disk",
    };
    let sync = match storage.sync {
        SyncMode::Always => "always",
        SyncMode::Interval => "interval",
        SyncMode::Never => "never",
    };
    let mut arguments = vec![
        format!("--address=0.0.0.0"),
        format!("--port={PEER_PORT}"),
        format!("--admin=0.0.0.0:{ADMIN_PORT}"),
        format!("--data-dir={DATA_DIRECTORY}"),
        format!("--mode={mode}"),
        format!("--sync={sync}"),
        "--log-format=json".to_owned(),
    ];
    if let Some(bytes) = memory_limit(wanted) {
        arguments.push(format!("--memory-limit={bytes}"));
    }
    arguments
}

/// What the server may fill with data, where its container has a limit.
fn memory_limit(wanted: &Validated) -> Option<u64> {
    let limits = wanted.spec.servers.resources.as_ref()?.limits.as_ref()?;
    let bytes = Amount::parse(&limits.get("memory")?.0)?.units()?;
    Some(bytes / 100 * MEMORY_PERCENT)
}

/// The template of claims as it is: Kubernetes lets nobody change it. A larger size reaches the
/// claims themselves.
fn claim_template(wanted: &Validated, observed: &Observed) -> PersistentVolumeClaim {
    let set = observed.objects.stateful_sets.get(&wanted.names.server());
    let there = set.and_then(|set| set.spec.as_ref()?.volume_claim_templates.as_ref()?.first());
    let storage = &wanted.spec.servers.storage;
    let size = there
        .and_then(|claim| {
            claim
                .spec
                .as_ref()?
                .resources
                .as_ref()?
                .requests
                .as_ref()?
                .get("storage")
        })
        .cloned()
        .unwrap_or_else(|| Quantity(storage.size.clone()));
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(DATA_VOLUME.to_owned()),
            labels: Some(wanted.names.labels(Component::Server)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: storage.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), size)].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
