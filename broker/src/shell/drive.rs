//! Running one machine to its end.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use kvcore::{
    replica::CallError,
    version::{UnixMillis, Version, VersionClock},
    wire::Request,
};
use parking_lot::Mutex;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

use super::{Broker, View};
use crate::{
    limits::AFTERMATH_MS,
    machine::{
        Context, Effect, Event, Failure, Now, Outcome, Progress, Tags, VersionSource,
        read::{Read, ReadAnswer},
        scan::{Scan, ScanPage},
        write::Write,
    },
    metrics::Kind,
};

/// What all machines have in common.
pub(super) trait Machine {
    /// What it gives when it is done.
    type Output;

    /// Whether requests under way when it ends are to be finished all the same, as a write's are
    /// for the sake of the members beyond the quorum.
    const FINISHES_REQUESTS: bool;

    fn start(&mut self, cx: &mut Context<'_>) -> Progress<Outcome<Self::Output>>;
    fn step(&mut self, cx: &mut Context<'_>, event: Event) -> Progress<Outcome<Self::Output>>;
    fn wake_at(&self) -> u64;
    fn was_hedged(&self) -> bool {
        false
    }

    /// Takes an event after the end, where requests are finished.
    fn aftermath(&mut self, _cx: &mut Context<'_>, _event: Event) {}
}

impl VersionSource for Mutex<VersionClock> {
    fn fresh(&self, now: UnixMillis) -> Option<Version> {
        self.lock().fresh(now)
    }

    fn above(&self, seen: Version, now: UnixMillis) -> Option<Version> {
        self.lock().above(seen, now)
    }
}

macro_rules! machine {
    ($name:ident -> $output:ty, finishes: $finishes:expr $(, $extra:item)?) => {
        impl Machine for $name {
            type Output = $output;
            const FINISHES_REQUESTS: bool = $finishes;
            fn start(&mut self, cx: &mut Context<'_>) -> Progress<Outcome<$output>> {
                $name::start(self, cx)
            }
            fn step(&mut self, cx: &mut Context<'_>, event: Event) -> Progress<Outcome<$output>> {
                $name::step(self, cx, event)
            }
            fn wake_at(&self) -> u64 {
                $name::wake_at(self)
            }
            $($extra)?
        }
    };
}
machine!(Write -> Version, finishes: true, fn aftermath(&mut self, cx: &mut Context<'_>, event: Event) {
    Write::aftermath(self, cx, event);
});
machine!(Read -> ReadAnswer, finishes: false, fn was_hedged(&self) -> bool {
    Read::was_hedged(self)
});
machine!(Scan -> ScanPage, finishes: false);

type Answers = FuturesUnordered<BoxFuture<'static, Event>>;

/// One operation on its way.
struct Run<M> {
    broker: Broker,
    machine: M,
    view: Arc<View>,
    began: Instant,
    began_at: UnixMillis,
    random: u128,
    tags: Tags,
    answers: Answers,
    effects: Vec<Effect>,
    /// Held from the first chunk on that is asked for.
    fetch_turn: Option<OwnedSemaphorePermit>,
    fetches: bool,
}

impl Broker {
    /// Runs a machine to its end, in the caller's task.
    pub(super) async fn run<M: Machine + Send + 'static>(
        &self,
        kind: Kind,
        machine: M,
    ) -> Outcome<M::Output> {
        let began = Instant::now();
        let deadline = began + self.0.options.operation;
        let permits = Arc::clone(&self.0.permits);
        let Ok(Ok(_permit)) = timeout_at(deadline, permits.acquire_owned()).await else {
            let why = "the broker is overloaded: no turn within the deadline".to_owned();
            return Outcome::NotDone(Failure::Refused(why));
        };
        let mut run = Run {
            broker: self.clone(),
            machine,
            view: self.view(),
            began,
            began_at: self.0.clock.now(),
            random: rand::random(),
            tags: Tags::default(),
            answers: FuturesUnordered::new(),
            effects: Vec::new(),
            fetch_turn: None,
            fetches: false,
        };
        let outcome = run.finish().await;
        self.0
            .metrics
            .observe(kind, &outcome, began.elapsed(), run.machine.was_hedged());
        // Bounded apart: members that are slow to finish must not take the turns of others.
        if M::FINISHES_REQUESTS
            && !run.answers.is_empty()
            && let Ok(permit) = Arc::clone(&self.0.aftermaths).try_acquire_owned()
        {
            tokio::spawn(async move {
                let limit = Instant::now() + Duration::from_millis(AFTERMATH_MS);
                let _ = timeout_at(limit, run.aftermath()).await;
                drop(permit);
            });
        }
        outcome
    }
}

impl<M: Machine> Run<M> {
    /// Goes on with the members beyond the quorum until nothing is under way any more.
    async fn aftermath(&mut self) {
        while let Some(event) = self.answers.next().await {
            self.with_context(|machine, cx| machine.aftermath(cx, event));
            self.effects
                .retain(|effect| matches!(effect, Effect::Send { .. }));
            self.perform();
        }
    }

    async fn finish(&mut self) -> Outcome<M::Output> {
        let mut next = None;
        loop {
            if let Progress::Ended(outcome) = self.step(next.take()) {
                self.perform();
                return outcome;
            }
            if self.perform() {
                next = Some(Event::PlacementChanged);
                continue;
            }
            self.wait_for_fetch_turn().await;
            let wake_at = self.began + Duration::from_millis(self.machine.wake_at());
            next = Some(tokio::select! {
                Some(event) = self.answers.next() => event,
                () = tokio::time::sleep_until(wake_at) => Event::Wake,
            });
        }
    }

    /// Nothing is sent before it is polled, so a read whose chunks were just asked for can wait
    /// here until fewer others hold large values; its deadline ends the wait.
    async fn wait_for_fetch_turn(&mut self) {
        if !self.fetches || self.fetch_turn.is_some() {
            return;
        }
        let deadline = self.began + self.broker.0.options.operation;
        let turns = Arc::clone(&self.broker.0.large_fetches);
        if let Ok(Ok(turn)) = timeout_at(deadline, turns.acquire_owned()).await {
            self.fetch_turn = Some(turn);
        }
    }

    /// Steps the machine; `None` starts it.
    fn step(&mut self, event: Option<Event>) -> Progress<Outcome<M::Output>> {
        self.with_context(|machine, cx| match event {
            None => machine.start(cx),
            Some(event) => machine.step(cx, event),
        })
    }

    fn with_context<T>(&mut self, step: impl FnOnce(&mut M, &mut Context<'_>) -> T) -> T {
        let replicas = self.view.replicas().iter();
        let live: Vec<_> = replicas
            .map(|replica| replica.trouble().is_none())
            .collect();
        let elapsed = self.began.elapsed().as_millis();
        let now = Now {
            wall: self.broker.0.clock.now(),
            elapsed_ms: u64::try_from(elapsed).unwrap_or(u64::MAX),
        };
        let mut cx = Context {
            now,
            began_at: self.began_at,
            placement: self.view.placement(),
            live: &live,
            clock: &self.broker.0.versions,
            random: self.random,
            tags: &mut self.tags,
            effects: &mut self.effects,
        };
        step(&mut self.machine, &mut cx)
    }

    /// Performs the effects of a step; true when a placement was learned.
    fn perform(&mut self) -> bool {
        let mut learned = false;
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Learn(placement) => {
                    self.broker.learn(placement);
                    self.view = self.broker.view();
                    learned = true;
                }
                Effect::Send { to, tag, request } => {
                    self.fetches |= matches!(request, Request::GetChunk { .. });
                    let index = self.view.placement().index_of(to);
                    let index = index.expect("machines send to members of their placement");
                    let replica = Arc::clone(&self.view.replicas()[index.get()]);
                    let answer = async move {
                        match replica.call(request).await {
                            Ok(reply) => Event::Reply { tag, reply },
                            Err(CallError::NotSent(why)) => Event::NotSent { tag, why },
                            Err(CallError::Lost(why)) => Event::Lost { tag, why },
                        }
                    };
                    self.answers.push(answer.boxed());
                }
            }
        }
        learned
    }
}
