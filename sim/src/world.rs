//! The world of one run: everything that happens, in order of simulated time.

mod broker;
mod calm;
mod exchange;
mod faults;
mod member;
mod network;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    hash::{DefaultHasher, Hash, Hasher},
};

use ::broker::machine;
use kvcore::{
    placement::{
        self, AuthorId, ClusterId, Epoch, MemberId, Parts, Placement, SlotPlacement, planner::plan,
    },
    version::UnixMillis,
    wire::{Reply, Request},
};
use kvserver::catch_up::pass;
use rand::{SeedableRng, rngs::StdRng};
use uuid::Uuid;

use self::{broker::Broker, member::Member, network::Links};
use crate::{
    checker::{Checker, Finding, Violation},
    plan::{Plan, What},
    rare::{Rare, Seen},
};

/// True time when a run begins: wall clocks count from here.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// Microseconds of a millisecond.
const MS: u64 = 1_000;

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The first promise that was broken, if any.
    pub violation: Option<Violation>,
    /// Rare paths.
    pub seen: Seen,
    /// Stands for everything that happened: equal for equal runs.
    pub trace: u64,
    /// Events.
    pub events: u64,
    /// Operations of clients that ended.
    pub operations: u64,
}

/// Runs a plan to its end or to the first broken promise.
pub fn run(plan: &Plan) -> Ran {
    let mut world = World::new(plan);
    let violation = world.run().err();
    Ran {
        violation,
        seen: world.seen,
        trace: world.trace.finish(),
        events: world.events,
        operations: world.operations,
    }
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy)]
enum Caller {
    /// A machine of a broker.
    Run {
        broker: usize,
        life: u64,
        run: u64,
        tag: machine::Tag,
    },
    /// A pass of a member.
    Pass {
        member: usize,
        life: u64,
        pass: u64,
        tag: pass::Tag,
    },
    /// The second copy of a request: carried out if the first was.
    Again(u64),
    /// Nobody.
    Nobody,
}

/// What comes of a request.
#[derive(Debug)]
enum Answer {
    Reply(Reply),
    NotSent,
    Lost,
}

/// Something that happens at a time.
#[derive(Debug)]
enum Event {
    Step {
        act: usize,
        step: usize,
    },
    /// A request reaches a member's machine.
    Arrive {
        member: usize,
        id: MemberId,
        caller: Caller,
        request: Box<Request>,
    },
    Answer {
        caller: Caller,
        answer: Box<Answer>,
    },
    Wake {
        broker: usize,
        life: u64,
        run: u64,
    },
    Commit {
        member: usize,
        life: u64,
    },
    Tidy {
        member: usize,
        life: u64,
    },
    Round {
        member: usize,
        life: u64,
    },
    Start {
        member: usize,
        life: u64,
    },
    /// A member's process ends and begins again.
    Restart {
        member: usize,
        life: u64,
    },
    FreeDisk {
        member: usize,
    },
}

struct Entry {
    at_us: u64,
    /// Breaks ties: what was scheduled first happens first.
    number: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.number).cmp(&(other.at_us, other.number))
    }
}

