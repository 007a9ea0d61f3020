//! One look at one `KvCluster`: observe, validate, plan, act, status.
//!
//! Reads as a table of contents. Only `observe` looks, only `act` and `status` write; what is
//! decided in between is [`crate::plan`]'s.

pub mod image;
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
    events, objects,
    observe::{held, observe},
    observed::Observed,
    plan::{self, Plan, Stalled},
    status::{self, Moment},
    validate::{Validated, validate},
};

/// How soon to look again after a conflict: the copy of what was changed is there by then.
const AFTER_CONFLICT: Duration = Duration::from_millis(300);

/// Conflicts in a row that are taken for older copies; more of them have another reason.
const CONFLICTS_MAX: u32 = 5;

/// Failures in a row of which a person is told, whatever they are.
const FAILURES_TOLD: u32 = 3;

/// How long an operator that has just begun may say nothing of a cluster because it has not asked.
const UNASKED_MAX: Duration = Duration::from_secs(10);

/// How soon to look again while servers have not been asked: their first answers are news, this is
/// for when one gets lost.
const UNASKED: Duration = Duration::from_secs(5);

/// Why a reconciliation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something could not be written.
    #[error(transparent)]
    Act(#[from] ActError),
}

/// A `KvCluster` as it is watched. One that cannot be read, as after a rollback to an older definition,
/// must not end the watch of all.
pub type Watched = DeserializeGuard<KvCluster>;

/// Looks at one `KvCluster`, and does what its plan says.
pub async fn reconcile(watched: Arc<Watched>, context: Arc<Context>) -> Result<Action, Error> {
    let cluster = match &watched.0 {
        Ok(cluster) => cluster,
        Err(why) => {
            let reference = ObjectRef::from_obj(&*watched).into_kind_unchecked(());
            let version = watched.meta().resource_version.clone();
            if context.memory.is_first_look(&reference, version) {
                events::unreadable(&watched, why, &context).await;
            }
            return Ok(Action::await_change());
        }
    };
    let timer = context.metrics.reconcile_began();
    // On the heap: it holds everything that is known of a cluster.
    let done = Box::pin(turn(cluster, &context)).await;
    let outcome = match &done {
        Ok(_) => "success",
        Err(Error::Act(error)) => error.reason(),
    };
    context.metrics.reconcile_ended(timer, outcome);
    done
}

/// What to do after a failure: the same again after a pause that grows, for this cluster alone.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the controller hands its own out"
)]
pub fn after_failure(cluster: Arc<Watched>, error: &Error, context: Arc<Context>) -> Action {
    let reference = ObjectRef::from_obj(&*cluster).into_kind_unchecked(());
    if matches!(error, Error::Act(ActError::Conflict { .. }))
        && context.memory.conflicted(&reference) <= CONFLICTS_MAX
    {
        return Action::requeue(AFTER_CONFLICT);
    }
    let generation = cluster.meta().generation.unwrap_or_default();
    let share = rand::rng().random_range(0.0..1.0);
    let pause = context.memory.failed(&reference, generation, share);
    tracing::warn!(cluster = %reference, %error, pause_ms = pause.as_millis(), "reconciling failed");
    Action::requeue(pause)
}

