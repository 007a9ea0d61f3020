//! NetworkPolicies: who may connect. They count only where the network plug-in enforces them.
//!
//! The peer port is for the cluster's own pods. Ports for clients and figures are open, so that
//! the policies also let clients in where a namespace denies by default.

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
        NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::metadata;
use crate::{
    names::{ADMIN_PORT, Component, HTTP_PORT, LINE_PORT, PEER_PORT},
    validate::Validated,
};

/// One for the servers, one for the brokers.
pub(super) fn build(wanted: &Validated) -> [NetworkPolicy; 2] {
    let names = &wanted.names;
    let own = |component| NetworkPolicyPeer {
        pod_selector: Some(selector(wanted, component)),
        ..NetworkPolicyPeer::default()
    };
    let peers = vec![own(Component::Server), own(Component::Broker)];
    let servers = vec![rule(&[PEER_PORT], Some(peers)), rule(&[ADMIN_PORT], None)];
    let brokers = vec![rule(&[LINE_PORT, HTTP_PORT], None)];
    [
        policy(wanted, names.server(), Component::Server, servers),
        policy(wanted, names.broker(), Component::Broker, brokers),
    ]
}

fn policy(
    wanted: &Validated,
    name: String,
    component: Component,
    ingress: Vec<NetworkPolicyIngressRule>,
) -> NetworkPolicy {
    NetworkPolicy {
        metadata: metadata(wanted, name, component),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(wanted, component)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(ingress),
            ..NetworkPolicySpec::default()
        }),
    }
}

fn rule(ports: &[i32], from: Option<Vec<NetworkPolicyPeer>>) -> NetworkPolicyIngressRule {
    let ports = ports.iter().map(|&port| NetworkPolicyPort {
        port: Some(IntOrString::Int(port)),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    });
    NetworkPolicyIngressRule {
        from,
        ports: Some(ports.collect()),
    }
}

fn selector(wanted: &Validated, component: Component) -> LabelSelector {
    LabelSelector {
        match_labels: Some(wanted.names.selector(component)),
        ..LabelSelector::default()
    }
}
