//! The brokers' server file: the servers' headless name, which leads to all of them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::metadata;
use crate::{
    names::{Component, PEER_PORT},
    validate::Validated,
};

/// Name of the file.
pub(super) const FILE: &str = "servers";

/// The ConfigMap that brokers mount.
pub(super) fn build(wanted: &Validated) -> ConfigMap {
    let names = &wanted.names;
    let line = format!("{}.{}.svc {PEER_PORT}\n", names.headless(), names.namespace);
    ConfigMap {
        metadata: metadata(wanted, names.seeds(), Component::Broker),
        data: Some(BTreeMap::from([(FILE.to_owned(), line)])),
        ..ConfigMap::default()
    }
}