async fn turn(cluster: &KvCluster, context: &Context) -> Result<Action, Error> {
    let reference = ObjectRef::from_obj(cluster);
    if cluster.metadata.deletion_timestamp.is_some() {
        // What it owns goes by itself: nothing here has to outlive it.
        context.memory.forget(&reference);
        return Ok(Action::await_change());
    }
    context
        .memory
        .begin(&reference, &cluster.uid().unwrap_or_default());
    let image = image::in_use(cluster, &context.caches);
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
    let generation = cluster.metadata.generation.unwrap_or_default();
    let rest = context.memory.rest(&reference, generation);
    // What was refused a moment ago is not tried again at every event; all else goes on.
    let (secret, refused) = match &rest {
        Some(_) => (secret::known(&wanted, context, &observed), Ok(())),
        None => match secret::ensure(&wanted, context, &mut observed).await {
            Ok(secret) => (secret, Ok(())),
            Err(error) => (None, Err(error)),
        },
    };
    let mut plan = plan::plan(&wanted, &observed);
    let turn = Turn {
        planned,
        secret: secret.as_ref(),
        rests: rest.is_some(),
    };
    let acted = match refused {
        Ok(()) => carry_out(&wanted, &observed, &plan, turn, context).await,
        refused => refused,
    };
    if let Some(stalled) = stalled(&wanted, secret.as_ref(), &acted, (context, &reference)) {
        plan.stalled = Some(stalled);
    } else if rest.is_some() {
        // Until it is tried again, what was refused still is.
        plan.stalled = context.memory.stalled(&reference).or(plan.stalled);
    }
    // An operator that has just begun would say that all is lost, and a moment later that it is not.
    let is_new = context.memory.age(&reference) < UNASKED_MAX;
    if is_new && acted.is_ok() && plan.changes_nothing() && observed.is_unasked() {
        return Ok(Action::requeue(UNASKED));
    }
    let is_done = acted.is_ok() && rest.is_none() && secret.is_some() && !wanted.spec.paused;
    let seen = (&observed, &plan, is_done.then_some(&plan));
    tell(cluster, &wanted, seen, context).await?;
    acted?;
    if let Some(rest) = rest {
        return Ok(Action::requeue(plan.recheck.min(rest)));
    }
    context.memory.succeeded(&reference);
    Ok(Action::requeue(context.memory.recheck(&reference, &plan)))
}

/// What a turn goes by, beside the plan.
struct Turn<'a> {
    /// When what it was planned on was looked at.
    planned: Instant,
    /// The cluster's secret, if it has a usable one.
    secret: Option<&'a Secret>,
    /// Whether objects were refused a moment ago.
    rests: bool,
}

/// Why a person is needed beyond what the plan says: no secret, or what the API server keeps refusing.
fn stalled(
    wanted: &Validated,
    secret: Option<&Secret>,
    acted: &Result<(), ActError>,
    (context, reference): (&Context, &ObjectRef<KvCluster>),
) -> Option<Stalled> {
    let failures = context.memory.failures(reference);
    match acted {
        Err(error) if error.is_refusal() || failures >= FAILURES_TOLD => {
            let stalled = Stalled {
                reason: error.reason(),
                message: error.to_string(),
            };
            context.memory.stalls(reference, stalled.clone());
            return Some(stalled);
        }
        _ => {}
    }
    (secret.is_none() && !wanted.spec.paused && acted.is_ok()).then(|| Stalled {
        reason: "SecretUnusable",
        message: format!(
            "Secret {} has no secret of 16 characters or more under the key `{}`: put back what \
                 was there. Until then nothing is changed",
            wanted.names.secret(),
            objects::secret::KEY
        ),
    })
}

/// Acts on the plan, unless the cluster is paused.
async fn carry_out(
    wanted: &Validated,
    observed: &Observed,
    plan: &Plan,
    turn: Turn<'_>,
    context: &Context,
) -> Result<(), ActError> {
    let client = &context.client;
    if wanted.spec.paused {
        return act::release_claims(client, wanted, &plan.objects.claims).await;
    }
    // Without one no process would start, and a template that names none would restart them all.
    let Some(secret) = turn.secret else {
        return Ok(());
    };
    let applied = if turn.rests {
        None
    } else {
        Some(act::objects(client, wanted, &observed.objects, &plan.objects).await)
    };
    act::record(client, wanted, plan).await?;
    // Nothing is taken away while something that should be there is not.
    let restarted = match &applied {
        Some(Ok(())) => {
            let age = (&context.leadership, turn.planned);
            act::restart(client, wanted, plan, age).await
        }
        Some(Err(_)) | None => Ok(()),
    };
    if let Some(placement) = plan.in_force(observed) {
        announce(wanted, placement, plan, secret, context).await;
    }
    applied.unwrap_or(Ok(()))?;
    restarted
}

/// Tells servers and brokers of the placement that is recorded.
async fn announce(
    wanted: &Validated,
    placement: &Placement,
    plan: &Plan,
    secret: &Secret,
    context: &Context,
) {
    let reference = wanted.names.reference();
    let all = context.memory.untold(&reference, placement, &plan.announce);
    if all.is_empty() {
        return;
    }
    let told = announce::announce(&context.http, secret, placement, &all).await;
    let (epoch, told_count) = (placement.epoch(), told.len());
    tracing::info!(cluster = %wanted.names, %epoch, told = told_count, of = all.len(), "announced");
    context.memory.told(&reference, placement, &all, &told);
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
