//! The place that parts what was appended from what will be, over rotation, full disks, failed
//! syncs, compaction and restarts.

// Test helpers outside of #[test] functions may unwrap too; test numbers are small.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;

use kvcore::{key::Key, record::Record};
use kvserver::log::{
    Entry, Location, Log, LogOptions, LogPlace, SegmentId, SyncNow, disk::memory::MemoryDisk,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

#[path = "fixture/records.rs"]
mod records;
#[path = "fixture/steps.rs"]
mod steps;

use records::{payload, small, version};

struct Model {
    seed: u64,
    random: StdRng,
    disk: Arc<MemoryDisk>,
    log: Option<Log<MemoryDisk>>,
    /// The highest place that was given: every later record lies there or above.
    head: LogPlace,
    /// Every record that may be in the log lies below.
    above: LogPlace,
    pending: Vec<Location>,
    alive: Vec<Location>,
    heads: u32,
    restarts_in_doubt: u32,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut model = Self {
            seed,
            random: StdRng::seed_from_u64(seed),
            disk: Arc::new(MemoryDisk::new()),
            log: None,
            head: LogPlace::START,
            above: LogPlace::START,
            pending: Vec::new(),
            alive: Vec::new(),
            heads: 0,
            restarts_in_doubt: 0,
        };
        model.open();
        model
    }

    fn open(&mut self) {
        let options = LogOptions {
            segment_bytes: LogOptions::SEGMENT_BYTES_MIN,
            log_id: 7,
            reaches: self.head,
            ..LogOptions::default()
        };
        self.alive.clear();
        let alive = &mut self.alive;
        let opened = Log::open(Arc::clone(&self.disk), options, &mut |at, _| alive.push(at));
        let (log, recovery) = opened.unwrap();
        self.restarts_in_doubt += u32::from(!recovery.intact);
        self.log = Some(log);
    }

    fn log(&mut self) -> &mut Log<MemoryDisk> {
        self.log.as_mut().unwrap()
    }

    fn append(&mut self) {
        let number = self.random.random_range(0..500);
        let record = if number % 4 == 0 {
            Record::tombstone(version(number))
        } else {
            small(number, payload(number, number as usize))
        };
        let key = Key::copy_from(b"key").unwrap();
        let head = self.head;
        let Ok(at) = self.log().append(&Entry::Record { key, record }) else {
            return;
        };
        assert!(at.place() >= head, "seed {}: {at:?} {head}", self.seed);
        self.pending.push(at);
        self.above = self.above.max(end(at));
    }

    fn commit(&mut self) {
        let sync = [SyncNow::Yes, SyncNow::No, SyncNow::Later][self.random.random_range(0..3)];
        let committed = self.log().commit(sync);
        let pending = std::mem::take(&mut self.pending);
        if committed.is_ok() {
            self.alive.extend(pending);
        }
    }

    fn ask(&mut self) {
        let Ok(head) = self.log().head() else {
            self.pending.clear();
            return;
        };
        self.alive.append(&mut self.pending);
        let before = self.head;
        assert!(head >= before, "seed {}: {head} {before}", self.seed);
        let below = self.alive.iter().all(|at| end(*at) <= head);
        assert!(below, "seed {}: {head} {:?}", self.seed, self.alive);
        self.head = head;
        self.heads += 1;
    }

    /// Releases records, and removes a segment in which none is left.
    fn compact(&mut self) {
        self.commit();
        let log = self.log.as_mut().unwrap();
        let Some(&Location { segment, .. }) = self.alive.first() else {
            return;
        };
        for at in self.alive.extract_if(.., |at| at.segment == segment) {
            log.release(at);
        }
        let _ = log.retire(segment);
    }

    fn restart(&mut self) {
        let log = self.log.take().unwrap();
        match self.random.random_range(0..3) {
            0 => drop(log.close()),
            1 => drop(log),
            _ => {
                drop(log);
                self.disk.crash(self.random.random());
            }
        }
        self.pending.clear();
        self.disk.set_room(None);
        self.disk.fail_sync_after(None);
        self.open();
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..45 => self.append(),
            45..65 => self.commit(),
            65..80 => self.ask(),
            80..86 => self.compact(),
            86..89 => {
                let room = self.random.random_range(0..2_000);
                self.disk.set_room(Some(room));
            }
            89..93 => self.disk.set_room(None),
            93..95 => {
                let syncs = self.random.random_range(0..4);
                self.disk.fail_sync_after(Some(syncs));
            }
            _ => self.restart(),
        }
        if self.log().poisoned().is_some() {
            self.restart();
        }
    }
}

fn end(at: Location) -> LogPlace {
    LogPlace {
        segment: at.segment,
        offset: at.offset + at.length,
    }
}

#[test]
fn what_comes_before_lies_below_and_what_comes_after_above() {
    let (mut heads, mut in_doubt) = (0, 0);
    for seed in 0..steps::scaled(200) {
        let mut model = Model::new(seed);
        for _ in 0..300 {
            model.step();
        }
        heads += model.heads;
        in_doubt += model.restarts_in_doubt;
    }
    assert!(heads > 20 && in_doubt > 0, "{heads} {in_doubt}");
}

/// A place that was given is reached by any restart, since all below it is durable.
#[test]
fn what_lies_below_the_place_is_durable() {
    for seed in 0..steps::scaled(200) {
        let mut model = Model::new(seed);
        for _ in 0..(seed % 40) {
            model.append();
            if seed % 3 == 0 {
                model.commit();
            }
        }
        model.ask();
        let before = model.alive.clone();
        // Nobody waits for this one.
        model.append();
        model.log().commit(SyncNow::Later).unwrap();
        drop(model.log.take());
        model.disk.crash(seed);
        model.open();
        assert_eq!(model.alive[..before.len()], before, "seed {seed}");
    }
}

#[test]
fn places_are_ordered_as_records_are() {
    let place = |segment, offset| LogPlace {
        segment: SegmentId(segment),
        offset,
    };
    assert!(place(1, 9) < place(2, 0) && place(2, 0) < place(2, 1));
    assert!(LogPlace::START < place(1, 0));
    let disk = Arc::new(MemoryDisk::new());
    let options = LogOptions {
        reaches: place(9, 5),
        ..LogOptions::default()
    };
    let (mut log, recovery) = Log::open(disk, options, &mut |_, _| {}).unwrap();
    assert!(
        !recovery.intact,
        "a log of its name was durable up to there"
    );
    assert!(log.head().unwrap() > place(9, 5));
}

/// No number is left behind the last one: said, and nothing is written.
#[test]
fn a_place_that_cannot_be_reached_is_an_error() {
    let disk = Arc::new(MemoryDisk::new());
    let options = LogOptions {
        reaches: LogPlace {
            segment: SegmentId(u32::MAX),
            offset: 5,
        },
        ..LogOptions::default()
    };
    let error = Log::open(disk, options, &mut |_, _| {}).unwrap_err();
    let text = format!("{error}");
    assert!(text.contains("no number is left"), "{text}");
}
