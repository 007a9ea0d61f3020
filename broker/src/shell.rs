//! The doing half of the broker: sockets, clocks and tasks around the machines.
//!
//! [`Broker`] is the handle that every client protocol uses. Each operation runs in its caller's
//! task: it steps its machine, performs the effects, and waits for answers or for the time the
//! machine wants to be woken.

mod add;
mod aftermath;
mod answers;
mod drive;
pub mod first_placement;
mod room;
mod scan;
mod view;

use std::{sync::Arc, time::Duration};

use kvcore::{
    key::Key,
    placement::{Holders, Placement},
    replica::Replica,
    status::PlacementInUse,
    time::Clock,
    value::Value,
    version::{Version, VersionClock},
    wire::{Reply, Request},
};
use parking_lot::{Mutex, RwLock};
use rand::RngExt;
use tokio::{sync::Semaphore, time::Instant};

pub use self::{
    add::Added,
    scan::ResolvedPage,
    view::{LearnError, View},
};
use self::{
    aftermath::Aftermaths,
    drive::Limits,
    room::{LargeValues, Patience},
    view::Members,
};
use crate::{
    limits::{
        HEDGE_MS, LARGE_VALUES_BYTES, OPERATION_MS_DEFAULT, OPERATIONS_MAX, PLACEMENT_POLL_MS,
        SCANS_MAX,
    },
    machine::{
        Failure, Outcome,
        outcome::Absent,
        read::{Demand, Extent, Read, ReadAnswer},
        store::Content,
        versions,
        write::Write,
    },
    metrics::{Kind, Metrics},
};
pub use kvnet::peer::dial::{Dial, TcpDial};

/// How a broker behaves.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// How reads treat missing copies, unless a command says otherwise.
    pub demand: Demand,
    /// Refuse deletes unless every copy's server is up.
    pub strict_delete: bool,
    /// Longest time of one command, with all its steps.
    pub operation: Duration,
    /// Bytes of large values held at once.
    pub large_values_bytes: usize,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            demand: Demand::Quorum,
            strict_delete: false,
            operation: Duration::from_millis(OPERATION_MS_DEFAULT),
            large_values_bytes: LARGE_VALUES_BYTES,
        }
    }
}

/// A coordinator of one cluster; cheap to clone. Keeps no data.
#[derive(Clone, Debug)]
pub struct Broker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: BrokerOptions,
    members: Members,
    view: RwLock<Arc<View>>,
    versions: Mutex<VersionClock>,
    clock: Arc<dyn Clock>,
    permits: Arc<Semaphore>,
    scans: Arc<Semaphore>,
    aftermaths: Aftermaths,
    large_values: LargeValues,
    /// Room for those that ended writes still bring to some members: apart, so that a slow member
    /// does not keep reads waiting.
    lasting_values: LargeValues,
    metrics: Metrics,
}

/// What a delete did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// There was a value; it is gone.
    Value,
    /// There was nothing.
    Nothing,
}

impl Broker {
    /// A broker that acts on this placement and reaches members by `dial`.
    ///
    /// Must be called within a tokio runtime; returns once each member was tried.
    pub async fn start(
        placement: Placement,
        dial: Arc<dyn Dial>,
        clock: Arc<dyn Clock>,
        options: BrokerOptions,
    ) -> Self {
        let members = Members::new(dial);
        let view = Arc::new(members.view(placement));
        members.settle(&view).await;
        let large_values = LargeValues::new(options.large_values_bytes);
        let lasting_values = LargeValues::new(options.large_values_bytes / 4);
        let broker = Self(Arc::new(Inner {
            options,
            members,
            view: RwLock::new(view),
            versions: Mutex::new(versions(&mut rand::random)),
            clock,
            permits: Arc::new(Semaphore::new(OPERATIONS_MAX)),
            scans: Arc::new(Semaphore::new(SCANS_MAX)),
            aftermaths: Aftermaths::start(),
            large_values,
            lasting_values,
            metrics: Metrics::new(),
        }));
        broker.spawn_placement_poll();
        broker
    }

