//! A member at work: requests in, replies out. The same whether they come by a socket or from
//! a broker in this process.

mod adopt;
mod requests;
mod slots;
pub mod work;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use kvcore::{
    placement::{Epoch, MemberId, Placement},
    replica::{Answered, CallError, PendingReply, Replica},
    status::MemberStatus,
    time::Clock,
    wire::{Refusal, Reply, Request, Standing, handshake::Reached},
};
use kvnet::peer::server::Identity;
use parking_lot::RwLock;
use tokio::sync::watch;

use self::requests::Begun;

use crate::{
    authority::Authority,
    catch_up::Progress,
    log::disk::{Disk, directory::Directory},
    member_files::slot_table::SlotTable,
    metrics::{Metrics, RequestKind},
    sessions,
    store::{Store, StoreOptions},
    writer_thread::WriterThread,
};

/// One member. Cheap to clone.
pub struct Server<D: Disk = Directory>(Arc<Inner<D>>);

impl<D: Disk> Clone for Server<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Disk> fmt::Debug for Server<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.member())
    }
}

struct Inner<D: Disk> {
    member: MemberId,
    directory: PathBuf,
    store: Store<D>,
    options: StoreOptions,
    writer: WriterThread,
    authority: RwLock<Authority>,
    /// One placement is adopted at a time, and slots are emptied in turn.
    adopting: tokio::sync::Mutex<()>,
    /// As it is in its file.
    slot_table: RwLock<SlotTable>,
    clock: Arc<dyn Clock>,
    epoch: watch::Sender<Epoch>,
    /// Every write from before this epoch is done.
    drained: AtomicU64,
    progress: Progress,
    metrics: Metrics,
    started_at: u64,
}

