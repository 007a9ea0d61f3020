//! Carrying a plan out. The only place that changes anything in the cluster.
//!
//! Objects first, the placement's record next, and only then is anyone told of it; pods are
//! restarted last. One object that is refused does not keep the others waiting. Whatever destroys
//! names exactly what it means, by UID.

pub mod announce;
pub mod apply;
pub mod covers;
pub mod own;
mod record;

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;

use self::apply::Applier;
use crate::{
    lease::Leadership,
    names::FIELD_MANAGER,
    objects::{ClaimOwnership, Objects, of_predecessor},
    observed::OwnedObjects,
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
    #[error("{what}: the API server did not answer within {seconds} s")]
    Timeout {
        /// What was asked of it.
        what: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A name that the cluster needs is in use.
    #[error(
        "{what} belongs to {owner}, and this KvCluster needs the name: delete it or give it another \
         name, or give the KvCluster another"
    )]
    Taken {
        /// What has the name.
        what: String,
        /// Whose it is.
        owner: String,
    },
    /// What was decided is too old to be carried out, or another operator may act by now.
    #[error("{what}: what was decided is too old to be done now: the plan is made again")]
    Late {
        /// What was to be done.
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
        match self {
            Self::Api { source, .. } => {
                matches!(&**source, kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422))
            }
            Self::Taken { .. } => true,
            Self::Timeout { .. } | Self::Late { .. } | Self::Conflict { .. } | Self::Json(_) => {
                false
            }
        }
    }

    /// The fields, as `spec.ports[1].name`, that the API server found twice in the object.
    pub fn duplicates(&self) -> Vec<&str> {
        let Self::Api { source, .. } = self else {
            return Vec::new();
        };
        let kube::Error::Api(status) = &**source else {
            return Vec::new();
        };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes
            .filter(|cause| cause.reason == "FieldValueDuplicate")
            .map(|cause| cause.field.as_str())
            .collect()
    }

    /// One word for metrics and events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Api { .. } if self.is_refusal() => "Refused",
            Self::Api { .. } => "ApiError",
            Self::Taken { .. } => "NameTaken",
            Self::Late { .. } => "Late",
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
        Err(_) => Err(ActError::Timeout {
            what,
            seconds: REQUEST_MAX.as_secs(),
        }),
    }
}

/// Writes the placement down, if the plan has a new one.
pub async fn record(client: &Client, wanted: &Validated, plan: &Plan) -> Result<(), ActError> {
    match &plan.placement {
        Step::Record {
            placement, expect, ..
        } => record::write(client, wanted, placement, expect).await,
        Step::Keep => Ok(()),
    }
}

/// Oldest plan by which a pod may still be restarted: younger than a Lease that its holder stopped
/// renewing when it was frozen.
const PLAN_AGE_MAX: Duration = Duration::from_secs(8);

/// Restarts the pods that the plan of `planned` names.
pub async fn restart(
    client: &Client,
    wanted: &Validated,
    plan: &Plan,
    (leadership, planned): (&Leadership, Instant),
) -> Result<(), ActError> {
    for restart in &plan.restarts {
        if planned.elapsed() > PLAN_AGE_MAX || !leadership.holds(Instant::now()) {
            let what = format!("delete Pod {}", restart.pod);
            return Err(ActError::Late { what });
        }
        delete_pod(client, wanted, restart).await?;
    }
    Ok(())
}

/// What failed while everything was tried: the refusal that a person has to see before what goes away
/// by itself.
#[derive(Debug, Default)]
struct Failures(Option<ActError>);

impl Failures {
    fn note(&mut self, done: Result<(), ActError>) {
        let Err(error) = done else { return };
        tracing::warn!(%error, "left out");
        let is_worse = |first: &ActError| error.is_refusal() && !first.is_refusal();
        if self.0.as_ref().is_none_or(is_worse) {
            self.0 = Some(error);
        }
    }

    fn into_result(self) -> Result<(), ActError> {
        self.0.map_or(Ok(()), Err)
    }
}

/// How long all objects of a cluster together may take, so that one cluster whose requests hang does
/// not keep the others waiting.
const OBJECTS_MAX: Duration = Duration::from_secs(20);

/// Applies what is not yet as it should be, as far as the time for it goes.
pub async fn objects(
    client: &Client,
    wanted: &Validated,
    there: &OwnedObjects,
    objects: &Objects,
) -> Result<(), ActError> {
    let applied = apply_all(client, wanted, there, objects);
    let applied = tokio::time::timeout(OBJECTS_MAX, applied).await;
    applied.unwrap_or_else(|_| {
        Err(ActError::Timeout {
            what: "applying all objects".to_owned(),
            seconds: OBJECTS_MAX.as_secs(),
        })
    })
}

/// The sets come last: what their pods mount is there then.
async fn apply_all(
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
    let mut failures = Failures::default();
    // First: what is to stay must not go because of anything that follows.
    for claim in claims {
        failures.note(own_claim(client, wanted, claim).await);
    }
    failures.note(keep_records(client, wanted, there).await);
    let applier = Applier::new(client, wanted);
    for account in accounts {
        failures.note(applier.apply(account, &there.accounts).await);
    }
    for service in services {
        failures.note(applier.apply(service, &there.services).await);
    }
    failures.note(applier.apply(seeds, &there.config_maps).await);
    for policy in policies {
        failures.note(applier.apply(policy, &there.policies).await);
    }
    for budget in budgets {
        failures.note(applier.apply(budget, &there.budgets).await);
    }
    match of_predecessor(wanted, there) {
        None => failures.note(applier.apply(servers, &there.stateful_sets).await),
        Some(claim) => failures.note(Err(ActError::Conflict {
            what: format!("PersistentVolumeClaim {claim} goes with a KvCluster that is gone"),
        })),
    }
    failures.note(applier.apply(brokers, &there.deployments).await);
    failures.into_result()
}

/// Lets go of claims that are to stay, and nothing else: what a paused cluster still needs, since
/// its `KvCluster` may be deleted next.
pub async fn release_claims(
    client: &Client,
    wanted: &Validated,
    claims: &[ClaimOwnership],
) -> Result<(), ActError> {
    let mut failures = Failures::default();
    for claim in claims.iter().filter(|claim| claim.owner.is_none()) {
        failures.note(own_claim(client, wanted, claim).await);
    }
    failures.into_result()
}

/// Gives the Secret and the placement's ConfigMap back the labels and the owner that somebody took.
async fn keep_records(
    client: &Client,
    wanted: &Validated,
    there: &OwnedObjects,
) -> Result<(), ActError> {
    let namespace = &wanted.names.namespace;
    let secret = there.secrets.get(&wanted.names.secret());
    if let Some(secret) = secret.filter(|secret| own::is_let_go(*secret, wanted)) {
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        own::take_back(&api, secret, wanted).await?;
    }
    let placement = there.config_maps.get(&wanted.names.placement());
    if let Some(placement) = placement.filter(|map| own::is_let_go(*map, wanted)) {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        own::take_back(&api, placement, wanted).await?;
    }
    Ok(())
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
