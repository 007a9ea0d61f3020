//! Leader election by a Lease: of several operators one acts.
//!
//! The rules are in [`election`], pure; here they meet the API server. Clocks of machines are never
//! compared: a Lease counts as expired when nobody has renewed it for its whole duration by the
//! clock of the one who watches. Who cannot renew in time stops before anyone else may begin.

pub mod election;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use parking_lot::RwLock;
use tokio::time::{sleep, timeout};

use self::election::{Act, Election, Seen, Terms};

/// Which Lease, and who asks for it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who asks: the pod's name, unique among operators.
    pub holder: String,
}

/// How long one request about the Lease may take.
const REQUEST_MAX: Duration = Duration::from_secs(3);

/// Whether this operator may still act, for whoever is about to destroy something; cheap to clone.
#[derive(Debug, Clone)]
pub struct Leadership(Arc<RwLock<Until>>);

#[derive(Debug, Clone, Copy)]
enum Until {
    /// There is no Lease to lose.
    Always,
    /// Until then, or not at all.
    Renewed(Option<Instant>),
}

impl Leadership {
    /// Of an operator that needs no Lease.
    pub fn without_lease() -> Self {
        Self(Arc::new(RwLock::new(Until::Always)))
    }

    /// Whether nobody else can lead at `now`.
    pub fn holds(&self, now: Instant) -> bool {
        match *self.0.read() {
            Until::Always => true,
            Until::Renewed(until) => until.is_some_and(|until| now < until),
        }
    }

    fn of(election: &Election) -> Self {
        let leadership = Self::without_lease();
        leadership.note(election);
        leadership
    }

    fn note(&self, election: &Election) {
        *self.0.write() = Until::Renewed(election.leads_until());
    }
}

/// A Lease that is held.
#[derive(Debug)]
pub struct Held {
    api: Api<Lease>,
    claim: Claim,
    election: Election,
    leadership: Leadership,
}

/// Why leadership ended.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Somebody else holds the Lease now.
    #[error("Lease {lease} is held by {holder} now")]
    Taken {
        /// The Lease.
        lease: String,
        /// Who holds it.
        holder: String,
    },
    /// It could not be renewed in time.
    #[error("Lease {lease} could not be renewed within {} s: {why}", .within.as_secs())]
    NotRenewed {
        /// The Lease.
        lease: String,
        /// How long was tried.
        within: Duration,
        /// What the last attempt said.
        why: String,
    },
}

/// Waits until the Lease is held; may wait for ever, as a second operator should.
pub async fn acquire(client: Client, claim: Claim) -> Held {
    let api: Api<Lease> = Api::namespaced(client, &claim.namespace);
    let mut election = Election::new(claim.holder.clone(), Terms::default());
    loop {
        let turn = turn(&api, &claim, &mut election).await;
        if election.is_leader(Instant::now()) {
            tracing::info!(lease = claim.name, holder = claim.holder, "leading");
            return Held {
                api,
                claim,
                leadership: Leadership::of(&election),
                election,
            };
        }
        if let Err(error) = turn {
            tracing::warn!(lease = claim.name, %error, "the Lease cannot be had");
        }
        sleep(election.pause()).await;
    }
}

impl Held {
    /// What it is told by that the Lease may be lost.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Renews until that fails for too long or somebody else holds the Lease.
    pub async fn keep(&mut self) -> Lost {
        let mut why = String::new();
        loop {
            sleep(self.election.pause()).await;
            match turn(&self.api, &self.claim, &mut self.election).await {
                Ok(()) => {}
                Err(error) => why = error,
            }
            self.leadership.note(&self.election);
            let lease = format!("{}/{}", self.claim.namespace, self.claim.name);
            if let Some(holder) = self.election.other_holder() {
                let holder = holder.to_owned();
                return Lost::Taken { lease, holder };
            }
            if !self.election.is_leader(Instant::now()) {
                let within = Terms::default().renew_within;
                return Lost::NotRenewed { lease, within, why };
            }
        }
    }

    /// Gives the Lease up, so that the next need not wait for its end.
    pub async fn release(mut self) {
        self.election.give_up();
        *self.leadership.0.write() = Until::Renewed(None);
        if let Err(error) = turn(&self.api, &self.claim, &mut self.election).await {
            tracing::warn!(%error, "the Lease could not be given up: it runs out by itself");
        }
    }
}

/// Looks at the Lease, and writes it if it is this one's turn.
async fn turn(api: &Api<Lease>, claim: &Claim, election: &mut Election) -> Result<(), String> {
    let work = async {
        let lease = api.get_opt(&claim.name).await?;
        let act = election.look(lease.as_ref().map(seen), Instant::now());
        let written = match act {
            Act::Wait => return Ok(()),
            Act::Create => {
                api.create(&PostParams::default(), &with(claim, None, election))
                    .await?
            }
            Act::Write => {
                let lease = with(claim, lease, election);
                api.replace(&claim.name, &PostParams::default(), &lease)
                    .await?
            }
        };
        election.wrote(seen(&written), Instant::now());
        Ok::<_, kube::Error>(())
    };
    match timeout(REQUEST_MAX, work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", REQUEST_MAX.as_secs())),
    }
}

/// What the election looks at.
fn seen(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec
        .lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    Seen {
        holder: spec.holder_identity.unwrap_or_default(),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        duration: seconds.map(Duration::from_secs),
        transitions: spec.lease_transitions.unwrap_or(0),
    }
}

/// The Lease to write; what was read names the version that it replaces.
fn with(claim: &Claim, lease: Option<Lease>, election: &Election) -> Lease {
    let now = MicroTime(Timestamp::now());
    let old = lease
        .as_ref()
        .and_then(|lease| lease.spec.clone())
        .unwrap_or_default();
    let terms = election.terms();
    let metadata = lease.map_or_else(
        || ObjectMeta {
            name: Some(claim.name.clone()),
            namespace: Some(claim.namespace.clone()),
            ..ObjectMeta::default()
        },
        |lease| lease.metadata,
    );
    let was_ours = old.holder_identity.as_deref() == Some(claim.holder.as_str());
    Lease {
        metadata,
        spec: Some(LeaseSpec {
            holder_identity: Some(election.holder_to_write().to_owned()),
            lease_duration_seconds: i32::try_from(terms.duration.as_secs()).ok(),
            acquire_time: old.acquire_time.filter(|_| was_ours).or(Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(!was_ours)),
            ..LeaseSpec::default()
        }),
    }
}
