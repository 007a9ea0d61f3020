//! Many runs on all cores, and what they came to.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use parking_lot::Mutex;

use crate::{
    checker::{Kind, Violation},
    plan::Plan,
    rare::Seen,
    world::{Ran, run},
};

/// Which seeds to run.
#[derive(Debug, Clone, Copy)]
pub struct Hunt {
    /// The first.
    pub first: u64,
    /// How many at most.
    pub seeds: u64,
    /// How long at most.
    pub time: Option<Duration>,
    /// Threads.
    pub threads: usize,
    /// Failing seeds after which it ends.
    pub failures_max: usize,
}

/// What the runs came to.
#[derive(Debug, Clone, Default)]
pub struct Hunted {
    /// Runs.
    pub runs: u64,
    /// Events of all of them.
    pub events: u64,
    /// Operations of clients.
    pub operations: u64,
    /// In how many runs each rare path was seen.
    pub seen: Seen,
    /// Seeds that broke a promise, in ascending order.
    pub failures: Vec<(u64, Violation)>,
}

/// Runs a plan; a panic of what it runs is a broken promise too.
pub fn run_caught(plan: &Plan) -> Ran {
    catch_unwind(AssertUnwindSafe(|| run(plan))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Ran {
            violation: Some(Violation {
                at_us: 0,
                kind: Kind::Panicked,
                what: text.unwrap_or_else(|| "a panic without words".to_owned()),
            }),
            seen: Seen::default(),
            trace: 0,
            events: 0,
            operations: 0,
        }
    })
}

impl Hunt {
    /// Runs the seeds. `prepare` is called once on each thread.
    pub fn run(self, bar: &ProgressBar, prepare: &(dyn Fn() + Sync)) -> Hunted {
        let next = AtomicU64::new(0);
        let is_over = AtomicBool::new(false);
        let hunted = Mutex::new(Hunted::default());
        let until = self.time.map(|time| Instant::now() + time);
        let work = || {
            prepare();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let late = until.is_some_and(|until| Instant::now() >= until);
                if number >= self.seeds || late || is_over.load(Ordering::Relaxed) {
                    return;
                }
                let seed = self.first + number;
                let ran = run_caught(&Plan::draw(seed));
                bar.inc(1);
                let mut hunted = hunted.lock();
                hunted.take(seed, ran);
                if hunted.failures.len() >= self.failures_max {
                    is_over.store(true, Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(work);
            }
        });
        let mut hunted = hunted.into_inner();
        hunted.failures.sort_by_key(|(seed, _)| *seed);
        hunted
    }
}

impl Hunted {
    fn take(&mut self, seed: u64, ran: Ran) {
        self.runs += 1;
        self.events += ran.events;
        self.operations += ran.operations;
        self.seen.add_run(&ran.seen);
        if let Some(violation) = ran.violation {
            self.failures.push((seed, violation));
        }
    }
}
