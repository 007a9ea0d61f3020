//! Carrying a plan out. The only place that changes anything in the cluster.
//!
//! Objects first, the placement's record next, and only then is anyone told of it. Whatever
//! destroys names exactly what it means, by UID.

pub mod announce;
pub mod apply;
pub mod covers;
mod record;

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;

use self::apply::Applier;
use crate::{
    names::FIELD_MANAGER,
    objects::{ClaimOwnership, Objects},
    observed::{Observed, OwnedObjects},
    plan::{Plan, placement::Step, restart::Restart},
    validate::Validated,
};

/// How long one request to the API server may take.
pub const REQUEST_MAX: Duration = Duration::from_secs(10);

/// Why a plan could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The API server refused, or was not reached.
    #[error("{what}: {}", brief(source))]
    Api {
        /// What was asked of it.
        what: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("{what}: the API server did not answer within {} s", REQUEST_MAX.as_secs())]
    Timeout {
        /// What was asked of it.
        what: String,
    },
    /// Somebody else changed what the plan was made for.
    #[error("{what} was changed meanwhile: the plan is made again")]
    Conflict {
        /// What was to be written.
        what: String,
    },
    /// A placement could not be written down.
    #[error("the placement cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl ActError {
    /// Whether the API server understood and said no, so that a person has to look.
    pub fn is_refusal(&self) -> bool {
        let Self::Api { source, .. } = self else {
            return false;
        };
        matches!(&**source, kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422))
    }

    /// One word for metrics and events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Api { .. } if self.is_refusal() => "Refused",
            Self::Api { .. } => "ApiError",
            Self::Timeout { .. } => "ApiTimeout",
            Self::Conflict { .. } => "Conflict",
            Self::Json(_) => "Unwritable",
        }
    }
}

/// What the API server said, without everything that came with it.
pub(crate) fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        error => error.to_string(),
    }
}

/// Waits for the API server, for as long as one request may take.
pub(crate) async fn ask<T>(
    what: impl Into<String>,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ActError> {
    let what = what.into();
    match tokio::time::timeout(REQUEST_MAX, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err(ActError::Conflict { what }),
        Ok(Err(source)) => Err(ActError::Api {
            what,
            source: Box::new(source),
        }),
        Err(_) => Err(ActError::Timeout { what }),
    }
}

/// Carries the plan out, up to telling who has to be told: that is the caller's, since it needs no
/// API server.
pub async fn act(
    client: &Client,
    wanted: &Validated,
    observed: &Observed,
    plan: &Plan,
) -> Result<(), ActError> {
    objects(client, wanted, &observed.objects, &plan.objects).await?;
    if let Step::Record {
        placement, expect, ..
    } = &plan.placement
    {
        record::write(client, wanted, placement, expect).await?;
    }
    for restart in &plan.restarts {
        delete_pod(client, wanted, restart).await?;
    }
    Ok(())
}

/// Applies what is not yet as it should be. The sets come last: what their pods mount is there then.
async fn objects(
    client: &Client,
    wanted: &Validated,
    there: &OwnedObjects,
    objects: &Objects,
) -> Result<(), ActError> {
    let Objects {
        accounts,
        services,
        seeds,
        policies,
        budgets,
        claims,
        servers,
        brokers,
    } = objects;
    // First: what is to stay must not go because another object was refused.
    for claim in claims {
        own_claim(client, wanted, claim).await?;
    }
    let applier = Applier::new(client, &wanted.names.namespace);
    for account in accounts {
        applier.apply(account, &there.accounts).await?;
    }
    for service in services {
        applier.apply(service, &there.services).await?;
    }
    applier.apply(seeds, &there.config_maps).await?;
    for policy in policies {
        applier.apply(policy, &there.policies).await?;
    }
    for budget in budgets {
        applier.apply(budget, &there.budgets).await?;
    }
    applier.apply(servers, &there.stateful_sets).await?;
    applier.apply(brokers, &there.deployments).await
}

/// Makes a claim name its owner, or name it no more.
async fn own_claim(
    client: &Client,
    wanted: &Validated,
    claim: &ClaimOwnership,
) -> Result<(), ActError> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &wanted.names.namespace);
    let owners: Vec<_> = claim.owner.iter().collect();
    // With its UID: a claim of the same name that was made since holds other data.
    let patch = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": claim.claim, "uid": claim.uid, "ownerReferences": owners },
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let what = format!("PersistentVolumeClaim {}", claim.claim);
    ask(
        what,
        api.patch_metadata(&claim.claim, &parameters, &Patch::Apply(&patch)),
    )
    .await?;
    Ok(())
}

/// Deletes a pod, if it is still the one that was meant.
async fn delete_pod(
    client: &Client,
    wanted: &Validated,
    restart: &Restart,
) -> Result<(), ActError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &wanted.names.namespace);
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(restart.uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let what = format!("delete Pod {}", restart.pod);
    tracing::info!(cluster = %wanted.names, pod = restart.pod, why = restart.why, "restarting a pod");
    match ask(what, api.delete(&restart.pod, &parameters)).await {
        Ok(_) => Ok(()),
        Err(ActError::Api { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.code == 404) => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}
