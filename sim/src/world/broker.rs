//! One broker: its machines, run over the simulated network.

mod operation;
mod page;

use std::{cell::RefCell, collections::BTreeMap};

use broker::machine::{
    Context, Effect, Event as MachineEvent, Now, Outcome, Progress, Tag, Tags, VersionSource,
    read::{Read, ReadAnswer},
    scan::{Scan, ScanPage},
    write::Write,
};
use kvcore::{
    key::Key,
    placement::Placement,
    record::Record,
    version::{UnixMillis, Version, VersionClock},
    wire::{Intent, Request},
};
use rand::{RngExt, rngs::StdRng};

use super::{Answer, Caller, Event, MS, World};
use crate::{checker::Wanted, plan::Ask, rare::Rare};

/// Values of at least this many bytes travel in chunks.
const CHUNKED_BYTES: usize = kvcore::limits::CHUNK_BYTES;

/// The key of a number. Spread over slots by itself.
pub(super) fn key_of(number: u16) -> Key {
    Key::copy_from(format!("key-{number}").as_bytes()).expect("short")
}

/// The number of a key.
fn number_of(key: &Key) -> Option<u16> {
    let digits = key.as_bytes().strip_prefix(b"key-")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A broker's memory; it has nothing else.
pub(super) struct Broker {
    pub(super) life: u64,
    pub(super) placement: Placement,
    versions: Versions,
    runs: BTreeMap<u64, Run>,
    next_run: u64,
}

/// Issues versions, for one thread.
struct Versions(RefCell<VersionClock>);

impl VersionSource for Versions {
    fn fresh(&self, now: UnixMillis) -> Option<Version> {
        self.0.borrow_mut().fresh(now)
    }

    fn above(&self, seen: Version, now: UnixMillis) -> Option<Version> {
        self.0.borrow_mut().above(seen, now)
    }
}

/// One machine on its way.
struct Run {
    machine: Machine,
    operation: Operation,
    /// What its broker had when it began, or what it has learned since.
    placement: Placement,
    began_us: u64,
    began_at: UnixMillis,
    /// The lowest reading of the clock that it was given.
    lowest: UnixMillis,
    random: u128,
    tags: Tags,
    /// Requests not answered.
    open: usize,
    /// When it is woken next, in milliseconds since it began.
    wake_ms: Option<u64>,
    has_ended: bool,
}

enum Machine {
    Write(Write),
    Read(Read),
    Scan(Scan),
}

/// What a client asked for, over all machines it takes.
#[derive(Clone)]
struct Operation {
    /// Its number, which its value carries.
    number: u64,
    ask: Ask,
    /// Of a scan: behind which key this page begins.
    after: Option<Key>,
    began_us: u64,
    /// What was known of each key it reads when it began.
    floors: Vec<Option<Version>>,
    /// What it stores, if it is a write or a delete.
    wanted: Option<Wanted>,
}

/// How a machine ended.
enum Ended {
    Wrote(Outcome<Version>),
    Read(Outcome<ReadAnswer>),
    Scanned(Outcome<ScanPage>),
}

/// An operation whose machine ended, and the lowest reading of the clock that this was given.
struct End {
    operation: Operation,
    ended: Ended,
    lowest: UnixMillis,
}

impl Broker {
    pub(super) fn new(placement: Placement, dice: &mut StdRng) -> Self {
        let clock = broker::machine::versions(&mut || dice.random());
        Self {
            life: 0,
            placement,
            versions: Versions(RefCell::new(clock)),
            runs: BTreeMap::new(),
            next_run: 0,
        }
    }

    /// Whether operations of clients are under way.
    pub(super) fn has_operations(&self) -> bool {
        self.oldest_us().is_some()
    }

    /// When the machine began that has been under way longest.
    pub(super) fn oldest_us(&self) -> Option<u64> {
        let open = self.runs.values().filter(|run| !run.has_ended);
        open.map(|run| run.began_us).min()
    }
}

impl Machine {
    fn step(&mut self, cx: &mut Context<'_>, event: Option<MachineEvent>) -> Progress<Ended> {
        fn ended<T>(progress: Progress<T>, end: impl FnOnce(T) -> Ended) -> Progress<Ended> {
            match progress {
                Progress::Pending => Progress::Pending,
                Progress::Ended(outcome) => Progress::Ended(end(outcome)),
            }
        }
        match (self, event) {
            (Self::Write(write), None) => ended(write.start(cx), Ended::Wrote),
            (Self::Write(write), Some(event)) => ended(write.step(cx, event), Ended::Wrote),
            (Self::Read(read), None) => ended(read.start(cx), Ended::Read),
            (Self::Read(read), Some(event)) => ended(read.step(cx, event), Ended::Read),
            (Self::Scan(scan), None) => ended(scan.start(cx), Ended::Scanned),
            (Self::Scan(scan), Some(event)) => ended(scan.step(cx, event), Ended::Scanned),
        }
    }

    fn wake_at(&self) -> u64 {
        match self {
            Self::Write(write) => write.wake_at(),
            Self::Read(read) => read.wake_at(),
            Self::Scan(scan) => scan.wake_at(),
        }
    }
}

impl World<'_> {
    /// Starts a machine of an operation.
    fn run_machine(&mut self, broker: usize, machine: Machine, operation: Operation) {
        let random = self.dice.random();
        let began_at = self.wall(self.end_of(broker));
        let began_us = self.now_us;
        let this = &mut self.brokers[broker];
        this.next_run += 1;
        let number = this.next_run;
        let run = Run {
            machine,
            operation,
            placement: this.placement.clone(),
            began_us,
            began_at,
            lowest: began_at,
            random,
            tags: Tags::default(),
            open: 0,
            wake_ms: None,
            has_ended: false,
        };
        this.runs.insert(number, run);
        self.step(broker, number, None);
    }

    /// Steps a machine until it waits or ends.
    fn step(&mut self, broker: usize, number: u64, mut event: Option<MachineEvent>) {
        let Some(mut run) = self.brokers[broker].runs.remove(&number) else {
            return;
        };
        loop {
            let (progress, effects) = self.with_context(broker, &mut run, |machine, cx| {
                machine.step(cx, event.take())
            });
            let learned = self.perform(broker, number, &mut run, effects);
            if let Progress::Ended(ended) = progress {
                run.has_ended = true;
                if matches!(&run.machine, Machine::Read(read) if read.was_hedged()) {
                    self.note(Rare::HedgedRead);
                }
                let end = End {
                    operation: run.operation.clone(),
                    ended,
                    lowest: run.lowest,
                };
                // A write goes on with the members beyond its quorum.
                if run.open > 0 && matches!(run.machine, Machine::Write(_)) {
                    self.brokers[broker].runs.insert(number, run);
                }
                return self.machine_ended(broker, end);
            }
            if !learned {
                break;
            }
            event = Some(MachineEvent::PlacementChanged);
        }
        let wake_ms = run.machine.wake_at();
        if run.wake_ms != Some(wake_ms) {
            run.wake_ms = Some(wake_ms);
            let life = self.brokers[broker].life;
            let at_us = (run.began_us + wake_ms * MS).max(self.now_us);
            let event = Event::Wake {
                broker,
                life,
                run: number,
            };
            self.schedule(at_us, event);
        }
        self.brokers[broker].runs.insert(number, run);
    }

    fn with_context<T>(
        &self,
        broker: usize,
        run: &mut Run,
        step: impl FnOnce(&mut Machine, &mut Context<'_>) -> T,
    ) -> (T, Vec<Effect>) {
        let end = self.end_of(broker);
        let members = run.placement.members().iter();
        let live: Vec<_> = members
            .map(|member| self.is_connected(end, member.id))
            .collect();
        let now = Now {
            wall: self.wall(end),
            elapsed_ms: (self.now_us - run.began_us) / MS,
        };
        run.lowest = run.lowest.min(now.wall);
        let mut effects = Vec::new();
        let mut cx = Context {
            now,
            began_at: run.began_at,
            placement: &run.placement,
            live: &live,
            clock: &self.brokers[broker].versions,
            random: run.random,
            tags: &mut run.tags,
            effects: &mut effects,
        };
        let stepped = step(&mut run.machine, &mut cx);
        (stepped, effects)
    }

    /// Performs effects; true when a placement was learned.
    fn perform(&mut self, broker: usize, number: u64, run: &mut Run, effects: Vec<Effect>) -> bool {
        let (life, end) = (self.brokers[broker].life, self.end_of(broker));
        let mut learned = false;
        for effect in effects {
            match effect {
                // A simulated broker has room for everything.
                Effect::Expect { .. } => {}
                Effect::Learn(placement) => {
                    self.learn(broker, run, placement);
                    learned = true;
                }
                Effect::Send { to, tag, request } => {
                    if let Request::Put {
                        key,
                        record,
                        intent,
                        ..
                    } = &request
                    {
                        self.on_put_sent(broker, &run.operation, key, record, *intent);
                    }
                    run.open += 1;
                    let caller = Caller::Run {
                        broker,
                        life,
                        run: number,
                        tag,
                    };
                    self.call(caller, end, to, request);
                }
            }
        }
        learned
    }

    /// The broker takes a placement if it is newer, and this machine whatever the broker has then.
    /// Its others go on with theirs until they learn themselves, as in the broker's shell.
    fn learn(&mut self, broker: usize, run: &mut Run, placement: Placement) {
        let this = &mut self.brokers[broker];
        let is_newer = placement.epoch() > this.placement.epoch();
        if is_newer {
            this.placement = placement;
        }
        run.placement = this.placement.clone();
        self.note(if is_newer {
            Rare::PlacementLearned
        } else {
            Rare::PlacementLearnedLater
        });
    }

    /// Tells the checker under which version something is sent, and what was found expired.
    fn on_put_sent(
        &mut self,
        broker: usize,
        operation: &Operation,
        key: &Key,
        record: &Record,
        intent: Intent,
    ) {
        let held = match intent {
            Intent::Fresh | Intent::Successor => {
                self.checker.issued(operation.number, record.version)
            }
            Intent::Repair => {
                self.note(Rare::ReadRepair);
                let number = number_of(key).filter(|_| record.version.is_expiry());
                let now = self.wall(self.end_of(broker));
                number.map_or(Ok(()), |number| {
                    self.checker.expired(number, record.version, Some(now))
                })
            }
        };
        self.hold(held);
    }

    /// An answer to a request of a machine.
    pub(super) fn on_answer(
        &mut self,
        broker: usize,
        life: u64,
        number: u64,
        tag: Tag,
        answer: Answer,
    ) {
        if self.brokers[broker].life != life {
            return;
        }
        let why = || "the simulation says so".to_owned();
        let event = match answer {
            Answer::Reply(reply) => MachineEvent::Reply { tag, reply },
            Answer::NotSent => MachineEvent::NotSent { tag, why: why() },
            Answer::Lost => MachineEvent::Lost { tag, why: why() },
        };
        let Some(run) = self.brokers[broker].runs.get_mut(&number) else {
            return;
        };
        run.open -= 1;
        if run.has_ended {
            self.aftermath(broker, number, event);
        } else {
            self.step(broker, number, Some(event));
        }
    }

    fn aftermath(&mut self, broker: usize, number: u64, event: MachineEvent) {
        let Some(mut run) = self.brokers[broker].runs.remove(&number) else {
            return;
        };
        self.note(Rare::Aftermath);
        let ((), mut effects) = self.with_context(broker, &mut run, |machine, cx| {
            if let Machine::Write(write) = machine {
                write.aftermath(cx, event);
            }
        });
        effects.retain(|effect| matches!(effect, Effect::Send { .. }));
        self.perform(broker, number, &mut run, effects);
        if run.open > 0 {
            self.brokers[broker].runs.insert(number, run);
        }
    }

    /// The time has come that a machine asked to be woken at.
    pub(super) fn wake(&mut self, broker: usize, life: u64, number: u64) {
        let this = &mut self.brokers[broker];
        if this.life != life {
            return;
        }
        if let Some(run) = this.runs.get_mut(&number)
            && !run.has_ended
        {
            run.wake_ms = None;
            self.step(broker, number, Some(MachineEvent::Wake));
        }
    }

    /// The broker is gone; what its clients asked for has no known outcome.
    pub(super) fn abandon_operations(&mut self, broker: usize) {
        self.brokers[broker].runs.clear();
    }
}
