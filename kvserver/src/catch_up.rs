//! Catching up: members of a slot compare digests and fetch what they lack from each other.
//!
//! Each member pulls; since all do, differences vanish on both sides. `pass` decides what is
//! asked of one other member, `round` whom to ask next, `tracker` what the passes together are
//! worth; all are pure. This file runs them, one member after the other, for ever.

pub mod given;
mod giving;
pub mod hand_over;
pub mod pass;
pub mod round;
mod tracker;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use kvcore::{
    placement::{Member, MemberId, Placement},
    replica::Replica,
    slot::Slot,
    wire::{Reply, Request},
};
use kvnet::{peer::dial::Dial, shutdown::Shutdown};
use parking_lot::Mutex;
use rand::RngExt;
use tokio::time::timeout;

use self::{
    given::GivenTo,
    hand_over::{HandOver, HandedOver},
    pass::{Broken, Effect, Event, Pass, Passed},
    round::{CatchUp, Followed, Pulled, Report},
};
use crate::{limits::EXCHANGE_INTERVAL, log::disk::Disk, server::Server};

/// How long one request of a pass may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between two rounds while there is something to catch up with.
pub const BEHIND_INTERVAL: Duration = Duration::from_millis(100);

/// How long a member that was just dialled may take to be reached before it counts as away.
const SETTLE_MAX: Duration = Duration::from_millis(1_500);

/// How far the member has come, for `/status` and `/readyz`.
#[derive(Debug)]
pub struct Progress(Mutex<State>);

#[derive(Debug)]
struct State {
    waiting_for: Option<String>,
    slots_behind: u32,
    pulled: Pulled,
    given_to: GivenTo,
    slots_left: Option<u32>,
}

impl Default for Progress {
    fn default() -> Self {
        let waiting_for = Some("it has not compared itself with the other members yet".to_owned());
        Self(Mutex::new(State {
            waiting_for,
            slots_behind: 0,
            pulled: Pulled::new(),
            given_to: GivenTo::new(),
            slots_left: None,
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

    /// Whom the slots that are copied were had from.
    pub fn pulled(&self) -> Pulled {
        self.0.lock().pulled.clone()
    }

    /// Slots that found another home, of which there are records that no owner was seen to have.
    /// Not known before it has looked once.
    pub fn slots_left(&self) -> Option<u32> {
        self.0.lock().slots_left
    }

    fn set(&self, waiting_for: Option<String>, slots_behind: u32) {
        let mut state = self.0.lock();
        state.waiting_for = waiting_for;
        state.slots_behind = slots_behind;
    }

    fn set_slots_left(&self, slots_left: u32) {
        self.0.lock().slots_left = Some(slots_left);
    }

    /// To whom slots were given away.
    pub fn given_to(&self) -> GivenTo {
        self.0.lock().given_to.clone()
    }

    fn set_given(&self, given_to: GivenTo) {
        self.0.lock().given_to = given_to;
    }

    pub(crate) fn set_pulled(&self, pulled: Pulled) {
        self.0.lock().pulled = pulled;
    }
}

/// Catches up and stays so until shutdown.
pub async fn run<D: Disk>(server: Server<D>, dial: Arc<dyn Dial>, shutdown: Shutdown) {
    let mut rounds = Rounds {
        dial,
        links: HashMap::new(),
        catch_up: CatchUp::new(server.member()),
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
    catch_up: CatchUp,
}

impl<D: Disk> Rounds<D> {
    /// Compares with every other member once; gives the pause until the next time.
    async fn round(&mut self, placement: &Placement) -> Duration {
        let store = self.server.store().clone();
        if !self.catch_up.begin(placement, &store) {
            let progress = self.server.progress();
            progress.set(Some("the placement does not name it".to_owned()), 0);
            let left = Slot::all().filter(|&slot| store.has_records(slot)).count();
            progress.set_slots_left(u32::try_from(left).expect("at most 1024"));
            return EXCHANGE_INTERVAL;
        }
        self.links.retain(|(id, address), _| {
            placement
                .members()
                .iter()
                .any(|m| m.id == *id && m.address == *address)
        });
        while let Some((member, hand_over)) = self.catch_up.next_hand_over() {
            let end = self.hand_over(placement, &member, hand_over).await;
            if let Some(Broken { why, .. }) = &end.broken {
                tracing::debug!(member = %member.id, address = member.address, why, "not handed over");
            }
            let followed = self.catch_up.handed_over(end);
            self.server.progress().set_given(followed.given_to);
            self.server.give(followed.given).await;
            if let Some(newer) = followed.newer {
                return self.take(newer).await;
            }
        }
        while let Some((member, pass)) = self.catch_up.next_pass(&store) {
            let end = self.pass(placement, &member, pass).await;
            if let Err(Broken { why, .. }) = &end {
                tracing::debug!(member = %member.id, address = member.address, why, "no pass");
            }
            let followed = self.catch_up.ended(end, &store);
            self.note(&followed);
            if let Some(newer) = followed.newer {
                return self.take(newer).await;
            }
            self.server.note_pulled(followed.pulled).await;
        }
        match self.catch_up.finish(&store) {
            Some(report) => self.report(report),
            None => BEHIND_INTERVAL,
        }
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

    fn note(&self, followed: &Followed) {
        if followed.promoted > 0 {
            tracing::info!(
                slots = followed.promoted,
                "synced from the other members; these slots vote again"
            );
        }
        if let Some(losses) = followed.all_vote {
            let writer = self.server.writer().clone();
            tokio::spawn(async move { writer.repaired(losses).await });
        }
    }

    fn report(&self, report: Report) -> Duration {
        self.note(&report.followed);
        let is_ready = report.waiting_for.is_none();
        if report.first_time {
            let keys = self.server.store().keys();
            tracing::info!(keys, "caught up");
        }
        self.server
            .progress()
            .set(report.waiting_for, report.slots_behind);
        self.server.progress().set_slots_left(report.slots_left);
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
        pass: Pass,
    ) -> Result<Passed, Broken> {
        let link = self.link(placement, member).await?;
        run_pass(&self.server, &link, pass).await
    }

    async fn hand_over(
        &mut self,
        placement: &Placement,
        member: &Member,
        hand_over: HandOver,
    ) -> HandedOver {
        match self.link(placement, member).await {
            Ok(link) => giving::run(&self.server, &link, hand_over).await,
            Err(why) => HandedOver::none(why),
        }
    }

    /// A member that can be asked now.
    async fn link(
        &mut self,
        placement: &Placement,
        member: &Member,
    ) -> Result<Arc<dyn Replica>, Broken> {
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
        Ok(link)
    }
}

fn not_reached(why: String) -> Broken {
    Broken { why, newer: None }
}

/// Asks a member, for a limited time.
async fn call(replica: &dyn Replica, request: Request) -> Result<Reply, String> {
    match timeout(REQUEST_TIMEOUT, replica.call(request)).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())),
    }
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
                match call(&*replica, request).await {
                    Ok(reply) => Event::Answer { tag, reply },
                    Err(why) => Event::Failed { why },
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
