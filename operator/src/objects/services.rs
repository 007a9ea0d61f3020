//! Services: the headless one of the servers, and the one that clients connect to.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::metadata;
use crate::{
    names::{ADMIN_PORT, Component, HTTP_PORT, LINE_PORT, PEER_PORT},
    validate::Validated,
};

/// The headless Service, and the clients'.
pub(super) fn build(wanted: &Validated) -> [Service; 2] {
    [headless(wanted), clients(wanted)]
}

/// Names of servers resolve before they are ready: they find each other to become so.
fn headless(wanted: &Validated) -> Service {
    Service {
        metadata: metadata(wanted, wanted.names.headless(), Component::Server),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(wanted.names.selector(Component::Server)),
            ports: Some(vec![port("peer", PEER_PORT), port("admin", ADMIN_PORT)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn clients(wanted: &Validated) -> Service {
    let service = &wanted.spec.brokers.service;
    let mut metadata = metadata(wanted, wanted.names.service(), Component::Broker);
    if !service.annotations.is_empty() {
        metadata.annotations = Some(service.annotations.clone());
    }
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(service.type_.as_str().to_owned()),
            selector: Some(wanted.names.selector(Component::Broker)),
            ports: Some(vec![port("line", LINE_PORT), port("http", HTTP_PORT)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
