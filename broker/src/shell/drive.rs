//! Running one machine to its end.

use std::{pin::pin, sync::Arc, time::Duration};

use kvcore::version::{UnixMillis, Version, VersionClock};
use parking_lot::Mutex;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    Broker, View,
    answers::Answers,
    room::{Patience, Room},
};
use crate::{
    machine::{
        Context, Effect, Event, Failure, Now, Outcome, Progress, Tags, VersionSource,
        read::{Read, ReadAnswer},
        scan::{Scan, ScanPage},
        write::Write,
    },
    metrics::Kind,
};

/// Within what a machine has to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The command's deadline, the same for all its steps.
    pub(super) deadline: Instant,
    /// Whether it may wait for a turn and for room.
    pub(super) patience: Patience,
}

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

    /// Bytes of a large value that finishing its requests would hold; zero for a small one.
    fn aftermath_bytes(&self) -> usize {
        0
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
    ($name:ident -> $output:ty, finishes: $finishes:expr $(, $extra:item)*) => {
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
            $($extra)*
        }
    };
}
machine!(Write -> Version, finishes: true, fn aftermath(&mut self, cx: &mut Context<'_>, event: Event) {
    Write::aftermath(self, cx, event);
}, fn aftermath_bytes(&self) -> usize {
    Write::large_bytes(self)
});
machine!(Read -> ReadAnswer, finishes: false, fn was_hedged(&self) -> bool {
    Read::was_hedged(self)
});
machine!(Scan -> ScanPage, finishes: false, fn was_hedged(&self) -> bool {
    Scan::was_hedged(self)
});

/// One operation on its way.
struct Run<M> {
    broker: Broker,
    machine: M,
    view: Arc<View>,
    began: Instant,
    /// By when the command that it belongs to has to have ended.
    deadline: Instant,
    began_at: UnixMillis,
    random: u128,
    tags: Tags,
    answers: Answers,
    effects: Vec<Effect>,
    /// Which members can be asked, as of the last step.
    live: Vec<bool>,
    patience: Patience,
    /// Length of a large value that is about to be fetched and has no room yet.
    expected: Option<usize>,
    /// Held from before the first chunk is asked for.
    room: Option<Room>,
}

