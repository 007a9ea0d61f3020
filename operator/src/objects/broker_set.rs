//! The Deployment of the brokers.
//!
//! A new broker is ready before an old one goes, and a broker that goes serves on while clients
//! are led elsewhere.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{ConfigMapVolumeSource, ContainerPort, PodTemplateSpec, Volume},
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{metadata, pod, seeds};
use crate::{
    names::{Component, HTTP_PORT, LINE_PORT},
    validate::Validated,
};

const SEEDS_VOLUME: &str = "seeds";
const SEEDS_DIRECTORY: &str = "/etc/kvasir/seeds";

/// How long a broker that goes serves on, in seconds: until every node knows that it goes.
const LEAVE_SECONDS: u32 = 5;

/// Builds the Deployment.
pub(super) fn build(wanted: &Validated, secret: &str) -> Deployment {
    let names = &wanted.names;
    Deployment {
        metadata: metadata(wanted, names.broker(), Component::Broker),
        spec: Some(DeploymentSpec {
            replicas: Some(wanted.spec.brokers.replicas),
            revision_history_limit: Some(3),
            selector: LabelSelector {
                match_labels: Some(names.selector(Component::Broker)),
                ..LabelSelector::default()
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::Int(1)),
                }),
            }),
            template: template(wanted, secret),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn template(wanted: &Validated, secret: &str) -> PodTemplateSpec {
    let brokers = &wanted.spec.brokers;
    let mut container = pod::container(wanted, "broker", "/usr/bin/broker");
    container.args = Some(vec![
        format!("--servers={SEEDS_DIRECTORY}/{}", seeds::FILE),
        "--no-bootstrap".to_owned(),
        "--serve-only".to_owned(),
        format!("--drain={LEAVE_SECONDS}"),
        format!("--line=0.0.0.0:{LINE_PORT}"),
        format!("--http=0.0.0.0:{HTTP_PORT}"),
        "--log-format=json".to_owned(),
    ]);
    container.resources.clone_from(&brokers.resources);
    let mounts = container.volume_mounts.get_or_insert_default();
    mounts.push(pod::mount(SEEDS_VOLUME, SEEDS_DIRECTORY, pod::Access::Read));
    let port = |name: &str, number| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    container.ports = Some(vec![port("line", LINE_PORT), port("http", HTTP_PORT)]);
    container.liveness_probe = Some(pod::probe("/healthz", "http", (10, 3)));
    container.readiness_probe = Some(pod::probe("/readyz", "http", (2, 2)));
    let volume = Volume {
        name: SEEDS_VOLUME.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: wanted.names.seeds(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    let carried = (&brokers.scheduling, secret);
    pod::template(wanted, Component::Broker, carried, container, vec![volume])
}
