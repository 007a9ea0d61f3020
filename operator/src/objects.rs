//! The objects of one `KvCluster` as they should be, one file a kind.
//!
//! Whoever applies them takes [`Objects`] apart without `..`: a kind that is built and never
//! applied does not compile.

mod accounts;
mod broker_set;
mod budgets;
mod claims;
mod pod;
mod policies;
pub mod secret;
mod seeds;
mod server_set;
mod services;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::{ConfigMap, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

pub use self::{
    claims::{ClaimOwnership, of_predecessor},
    server_set::{SECRET_FILE, SERVER_CONTAINER},
};
use crate::{
    names::Component,
    observed::{Observed, pods::SECRET_DIGEST},
    validate::Validated,
};

/// Everything that is applied; the Secret is made once and the placement is recorded elsewhere.
#[derive(Debug, Clone)]
pub struct Objects {
    /// One for the servers and one for the brokers; neither is given a token.
    pub accounts: [ServiceAccount; 2],
    /// The headless one of the servers, and the one that clients connect to.
    pub services: [Service; 2],
    /// Where brokers find servers while nobody has told them more.
    pub seeds: ConfigMap,
    /// Whom to let in.
    pub policies: [NetworkPolicy; 2],
    /// How many pods may be evicted.
    pub budgets: [PodDisruptionBudget; 2],
    /// Claims of server pods that are to go with the `KvCluster`, or to stay.
    pub claims: Vec<ClaimOwnership>,
    /// The servers.
    pub servers: StatefulSet,
    /// The brokers.
    pub brokers: Deployment,
}

/// Builds all objects for this many server pods.
pub fn build(wanted: &Validated, observed: &Observed, servers: i32) -> Objects {
    let secret = secret_digest(wanted, observed);
    Objects {
        accounts: accounts::build(wanted),
        services: services::build(wanted),
        seeds: seeds::build(wanted),
        policies: policies::build(wanted),
        budgets: budgets::build(wanted, observed),
        claims: claims::build(wanted, observed),
        servers: server_set::build(wanted, observed, servers, &secret),
        brokers: broker_set::build(wanted, &secret),
    }
}

/// The digest of the cluster's secret. Without a Secret that is what pods were last made with: that it
/// cannot be seen is no reason to make them anew.
fn secret_digest(wanted: &Validated, observed: &Observed) -> String {
    let secret = observed.objects.secrets.get(&wanted.names.secret());
    let of_template = || {
        let set = observed.objects.servers(&wanted.names)?;
        let template = set.spec.as_ref()?.template.metadata.as_ref()?;
        template.annotations.as_ref()?.get(SECRET_DIGEST).cloned()
    };
    secret
        .map(secret::digest)
        .or_else(of_template)
        .unwrap_or_default()
}

/// Name, namespace, labels and owner of an object.
fn metadata(wanted: &Validated, name: String, component: Component) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(wanted.names.namespace.clone()),
        labels: Some(wanted.names.labels(component)),
        owner_references: Some(vec![wanted.owner.clone()]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests;
