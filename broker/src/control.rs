//! What others may know of a broker process and tell it: how it is, and which placement to use.
//!
//! It is there from the start of the process, before there is a placement, so that the author of
//! the cluster can bring the first one.

use std::{sync::Arc, time::Duration};

use kvcore::{
    placement::{Epoch, Holders, Placement},
    slot::Slot,
    status::{BrokerId, BrokerStatus, PlacementInUse},
    time::Clock,
    version::UnixMillis,
    wire::{
        Secret,
        admin::{self, AdminProofError},
    },
};
use kvnet::shutdown::Shutdown;
use tokio::{sync::watch, time::timeout};
use uuid::Uuid;

use crate::{
    limits::FIRST_PUSH_MS,
    shell::{Broker, LearnError, View},
};

/// Why a process without a placement is not ready.
pub(crate) const NO_PLACEMENT: &str = "no placement yet";

/// A broker process as seen from outside; cheap to clone.
#[derive(Debug, Clone)]
pub struct Control(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: BrokerId,
    secret: Secret,
    clock: Arc<dyn Clock>,
    started_at: UnixMillis,
    shutdown: Shutdown,
    broker: watch::Sender<Option<Broker>>,
    /// What was pushed before there was a broker, the first of several.
    first: watch::Sender<Option<Placement>>,
}

/// Why a placement that was pushed is not in use.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// It is not one to follow.
    #[error("the placement is not taken: {0}")]
    Refused(#[from] LearnError),
    /// The process may make the first placement itself, and has not ended its search for one.
    #[error(
        "this broker has no placement yet, and takes none while it may make the first itself: try \
         again, or start it with --no-bootstrap"
    )]
    NotYet,
}

impl Control {
    /// The control of a process that starts now.
    pub fn new(secret: Secret, clock: Arc<dyn Clock>, shutdown: Shutdown) -> Self {
        Self(Arc::new(Inner {
            id: BrokerId(Uuid::new_v4()),
            secret,
            started_at: clock.now(),
            clock,
            shutdown,
            broker: watch::Sender::new(None),
            first: watch::Sender::new(None),
        }))
    }

    /// Names the process.
    pub fn id(&self) -> BrokerId {
        self.0.id
    }

    /// The broker, once there is a placement.
    pub fn broker(&self) -> Option<Broker> {
        self.0.broker.borrow().clone()
    }

    /// Says that there is a broker now.
    pub fn announce(&self, broker: Broker) {
        self.0.broker.send_replace(Some(broker));
    }

    /// A nonce for a proof.
    pub fn nonce(&self) -> String {
        admin::nonce(&self.0.secret, self.0.id, self.0.clock.now())
    }

    /// Whether a request was made by who knows the cluster's secret.
    pub fn check(
        &self,
        authorization: Option<&str>,
        asked: (&str, &[u8]),
    ) -> Result<(), AdminProofError> {
        let (id, now) = (self.0.id, self.0.clock.now());
        admin::check(&self.0.secret, id, now, authorization, asked)
    }

    /// Waits for a placement that is pushed before there is a broker.
    pub(crate) async fn first_pushed(&self) -> Placement {
        let mut first = self.0.first.subscribe();
        let pushed = first.wait_for(Option::is_some).await;
        let pushed = pushed.expect("this control holds the sender");
        pushed.clone().expect("waited for")
    }

    /// Uses the placement from now on if it is newer; says which one is in use then.
    ///
    /// Where there is no broker yet the placement starts one. Whatever the broker starts with, this
    /// one is held against it.
    pub async fn push(&self, placement: Placement) -> Result<PlacementInUse, PushError> {
        let broker = if let Some(broker) = self.broker() {
            broker
        } else {
            self.0.first.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert_with(|| placement.clone());
                is_first
            });
            self.started().await.ok_or(PushError::NotYet)?
        };
        Ok(broker.take(placement)?)
    }

    async fn started(&self) -> Option<Broker> {
        let mut broker = self.0.broker.subscribe();
        let limit = Duration::from_millis(FIRST_PUSH_MS);
        let started = timeout(limit, broker.wait_for(Option::is_some)).await;
        started.ok()?.ok()?.clone()
    }

    /// Why clients should go elsewhere.
    pub fn unready(&self) -> Option<String> {
        if self.0.shutdown.is_leaving() {
            return Some("shutting down".to_owned());
        }
        match self.broker() {
            None => Some(NO_PLACEMENT.to_owned()),
            Some(broker) => unready(&broker.view()),
        }
    }

    /// `/status`.
    pub fn status(&self) -> BrokerStatus {
        let view = self.broker().map(|broker| broker.view());
        let placement = view.as_ref().map(|view| view.placement());
        let reason = self.unready();
        BrokerStatus {
            id: self.0.id,
            cluster: placement.map(Placement::cluster),
            epoch: placement.map_or(Epoch::default(), Placement::epoch),
            digest: placement.map(Placement::digest),
            author: placement.map(|placement| placement.parts().author),
            address_revision: placement.map_or(0, |placement| placement.parts().address_revision),
            ready: reason.is_none(),
            reason,
            started_at: self.0.started_at.0,
            program: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Why some slot cannot be read or written now, by the state of connections.
fn unready(view: &View) -> Option<String> {
    let placement = view.placement();
    let live: Vec<bool> = view
        .replicas()
        .iter()
        .map(|r| r.trouble().is_none())
        .collect();
    let live_of = |holders: &Holders| {
        let members = holders.members().iter();
        members.filter(|member| live[member.get()]).count()
    };
    let mut short = Slot::all().filter(|&slot| {
        let slot = placement.slot(slot);
        let readers = slot.read_set();
        let writes = slot.write_sets();
        live_of(readers) < readers.read_quorum()
            || writes
                .iter()
                .any(|writers| live_of(writers) < writers.write_quorum())
    });
    let first = short.next()?;
    let down = placement
        .members()
        .iter()
        .zip(&live)
        .filter(|(_, live)| !**live);
    let down: Vec<_> = down.map(|(member, _)| member.shown_address()).collect();
    Some(format!(
        "{} slots have no live read or write quorum, the first is {first}; down: {}",
        1 + short.count(),
        down.join(", ")
    ))
}