    /// The placement and members in use now.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.0.view.read())
    }

    /// How this broker behaves.
    pub fn options(&self) -> &BrokerOptions {
        &self.0.options
    }

    /// Figures for Prometheus.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// How many members cannot be asked now.
    pub fn down(&self) -> usize {
        let view = self.view();
        let replicas = view.replicas().iter();
        replicas.filter(|replica| !replica.is_live()).count()
    }

    /// Members that cannot be asked now, with the reason.
    pub fn absent(&self) -> Vec<Absent> {
        let view = self.view();
        let members = view.placement().members().iter().zip(view.replicas());
        let absent = members.filter_map(|(member, replica)| {
            replica.trouble().map(|why| Absent {
                member: member.id,
                address: member.shown_address(),
                why,
            })
        });
        absent.collect()
    }

    /// Uses the placement from now on if it is newer than the one in use; says which one is in use
    /// then.
    pub fn take(&self, placement: Placement) -> Result<PlacementInUse, LearnError> {
        let mut current = self.0.view.write();
        if let Some(view) = self.0.members.learn(&current, placement)? {
            let PlacementInUse {
                epoch,
                address_revision,
                ..
            } = view.placement().into();
            tracing::info!(%epoch, address_revision, "new placement");
            *current = Arc::new(view);
        }
        Ok(current.placement().into())
    }

    /// The same with a placement that a member has, which may well be older.
    pub fn learn(&self, placement: Placement) {
        match self.take(placement) {
            Ok(_) | Err(LearnError::Older { .. }) => {}
            Err(error) => tracing::error!(%error, "a member offered a placement that is refused"),
        }
    }

    /// By when a command that begins now has to have ended: one deadline for all its steps.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.0.options.operation
    }

    /// Stores a value under a key.
    pub async fn put(&self, key: Key, value: &Value) -> Outcome<Version> {
        let deadline = self.deadline();
        match value.to_stored() {
            Ok((meta, bytes)) => {
                let seen = match self.seen_before(&key, deadline).await {
                    Ok(seen) => seen,
                    Err(failure) => return Outcome::NotDone(failure),
                };
                let content = Content::Value(meta, bytes);
                self.write(Kind::Put, key, content, seen, deadline).await
            }
            Err(error) => Outcome::NotDone(Failure::Refused(error.to_string())),
        }
    }

    /// The version a write has to exceed, where its own quorum may not tell: two write quorums
    /// that need not meet let a slow clock's write vanish below an older one (R10).
    async fn seen_before(&self, key: &Key, deadline: Instant) -> Result<Option<Version>, Failure> {
        let view = self.view();
        let sets = view.placement().slot(key.slot()).write_sets();
        let meet = |holders: &&Holders| 2 * holders.write_quorum() > holders.copies();
        if sets.iter().all(meet) {
            return Ok(None);
        }
        match self.presence_by(key.clone(), deadline).await {
            Outcome::Done(answer) => Ok(answer.version),
            Outcome::NotDone(failure) | Outcome::Unknown(failure) => Err(failure),
        }
    }

    /// Reads a key. The bytes of a large value hold a share of the broker's room for them until
    /// the last of them is dropped.
    pub async fn get(&self, key: Key, demand: Demand) -> Outcome<ReadAnswer> {
        self.get_by(key, demand, self.deadline()).await
    }

    /// Reads a key by a deadline that other steps share.
    pub async fn get_by(&self, key: Key, demand: Demand, deadline: Instant) -> Outcome<ReadAnswer> {
        let patience = Patience::Wait;
        let limits = Limits { deadline, patience };
        self.read(Kind::Get, key, demand, Extent::Value, limits)
            .await
    }

    /// Whether a key has a value, without fetching a large one.
    pub async fn presence(&self, key: Key) -> Outcome<ReadAnswer> {
        self.presence_by(key, self.deadline()).await
    }

    /// Whether a key has a value, by a deadline that other steps share.
    pub async fn presence_by(&self, key: Key, deadline: Instant) -> Outcome<ReadAnswer> {
        let patience = Patience::Wait;
        let limits = Limits { deadline, patience };
        self.read(
            Kind::Presence,
            key,
            Demand::Quorum,
            Extent::Presence,
            limits,
        )
        .await
    }

    /// Deletes a key: a tombstone above what was read.
    pub async fn delete(&self, key: Key) -> Outcome<Deleted> {
        let deadline = self.deadline();
        if self.0.options.strict_delete {
            let down = self.down_for(&key);
            if !down.is_empty() {
                return Outcome::NotDone(Failure::NotAllUp(down));
            }
        }
        let seen = match self.presence_by(key.clone(), deadline).await {
            Outcome::Done(ReadAnswer { value: None, .. }) => {
                return Outcome::Done(Deleted::Nothing);
            }
            Outcome::Done(answer) => answer.version,
            // A read has no effect that could be left behind unknown.
            Outcome::NotDone(failure) | Outcome::Unknown(failure) => {
                return Outcome::NotDone(failure);
            }
        };
        let content = Content::Tombstone;
        match self.write(Kind::Delete, key, content, seen, deadline).await {
            Outcome::Done(_) => Outcome::Done(Deleted::Value),
            Outcome::NotDone(failure) => Outcome::NotDone(failure),
            Outcome::Unknown(failure) => Outcome::Unknown(failure),
        }
    }

    async fn write(
        &self,
        kind: Kind,
        key: Key,
        content: Content,
        above: Option<Version>,
        deadline: Instant,
    ) -> Outcome<Version> {
        let patience = Patience::Wait;
        let limits = Limits { deadline, patience };
        let write = |left_ms| Write::new(key, content, above, left_ms);
        self.run(kind, limits, write).await.0
    }

    async fn read(
        &self,
        kind: Kind,
        key: Key,
        demand: Demand,
        extent: Extent,
        limits: Limits,
    ) -> Outcome<ReadAnswer> {
        let read = |left_ms| Read::new(key, demand, extent, HEDGE_MS, left_ms);
        let (mut outcome, room) = self.run(kind, limits, read).await;
        if let Outcome::Done(ReadAnswer {
            value: Some((_, bytes)),
            ..
        }) = &mut outcome
            && let Some(room) = room
            && !bytes.is_empty()
        {
            *bytes = room.house(std::mem::take(bytes));
        }
        outcome
    }

    /// Members of the key's slot that cannot be asked now.
    fn down_for(&self, key: &Key) -> Vec<Absent> {
        let view = self.view();
        let slot = view.placement().slot(key.slot());
        let named = |absent: &Absent| {
            let index = view.placement().index_of(absent.member);
            index.is_some_and(|index| slot.names(index))
        };
        self.absent().into_iter().filter(named).collect()
    }

    /// Addresses may change under one epoch, which no refusal tells.
    fn spawn_placement_poll(&self) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(PLACEMENT_POLL_MS)).await;
                let Some(inner) = inner.upgrade() else { return };
                let broker = Broker(inner);
                let replica = broker.some_replica();
                if let Some(Ok(Reply::Placement(Some(placement)))) = match replica {
                    Some(replica) => Some(replica.call(Request::FetchPlacement).await),
                    None => None,
                } {
                    broker.learn(placement);
                }
            }
        });
    }

    fn some_replica(&self) -> Option<Arc<dyn Replica>> {
        let view = self.view();
        let live: Vec<_> = view
            .replicas()
            .iter()
            .filter(|replica| replica.trouble().is_none())
            .collect();
        if live.is_empty() {
            return None;
        }
        Some(Arc::clone(live[rand::rng().random_range(0..live.len())]))
    }
}
