//! Catching up: members of a slot compare digests and fetch what they lack from each other.
//!
//! Each member pulls; since all do, differences vanish on both sides. `pass` decides what is
//! asked of one other member, `tracker` what the passes together are worth; both are pure. This
//! file runs them, one member after the other, for ever.

mod pass;
mod tracker;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use kvcore::{
    placement::{Member, MemberId, Placement},
    replica::Replica,
    slot::{Slot, SlotSet},
    wire::{Reply, Request, Standing},
};
use kvnet::{peer::dial::Dial, shutdown::Shutdown};
use parking_lot::Mutex;
use rand::RngExt;
use tokio::time::timeout;

use self::{
    pass::{Broken, Effect, Event, Pass, Passed},
    tracker::Tracker,
};
use crate::{limits::EXCHANGE_INTERVAL, log::disk::Disk, server::Server};

/// How long one request of a pass may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between two rounds while there is something to catch up with.
const BEHIND_INTERVAL: Duration = Duration::from_millis(100);

/// How long a member that was just dialled may take to be reached before it counts as away.
const SETTLE_MAX: Duration = Duration::from_millis(1_500);

/// How far the member has come, for `/status` and `/readyz`.
#[derive(Debug)]
pub struct Progress(Mutex<State>);

#[derive(Debug)]
struct State {
    waiting_for: Option<String>,
    slots_behind: u32,
}

impl Default for Progress {
    fn default() -> Self {
        let waiting_for = Some("it has not compared itself with the other members yet".to_owned());
        Self(Mutex::new(State {
            waiting_for,
            slots_behind: 0,
        }))
    }
}

impl Progress {
    /// Why the member is not caught up; `None` when it is.
    pub fn waiting_for(&self) -> Option<String> {
        self.0.lock().waiting_for.clone()
    }

    /// Slots that differed from another copy in the last round.
    pub fn slots_behind(&self) -> u32 {
        self.0.lock().slots_behind
    }

    fn set(&self, waiting_for: Option<String>, slots_behind: u32) {
        *self.0.lock() = State {
            waiting_for,
            slots_behind,
        };
    }
}

/// Catches up and stays so until shutdown.
pub async fn run<D: Disk>(server: Server<D>, dial: Arc<dyn Dial>, shutdown: Shutdown) {
    let mut rounds = Rounds {
        dial,
        links: HashMap::new(),
        tracker: Tracker::default(),
        was_ready: false,
        server: server.clone(),
    };
    let mut epochs = server.epochs();
    loop {
        epochs.mark_unchanged();
        let pause = match server.placement() {
            Some(placement) => tokio::select! {
                pause = rounds.round(&placement) => pause,
                () = shutdown.stopped() => return,
            },
            None => EXCHANGE_INTERVAL,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = epochs.changed() => {}
            () = shutdown.stopped() => return,
        }
    }
}

struct Rounds<D: Disk> {
    server: Server<D>,
    dial: Arc<dyn Dial>,
    links: HashMap<(MemberId, String), Arc<dyn Replica>>,
    tracker: Tracker,
    was_ready: bool,
}

impl<D: Disk> Rounds<D> {
    /// Compares with every other member once; gives the pause until the next time.
    async fn round(&mut self, placement: &Placement) -> Duration {
        let Some(me) = placement.index_of(self.server.member()) else {
            self.server
                .progress()
                .set(Some("the placement does not name it".to_owned()), 0);
            return EXCHANGE_INTERVAL;
        };
        let mine = placement.slots_of(me);
        self.links.retain(|(id, address), _| {
            placement
                .members()
                .iter()
                .any(|m| m.id == *id && m.address == *address)
        });
        let mut behind = SlotSet::empty();
        // Also where there is nobody to compare with.
        let store = self.server.store().clone();
        self.tracker.observe(&mine, &|slot| store.damages(slot));
        for member in placement.members() {
            if member.id == self.server.member() {
                continue;
            }
            let index = placement.index_of(member.id).expect("it is named");
            let theirs = placement.slots_of(index);
            let shared: SlotSet = mine.iter().filter(|&slot| theirs.contains(slot)).collect();
            if shared.is_empty() {
                continue;
            }
            self.tracker.observe(&mine, &|slot| store.damages(slot));
            match self.pass(placement, member, shared.clone()).await {
                Ok(passed) => {
                    for slot in passed.differed.iter() {
                        behind.insert(slot);
                    }
                    self.tracker
                        .passed(member.id, &passed, &|slot| store.damages(slot));
                }
                Err(Broken { why, newer }) => {
                    tracing::debug!(member = %member.id, address = member.address, why, "no pass");
                    self.tracker.failed(member.id, why);
                    if let Some(newer) = newer {
                        return self.take(newer).await;
                    }
                }
            }
            self.promote(placement, &mine);
        }
        self.promote(placement, &mine);
        self.report(placement, &mine, &behind)
    }

