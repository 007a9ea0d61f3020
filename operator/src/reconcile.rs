//! One look at one `KvCluster`: observe, validate, plan, act, status.
//!
//! Reads as a table of contents. Only `observe` looks, only `act` and `status` write; what is
//! decided in between is [`crate::plan`]'s.

mod secret;
mod write_status;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::jiff::Timestamp;
use kube::{
    Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{controller::Action, reflector::ObjectRef},
};
use kvcore::{placement::Placement, wire::Secret};
use rand::RngExt;

use crate::{
    act::{self, ActError, announce},
    context::Context,
    crd::KvCluster,
    events,
    names::Names,
    objects,
    observe::{caches::Caches, held, observe},
    observed::Observed,
    plan::{self, Plan, Stalled},
    status::{self, Moment},
    validate::{Validated, validate},
};

/// How soon to look again after a conflict: the copy of what was changed is there by then.
const AFTER_CONFLICT: Duration = Duration::from_millis(300);

/// How soon to look again while servers have not been asked: their first answers are news, this is
/// for when one gets lost.
const UNASKED: Duration = Duration::from_secs(5);

/// Why a reconciliation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something could not be written.
    #[error(transparent)]
    Act(#[from] ActError),
    /// The copies of what the API server has are gone: the operator is stopping.
    #[error("the watches have ended")]
    Watches(#[from] kube::runtime::reflector::store::WriterDropped),
}

/// A `KvCluster` as it is watched. One that cannot be read, as after a rollback to an older definition,
/// must not end the watch of all.
pub type Watched = DeserializeGuard<KvCluster>;

/// Looks at one `KvCluster`, and does what its plan says.
pub async fn reconcile(watched: Arc<Watched>, context: Arc<Context>) -> Result<Action, Error> {
    let cluster = match &watched.0 {
        Ok(cluster) => cluster,
        Err(why) => {
            events::unreadable(&watched, why, &context).await;
            return Ok(Action::await_change());
        }
    };
    let reference = ObjectRef::from_obj(cluster);
    let generation = cluster.metadata.generation.unwrap_or_default();
    if let Some(rest) = context.memory.rest(&reference, generation) {
        return Ok(Action::requeue(rest));
    }
    let timer = context.metrics.reconcile_began();
    // On the heap: it holds everything that is known of a cluster.
    let done = Box::pin(turn(cluster, &context)).await;
    let outcome = match &done {
        Ok(_) => "success",
        Err(Error::Act(error)) => error.reason(),
        Err(Error::Watches(_)) => "Stopping",
    };
    context.metrics.reconcile_ended(timer, outcome);
    if done.is_ok() {
        context.memory.succeeded(&reference);
    }
    done
}

/// What to do after a failure: the same again after a pause that grows, for this cluster alone.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the controller hands its own out"
)]
pub fn after_failure(cluster: Arc<Watched>, error: &Error, context: Arc<Context>) -> Action {
    let reference = ObjectRef::from_obj(&*cluster).into_kind_unchecked(());
    if matches!(error, Error::Act(ActError::Conflict { .. })) {
        return Action::requeue(AFTER_CONFLICT);
    }
    let generation = cluster.meta().generation.unwrap_or_default();
    let share = rand::rng().random_range(0.0..1.0);
    let pause = context.memory.failed(&reference, generation, share);
    tracing::warn!(cluster = %reference, %error, pause_ms = pause.as_millis(), "reconciling failed");
    Action::requeue(pause)
}