/// What a server is made of.
pub struct Parts<D: Disk> {
    /// Who it is.
    pub member: MemberId,
    /// Where its placement file lies.
    pub directory: PathBuf,
    /// Its data, for reading.
    pub store: Store<D>,
    /// How the data is kept.
    pub options: StoreOptions,
    /// Its data, for writing.
    pub writer: WriterThread,
    /// The placement it has durable.
    pub placement: Option<Placement>,
    /// The slot table it has durable.
    pub slot_table: SlotTable,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl<D: Disk> Server<D> {
    /// A member made of these parts.
    pub fn new(parts: Parts<D>) -> Self {
        let Parts {
            member,
            directory,
            store,
            options,
            writer,
            placement,
            slot_table,
            clock,
        } = parts;
        let mut authority = Authority::new(member, placement);
        if let Some(placement) = authority.placement() {
            let closed = sessions::closed(placement, &slot_table);
            authority.close(&closed);
        }
        let (epoch, _) = watch::channel(authority.epoch());
        let started_at = clock.now().0;
        let drained = AtomicU64::new(authority.epoch().0);
        Self(Arc::new(Inner {
            member,
            directory,
            store,
            options,
            writer,
            authority: RwLock::new(authority),
            adopting: tokio::sync::Mutex::new(()),
            slot_table: RwLock::new(slot_table),
            clock,
            epoch,
            drained,
            progress: Progress::default(),
            metrics: Metrics::new(),
            started_at,
        }))
    }

    /// Who this is.
    pub fn member(&self) -> MemberId {
        self.0.member
    }

    /// The placement in force.
    pub fn placement(&self) -> Option<Placement> {
        self.0.authority.read().placement().cloned()
    }

    /// Its data.
    pub fn store(&self) -> &Store<D> {
        &self.0.store
    }

    /// The thread that writes.
    pub fn writer(&self) -> &WriterThread {
        &self.0.writer
    }

    /// How far it has caught up with the other members.
    pub fn progress(&self) -> &Progress {
        &self.0.progress
    }

    /// Its figures for Prometheus, as of now.
    pub fn render_metrics(&self) -> String {
        self.0
            .metrics
            .render(&self.0.store, &self.0.writer, &self.status())
    }

    /// Tells when the epoch changes.
    pub fn epochs(&self) -> watch::Receiver<Epoch> {
        self.0.epoch.subscribe()
    }

    /// The time as this member believes.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// `/status`.
    pub fn status(&self) -> MemberStatus {
        let inner = &self.0;
        let authority = inner.authority.read().clone();
        let placement = authority.placement();
        let slots = authority.slots();
        let count = |standing| {
            let with = slots
                .iter()
                .filter(|&slot| inner.store.standing(slot) == standing);
            u32::try_from(with.count()).expect("at most 1024")
        };
        let reason = self.why_not_ready(&authority);
        MemberStatus {
            id: inner.member,
            cluster: authority.cluster(),
            epoch: authority.epoch(),
            digest: placement.map(Placement::digest),
            author: placement.map(|placement| placement.parts().author),
            address_revision: placement.map_or(0, |placement| placement.parts().address_revision),
            ready: reason.is_none(),
            reason,
            slots: u32::try_from(slots.len()).expect("at most 1024"),
            slots_unsynced: count(Standing::Unsynced),
            slots_damaged: count(Standing::Damaged),
            damage_met: inner.store.damage_met(),
            slots_behind: inner.progress.slots_behind(),
            keys: inner.store.keys(),
            tombstones: inner.store.tombstones(),
            memory_bytes: inner.store.memory_bytes(),
            log_bytes: inner.writer.stats().bytes,
            mode: inner.options.mode,
            sync: inner.options.sync,
            started_at: inner.started_at,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            sessions: self.sessions(&authority),
            slots_left: inner.progress.slots_left(),
        }
    }

    fn why_not_ready(&self, authority: &Authority) -> Option<String> {
        if self.0.writer.has_failed() {
            return Some("the log failed; writes need a restart".to_owned());
        }
        if authority.placement().is_none() {
            return Some("no placement yet: it is blank and waits for its first".to_owned());
        }
        self.0.progress.waiting_for()
    }
}

impl<D: Disk> Identity for Server<D> {
    fn reached(&self) -> Reached {
        Reached {
            cluster: self.0.authority.read().cluster(),
            member: self.member(),
        }
    }
}

impl<D: Disk> Replica for Server<D> {
    fn call(&self, request: Request) -> PendingReply {
        let call = Call {
            kind: RequestKind::of(&request),
            began: Instant::now(),
        };
        let ended = match request {
            Request::Ping => Ok(Reply::Pong {
                epoch: self.0.authority.read().epoch(),
            }),
            Request::FetchPlacement => Ok(Reply::Placement(self.placement())),
            Request::Adopt(placement) => {
                let (server, adopting) = (self.clone(), self.clone());
                // In a task of its own, which goes on when whoever asked has left: a placement that
                // is being written is written to its end before the next one's turn.
                let adopted = tokio::spawn(async move { adopting.adopt(placement).await });
                return PendingReply::waits(async move {
                    let ended = adopted.await;
                    let lost = |error: tokio::task::JoinError| Err(Failed::Lost(error.to_string()));
                    server.answered(&call, ended.unwrap_or_else(lost))
                });
            }
            request => match self.begin(request) {
                Ok(Begun::Here(reply)) => Ok(reply),
                Ok(Begun::Waits(waits)) => {
                    let server = self.clone();
                    return PendingReply::waits(async move {
                        let ended = waits.end(&server).await;
                        server.answered(&call, ended)
                    });
                }
                Err(refusal) => Err(Failed::Refused(refusal)),
            },
        };
        PendingReply::here(self.answered(&call, ended))
    }
}

/// A call that is being carried out, for its figures.
struct Call {
    kind: RequestKind,
    began: Instant,
}

impl<D: Disk> Server<D> {
    fn answered(&self, call: &Call, ended: Result<Reply, Failed>) -> Answered {
        let metrics = &self.0.metrics;
        metrics.observe(call.kind, &ended, call.began.elapsed());
        match ended {
            Ok(reply) => Ok(reply),
            Err(Failed::Refused(refusal)) => Ok(Reply::Refused(refusal)),
            Err(Failed::Lost(why)) => Err(CallError::Lost(why)),
        }
    }
}

/// Why a request has no ordinary reply.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nothing was changed.
    Refused(Refusal),
    /// What was asked may have been done.
    Lost(String),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