    /// Takes a placement that another member has; the next round is by that one.
    async fn take(&self, newer: Placement) -> Duration {
        let epoch = newer.epoch();
        match self.server.call(Request::Adopt(newer)).await {
            Ok(Reply::Adopted { .. }) => {}
            other => tracing::warn!(%epoch, ?other, "a newer placement is not taken"),
        }
        BEHIND_INTERVAL
    }

    /// Lets slots vote that have synced with enough other members.
    fn promote(&mut self, placement: &Placement, mine: &SlotSet) {
        let me = self.server.member();
        let store = self.server.store();
        let mut promoted = 0;
        for slot in mine.iter() {
            let standing = store.standing(slot);
            if standing != Standing::Voter
                && let Some(damages) = self.tracker.may_vote(placement, me, slot, standing)
                && store.let_vote(slot, damages)
            {
                promoted += 1;
            }
        }
        if promoted > 0 {
            tracing::info!(
                slots = promoted,
                "synced from the other members; these slots vote again"
            );
            if Slot::all()
                .all(|slot| store.standing(slot) == Standing::Voter || !mine.contains(slot))
            {
                let writer = self.server.writer().clone();
                tokio::spawn(async move { writer.repaired().await });
            }
        }
    }

    fn report(&mut self, placement: &Placement, mine: &SlotSet, behind: &SlotSet) -> Duration {
        let store = self.server.store();
        let me = self.server.member();
        let waiting_for = self
            .tracker
            .waiting_for(placement, me, mine, &|s| store.standing(s));
        let is_ready = waiting_for.is_none();
        if is_ready && !self.was_ready {
            tracing::info!(slots = mine.len(), keys = store.keys(), "caught up");
        }
        self.was_ready |= is_ready;
        let slots_behind = u32::try_from(behind.len()).expect("at most 1024");
        self.server.progress().set(waiting_for, slots_behind);
        if is_ready {
            EXCHANGE_INTERVAL.mul_f64(rand::rng().random_range(0.75..1.25))
        } else {
            BEHIND_INTERVAL
        }
    }

    async fn pass(
        &mut self,
        placement: &Placement,
        member: &Member,
        slots: SlotSet,
    ) -> Result<Passed, Broken> {
        let name = (member.id, member.address.clone());
        let is_new = !self.links.contains_key(&name);
        let link = self.links.entry(name);
        let link = link
            .or_insert_with(|| self.dial.dial(placement.cluster(), member))
            .clone();
        if is_new {
            let reached = async {
                while link.trouble().is_some() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let _ = timeout(SETTLE_MAX, reached).await;
        }
        if let Some(trouble) = link.trouble() {
            return Err(not_reached(trouble));
        }
        run_pass(&self.server, &link, Pass::new(placement.epoch(), slots)).await
    }
}

fn not_reached(why: String) -> Broken {
    Broken { why, newer: None }
}

type Answers = FuturesUnordered<BoxFuture<'static, Event>>;

/// Runs one pass to its end.
async fn run_pass<D: Disk>(
    server: &Server<D>,
    link: &Arc<dyn Replica>,
    mut pass: Pass,
) -> Result<Passed, Broken> {
    let mut answers = Answers::new();
    let mut effects = pass.start(server.clock().now());
    loop {
        for effect in effects {
            let (tag, replica, request): (_, Arc<dyn Replica>, _) = match effect {
                Effect::Ask { tag, request } => (tag, Arc::clone(link), request),
                Effect::Apply { tag, request } => (tag, Arc::new(server.clone()), request),
            };
            let answer = async move {
                match timeout(REQUEST_TIMEOUT, replica.call(request)).await {
                    Ok(Ok(reply)) => Event::Answer { tag, reply },
                    Ok(Err(error)) => Event::Failed {
                        why: error.to_string(),
                    },
                    Err(_) => Event::Failed {
                        why: format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
                    },
                }
            };
            answers.push(answer.boxed());
        }
        if let Some(end) = pass.end() {
            return end;
        }
        let Some(event) = answers.next().await else {
            return Err(not_reached("the pass waits for nothing".to_owned()));
        };
        effects = pass.step(event, server.clock().now(), server.store());
    }
}