async fn turn(cluster: &KvCluster, context: &Context) -> Result<Action, Error> {
    context.caches.ready().await?;
    let reference = ObjectRef::from_obj(cluster);
    if cluster.metadata.deletion_timestamp.is_some() {
        // What it owns goes by itself: nothing here has to outlive it.
        context.memory.forget(&reference);
        return Ok(Action::await_change());
    }
    context
        .memory
        .begin(&reference, &cluster.uid().unwrap_or_default());
    let image = image_in_use(cluster, &context.caches);
    let wanted = match validate(cluster, image.as_deref().unwrap_or(&context.default_image)) {
        Ok(wanted) => wanted,
        Err(why) => {
            let previous = context
                .memory
                .status(&reference)
                .or_else(|| cluster.status.clone());
            let generation = cluster.metadata.generation;
            let status = status::invalid(generation, &why, previous.as_ref(), Timestamp::now());
            write_status::write(cluster, context, status, status::Figures::Recent).await?;
            return Ok(Action::await_change());
        }
    };
    let planned = Instant::now();
    let mut observed = observe(&wanted, &context.caches, &context.reports);
    held::fetch(&mut observed, &context.http).await;
    let secret = secret::ensure(&wanted, context, &mut observed).await?;
    let mut plan = plan::plan(&wanted, &observed);
    let acted = carry_out(
        &wanted,
        (&observed, planned),
        &plan,
        secret.as_ref(),
        context,
    )
    .await;
    if secret.is_none() && !wanted.spec.paused {
        plan.stalled = Some(Stalled {
            reason: "SecretUnusable",
            message: format!(
                "Secret {} has no secret of 16 characters or more under the key `{}`: put back what \
                 was there. Until then nothing is changed",
                wanted.names.secret(),
                objects::secret::KEY
            ),
        });
    }
    if let Err(error) = &acted
        && error.is_refusal()
    {
        plan.stalled = Some(Stalled {
            reason: error.reason(),
            message: error.to_string(),
        });
    }
    // An operator that has just begun would say that all is lost, and a moment later that it is not.
    if acted.is_ok() && plan.changes_nothing() && observed.is_unasked() {
        return Ok(Action::requeue(UNASKED));
    }
    let is_done = acted.is_ok() && secret.is_some() && !wanted.spec.paused;
    let seen = (&observed, &plan, is_done.then_some(&plan));
    tell(cluster, &wanted, seen, context).await?;
    acted?;
    Ok(Action::requeue(plan.recheck))
}

/// The image that the servers have: a `KvCluster` that names none keeps it when the operator, and with
/// it the default, is upgraded.
pub fn image_in_use(cluster: &KvCluster, caches: &Caches) -> Option<String> {
    let names = Names {
        namespace: cluster.namespace()?,
        cluster: cluster.name_any(),
    };
    let set = ObjectRef::new(&names.server()).within(&names.namespace);
    let set = caches.stateful_sets.get(&set)?;
    let containers = &set.spec.as_ref()?.template.spec.as_ref()?.containers;
    let server = containers
        .iter()
        .find(|container| container.name == objects::SERVER_CONTAINER)?;
    server.image.clone()
}

/// Acts on the plan, unless the cluster is paused.
async fn carry_out(
    wanted: &Validated,
    (observed, planned): (&Observed, Instant),
    plan: &Plan,
    secret: Option<&Secret>,
    context: &Context,
) -> Result<(), ActError> {
    let client = &context.client;
    if wanted.spec.paused {
        return act::release_claims(client, wanted, &plan.objects.claims).await;
    }
    // Without one no process would start, and a template that names none would restart them all.
    let Some(secret) = secret else {
        return Ok(());
    };
    let applied = act::objects(client, wanted, &observed.objects, &plan.objects).await;
    act::record(client, wanted, plan).await?;
    if let Some(placement) = plan.in_force(observed) {
        announce(wanted, placement, plan, secret, context).await;
    }
    // Nothing is taken away while something that should be there is not.
    applied?;
    act::restart(client, wanted, plan, (&context.leadership, planned)).await
}

/// Tells servers and brokers of the placement that is recorded.
async fn announce(
    wanted: &Validated,
    placement: &Placement,
    plan: &Plan,
    secret: &Secret,
    context: &Context,
) {
    let reference =
        ObjectRef::<KvCluster>::new(&wanted.names.cluster).within(&wanted.names.namespace);
    let all = context.memory.untold(&reference, placement, &plan.announce);
    if all.is_empty() {
        return;
    }
    let told = announce::announce(&context.http, secret, placement, &all).await;
    let (epoch, told_count) = (placement.epoch(), told.len());
    tracing::info!(cluster = %wanted.names, %epoch, told = told_count, of = all.len(), "announced");
    context.memory.told(&reference, placement, told);
}

/// Writes the status where it says something new, and an Event for each new decision in it.
async fn tell(
    cluster: &KvCluster,
    wanted: &Validated,
    (observed, plan, done): (&Observed, &Plan, Option<&Plan>),
    context: &Context,
) -> Result<(), ActError> {
    let reference = ObjectRef::from_obj(cluster);
    let previous = context
        .memory
        .status(&reference)
        .or_else(|| cluster.status.clone());
    let figures = context.memory.figures(&reference);
    let moment = Moment {
        previous: previous.as_ref(),
        now: Timestamp::now(),
        figures,
    };
    let status = status::of(wanted, observed, plan, moment);
    let notices = events::notices(done, previous.as_ref(), &status);
    write_status::write(cluster, context, status, figures).await?;
    events::publish(cluster, context, notices).await;
    Ok(())
}