struct World<'a> {
    plan: &'a Plan,
    now_us: u64,
    queue: BinaryHeap<Reverse<Entry>>,
    scheduled: u64,
    members: Vec<Member>,
    brokers: Vec<Broker>,
    links: Links,
    /// Requests of which a second copy is under way, by who waits for the first: the copy's
    /// number.
    copied: BTreeMap<(usize, u64, u64, machine::Tag), u64>,
    /// Copies of requests that were carried out.
    repeatable: BTreeSet<u64>,
    /// Wall clocks, members first: milliseconds off the true time.
    skews_ms: Vec<i64>,
    /// The newest placement published.
    placement: Placement,
    dice: StdRng,
    checker: Checker,
    seen: Seen,
    trace: DefaultHasher,
    events: u64,
    operations: u64,
    next_operation: u64,
    /// Operations that ended otherwise than done.
    failed: u64,
    /// What was found wrong while an event was carried out.
    found: Option<Finding>,
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan) -> Self {
        let shape = &plan.shape;
        let placement = first_placement(plan);
        let mut dice = StdRng::seed_from_u64(plan.seed ^ 0x0077_6f72_6c64);
        let members = placement.members().iter();
        let members = members.map(|member| Member::new(member.id, &placement));
        let members = members.collect();
        let brokers = (0..shape.brokers).map(|_| Broker::new(placement.clone(), &mut dice));
        let brokers = brokers.collect();
        Self {
            plan,
            now_us: 0,
            queue: BinaryHeap::new(),
            scheduled: 0,
            members,
            brokers,
            copied: BTreeMap::new(),
            repeatable: BTreeSet::new(),
            links: Links::new(plan.seed, shape.ends(), shape.network),
            skews_ms: shape.skews_ms.clone(),
            placement,
            dice,
            checker: Checker::new(shape.keys, shape.reads_meet_writes()),
            seen: Seen::default(),
            trace: DefaultHasher::new(),
            events: 0,
            operations: 0,
            next_operation: 0,
            failed: 0,
            found: None,
        }
    }

    fn run(&mut self) -> Result<(), Violation> {
        for member in 0..self.members.len() {
            self.start(member);
        }
        for (act, steps) in self.plan.acts.iter().enumerate() {
            let began_us = self.now_us;
            for (step, planned) in steps.steps.iter().enumerate() {
                self.schedule(began_us + planned.at_ms * MS, Event::Step { act, step });
            }
            let last = steps.steps.last().map_or(0, |step| step.at_ms);
            self.run_until(began_us + (last + 1) * MS)?;
            self.calm()?;
        }
        Ok(())
    }

    /// Carries out everything up to a time.
    fn run_until(&mut self, until_us: u64) -> Result<(), Violation> {
        while let Some(Reverse(next)) = self.queue.peek() {
            if next.at_us > until_us {
                break;
            }
            let Some(Reverse(entry)) = self.queue.pop() else {
                break;
            };
            self.now_us = self.now_us.max(entry.at_us);
            self.events += 1;
            self.carry_out(entry.event);
            if let Some((kind, what)) = self.found.take() {
                let at_us = self.now_us;
                return Err(Violation { at_us, kind, what });
            }
        }
        self.now_us = self.now_us.max(until_us);
        Ok(())
    }

    /// Prints one event, cut to what fits a line or two.
    fn say(&self, event: &Event) {
        let text: String = format!("{event:?}").chars().take(400).collect();
        println!("{:>12.6} {text}", self.now_us as f64 / 1e6);
    }

    fn carry_out(&mut self, event: Event) {
        if self.plan.loud {
            self.say(&event);
        }
        self.now_us.hash(&mut self.trace);
        std::mem::discriminant(&event).hash(&mut self.trace);
        match event {
            Event::Step { act, step } => match &self.plan.acts[act].steps[step].what {
                What::Ask(broker, ask) => self.ask(*broker, *ask),
                What::Incident(incident) => self.befall(*incident),
            },
            Event::Arrive {
                member,
                id,
                caller,
                request,
            } => self.arrive(member, id, caller, request),
            Event::Answer { caller, answer } => self.answered(caller, *answer),
            Event::Wake { broker, life, run } => self.wake(broker, life, run),
            Event::Commit { member, life } => self.commit(member, life),
            Event::Tidy { member, life } => self.tidy(member, life),
            Event::Round { member, life } => self.begin_round(member, life),
            Event::Start { member, life } => {
                if self.members[member].life == life && self.members[member].process.is_none() {
                    self.start(member);
                }
            }
            Event::Restart { member, life } => {
                if self.members[member].life == life && !self.links.is_calm() {
                    self.kill(member);
                    self.start(member);
                }
            }
            Event::FreeDisk { member } => self.members[member].disk.memory.set_room(None),
        }
    }

    fn schedule(&mut self, at_us: u64, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse(Entry {
            at_us,
            number: self.scheduled,
            event,
        }));
    }

    fn schedule_in(&mut self, us: u64, event: Event) {
        self.schedule(self.now_us + us, event);
    }

    /// The wall clock at one end.
    fn wall(&self, end: usize) -> UnixMillis {
        let true_ms = EPOCH_MS + self.now_us / MS;
        UnixMillis(true_ms.saturating_add_signed(self.skews_ms[end]))
    }

    /// The end of a broker's links.
    fn end_of(&self, broker: usize) -> usize {
        self.plan.shape.members + broker
    }

    fn hold(&mut self, held: Result<(), Finding>) {
        if let Err(found) = held {
            self.found.get_or_insert(found);
        }
    }

    fn note(&mut self, rare: Rare) {
        self.seen.note(rare);
        rare.hash(&mut self.trace);
    }

    /// Gives an answer to whoever waits for it.
    fn answered(&mut self, caller: Caller, answer: Answer) {
        match caller {
            Caller::Run {
                broker,
                life,
                run,
                tag,
            } => self.on_answer(broker, life, run, tag, answer),
            Caller::Pass {
                member,
                life,
                pass,
                tag,
            } => self.on_pass_answer(member, life, pass, tag, answer),
            Caller::Again(_) | Caller::Nobody => {}
        }
    }
}

/// The placement that every member has when the run begins.
fn first_placement(run: &Plan) -> Placement {
    let shape = &run.shape;
    let members: Vec<_> = (0..shape.members)
        .map(|number| placement::Member {
            id: MemberId(Uuid::from_u128(0x100 + number as u128)),
            address: format!("member-{number}:7400"),
            zone: String::new(),
            weight: 1,
        })
        .collect();
    let sets = plan(&members, usize::from(shape.copies), None).expect("shapes can be placed");
    Placement::new(Parts {
        cluster: ClusterId(Uuid::from_u128(1)),
        epoch: Epoch(1),
        author: AuthorId(Uuid::from_u128(2)),
        address_revision: 0,
        copies: shape.copies,
        quorums: shape.quorums,
        members,
        slots: SlotPlacement::all_stable(sets, Epoch(1), shape.quorums),
    })
    .expect("shapes are valid")
}