impl Broker {
    /// Runs a machine to its end, in the caller's task and within the caller's time: `make` is
    /// told how many milliseconds of it are left.
    ///
    /// Gives the room that a large value takes along with it.
    pub(super) async fn run<M: Machine + Send + 'static>(
        &self,
        kind: Kind,
        limits: Limits,
        make: impl FnOnce(u64) -> M,
    ) -> (Outcome<M::Output>, Option<Room>) {
        let Limits { deadline, patience } = limits;
        let began = Instant::now();
        let left_ms = deadline.saturating_duration_since(began).as_millis();
        if left_ms == 0 {
            let why = format!(
                "the command's {} ms were over before it came to this step",
                self.0.options.operation.as_millis()
            );
            return (Outcome::NotDone(Failure::Refused(why)), None);
        }
        let Some(_permit) = self.turn(limits).await else {
            let waited_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            return (Outcome::NotDone(Failure::NoTurn { waited_ms }), None);
        };
        // Apart, so that what is moved on its way to where it waits is small.
        let mut run = Box::new(Run {
            broker: self.clone(),
            machine: make(u64::try_from(left_ms).unwrap_or(u64::MAX)),
            view: self.view(),
            began,
            deadline,
            began_at: self.0.clock.now(),
            random: rand::random(),
            tags: Tags::default(),
            answers: Answers::default(),
            effects: Vec::new(),
            live: Vec::new(),
            patience,
            expected: None,
            room: None,
        });
        let outcome = run.finish().await;
        self.0
            .metrics
            .observe(kind, &outcome, began.elapsed(), run.machine.was_hedged());
        let room = run.room.take();
        if M::FINISHES_REQUESTS && !run.answers.is_empty() {
            self.hand_over(run);
        }
        (outcome, room)
    }

    /// Lets what is under way go on, where there is room for it: bounded apart, since members that
    /// are slow to finish must not take the turns of others.
    fn hand_over<M: Machine + Send + 'static>(&self, mut run: Box<Run<M>>) {
        let bytes = run.machine.aftermath_bytes();
        if bytes > 0 {
            let Some(room) = self.0.lasting_values.try_room_for(bytes) else {
                return;
            };
            run.room = Some(room);
        }
        self.0.aftermaths.take(async move { run.aftermath().await });
    }

    async fn turn(&self, limits: Limits) -> Option<OwnedSemaphorePermit> {
        let turns = Arc::clone(&self.0.permits);
        match limits.patience {
            Patience::Wait => {
                let turn = timeout_at(limits.deadline, turns.acquire_owned()).await;
                turn.ok()?.ok()
            }
            Patience::Try => turns.try_acquire_owned().ok(),
        }
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
        // One timer for all steps: setting it anew costs more than most of them.
        let mut alarm = pin!(sleep_until(self.deadline));
        loop {
            if let Progress::Ended(outcome) = self.step(next.take()) {
                self.perform();
                return outcome;
            }
            let mut learned = self.perform();
            while let Some(bytes) = self.expected.take() {
                if let Err(failure) = self.make_room(bytes).await {
                    return Outcome::NotDone(failure);
                }
                learned |= self.perform();
            }
            if learned {
                next = Some(Event::PlacementChanged);
                continue;
            }
            let wake_at = self.began + Duration::from_millis(self.machine.wake_at());
            if alarm.deadline() != wake_at {
                alarm.as_mut().reset(wake_at);
            }
            next = Some(tokio::select! {
                biased;
                Some(event) = self.answers.next() => event,
                () = &mut alarm => Event::Wake,
            });
        }
    }

    async fn make_room(&mut self, bytes: usize) -> Result<(), Failure> {
        // Whoever holds room waits for none: a value that was overtaken gives its own back.
        self.room = None;
        let large_values = &self.broker.0.large_values;
        let room = large_values.room_for(bytes, self.patience, self.deadline);
        self.room = Some(room.await?);
        Ok(())
    }

    /// Steps the machine; `None` starts it.
    fn step(&mut self, event: Option<Event>) -> Progress<Outcome<M::Output>> {
        self.with_context(|machine, cx| match event {
            None => machine.start(cx),
            Some(event) => machine.step(cx, event),
        })
    }

    fn with_context<T>(&mut self, step: impl FnOnce(&mut M, &mut Context<'_>) -> T) -> T {
        self.live.clear();
        let replicas = self.view.replicas().iter();
        self.live.extend(replicas.map(|replica| replica.is_live()));
        let elapsed = self.began.elapsed().as_millis();
        let now = Now {
            wall: self.broker.0.clock.now(),
            elapsed_ms: u64::try_from(elapsed).unwrap_or(u64::MAX),
        };
        let mut cx = Context {
            now,
            began_at: self.began_at,
            placement: self.view.placement(),
            live: &self.live,
            clock: &self.broker.0.versions,
            random: self.random,
            tags: &mut self.tags,
            effects: &mut self.effects,
        };
        step(&mut self.machine, &mut cx)
    }

    /// Performs the effects of a step, those before room is needed; true when a placement was
    /// learned. What follows is asked for once there is room for it.
    fn perform(&mut self) -> bool {
        let mut learned = false;
        let expects = |effect: &Effect| matches!(effect, Effect::Expect { .. });
        let until = self.effects.iter().position(expects);
        let until = until.map_or(self.effects.len(), |at| at + 1);
        for effect in self.effects.drain(..until) {
            match effect {
                Effect::Learn(placement) => {
                    self.broker.learn(placement);
                    self.view = self.broker.view();
                    learned = true;
                }
                Effect::Expect { bytes } => self.expected = Some(bytes),
                Effect::Send { to, tag, request } => {
                    let index = self.view.placement().index_of(to);
                    let index = index.expect("machines send to members of their placement");
                    let reply = self.view.replicas()[index.get()].call(request);
                    self.answers.push(tag, reply);
                }
            }
        }
        learned
    }
}
