//! Random histories of a log on a disk that loses power, checked against a model.

// Test helpers outside of #[test] functions may unwrap too; test numbers are small; and the
// names of the log's files have no other case.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::case_sensitive_file_extension_comparisons
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use kvcore::{
    key::Key,
    record::{Body, Format, Payload, Record, ValueMeta},
    version::{HybridTime, Version, WriterId},
};
use kvserver::log::{
    CommitError, Entry, Location, Log, LogOptions, RecoveredEntry, Recovery, SegmentId, SyncNow,
    disk::{Disk, memory::MemoryDisk},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

#[path = "fixture/steps.rs"]
mod steps;

const KEYS: u32 = 40;

fn key(number: u32) -> Key {
    Key::copy_from(format!("key {number}").as_bytes()).unwrap()
}

fn entry(number: u32, sequence: u64) -> Entry {
    let version = Version::new(HybridTime::from_bits(sequence), WriterId::from_random(2));
    let payload = Bytes::from(vec![sequence as u8; (sequence * 37 % 500) as usize]);
    let meta = ValueMeta {
        format: Format::Raw,
        flags: number,
        expires_at: None,
        length: payload.len() as u32,
    };
    let body = match sequence % 7 {
        0 => Body::Tombstone,
        _ => Body::Value {
            meta,
            payload: Payload::Whole(payload),
        },
    };
    Entry::Record {
        key: key(number),
        record: Record { version, body },
    }
}

/// For every key the newest record, and where it is.
type State = BTreeMap<u32, (u64, Location)>;

// Each says what a history has met so far.
#[allow(clippy::struct_excessive_bools)]
struct Model {
    seed: u64,
    random: StdRng,
    disk: Arc<MemoryDisk>,
    log: Option<Log<MemoryDisk>>,
    sequence: u64,
    appended: BTreeSet<(u32, u64)>,
    pending: State,
    committed: State,
    durable: BTreeMap<u32, u64>,
    relaxed: bool,
    trusted: bool,
    in_flight: bool,
    /// Whether sectors get lost in this history.
    rots: bool,
    /// Whether one was, since the log was last repaired with all that it holds.
    rotten: bool,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut model = Self {
            seed,
            random: StdRng::seed_from_u64(seed),
            disk: Arc::new(MemoryDisk::new()),
            log: None,
            sequence: 0,
            appended: BTreeSet::new(),
            pending: State::new(),
            committed: State::new(),
            durable: BTreeMap::new(),
            relaxed: false,
            trusted: true,
            in_flight: false,
            rots: seed % 3 == 2,
            rotten: false,
        };
        model.open();
        model
    }

    fn log(&mut self) -> &mut Log<MemoryDisk> {
        self.log.as_mut().unwrap()
    }

    /// Opens the log and checks it against everything that is known.
    fn open(&mut self) -> Recovery {
        let options = LogOptions {
            // A lost sector takes its page: segments of several leave something.
            segment_bytes: if self.rots { 16 * 1024 } else { 4096 },
            log_id: 7,
            load_values: self.random.random_bool(0.3),
            ..LogOptions::default()
        };
        let mut state = State::new();
        let mut superseded = Vec::new();
        let (mut log, recovery) = Log::open(Arc::clone(&self.disk), options, &mut |at, entry| {
            let RecoveredEntry::Record { key, record, .. } = entry.to_entry() else {
                panic!("no chunk was appended");
            };
            let number = (0..KEYS).find(|&number| self::key(number) == key).unwrap();
            let sequence = record.version.time().to_bits();
            assert!(
                self.appended.contains(&(number, sequence)),
                "out of nothing"
            );
            match state.get(&number) {
                Some(&(newer, _)) if newer >= sequence => superseded.push(at),
                _ => superseded.extend(state.insert(number, (sequence, at)).map(|(_, at)| at)),
            }
        })
        .unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        for at in superseded {
            log.release(at);
        }
        let reader = log.reader();
        for (&number, &(sequence, at)) in &state {
            match reader.read(at) {
                Ok(read) => assert_eq!(read, entry(number, sequence), "seed {}", self.seed),
                // Known by its hint alone.
                Err(error) => assert!(self.rotten, "seed {}: {error}", self.seed),
            }
        }
        self.log = Some(log);
        if self.rotten {
            self.check_rotten(&state, &recovery);
        } else {
            self.check(&state, &recovery);
        }
        self.durable = state
            .iter()
            .map(|(&number, &(sequence, _))| (number, sequence))
            .collect();
        self.committed = state;
        self.pending.clear();
        self.trusted = recovery.intact;
        self.relaxed = false;
        self.in_flight = false;
        recovery
    }

    fn check(&self, state: &State, recovery: &Recovery) {
        let seed = self.seed;
        assert!(recovery.damaged.is_empty(), "seed {seed}: {recovery:?}");
        let has = |number: &u32| state.get(number).map_or(0, |&(sequence, _)| sequence);
        for (number, &sequence) in &self.durable {
            assert!(
                has(number) >= sequence,
                "seed {seed}: a durable record of {number} is lost"
            );
        }
        if recovery.intact {
            assert!(self.trusted, "seed {seed}: the doubt is forgotten");
            for (number, &(sequence, _)) in &self.committed {
                assert!(
                    has(number) >= sequence,
                    "seed {seed}: intact, without {number}"
                );
            }
        } else {
            let reason = self.relaxed || self.in_flight || !self.trusted;
            assert!(
                reason,
                "seed {seed}: in doubt without a reason: {recovery:?}"
            );
        }
    }

    /// What was durable is there, or its slot is named, or the whole log is in doubt.
    fn check_rotten(&self, state: &State, recovery: &Recovery) {
        let seed = self.seed;
        for (&number, &sequence) in &self.durable {
            let has = state.get(&number).map_or(0, |&(sequence, _)| sequence);
            let told = recovery.damage.touches(key(number).slot()) || !recovery.intact;
            assert!(
                has >= sequence || told,
                "seed {seed}: {number}, {recovery:?}"
            );
        }
        assert!(
            self.trusted || !recovery.intact,
            "seed {seed}: the doubt is forgotten"
        );
    }

    /// Loses a sector somewhere, or lets one read fail once.
    fn rot(&mut self) {
        let mut names = self.disk.list().unwrap();
        names.retain(|name| name.starts_with("segment-"));
        let name = &names[self.random.random_range(0..names.len())];
        let length = self.disk.contents(name).unwrap().len();
        if length <= 512 || self.random.random_bool(0.3) {
            let reads = self.random.random_range(0..20);
            self.disk.fail_reads_after(Some(reads));
            return;
        }
        // Without any head there is no log to open.
        let byte = self.random.random_range(512..length);
        self.disk.lose(name, byte);
        self.rotten = true;
    }

    /// As the other copies would: every key is written again, and the log is told.
    fn repair(&mut self) {
        for number in 0..KEYS {
            self.sequence += 1;
            let sequence = self.sequence;
            let at = self.log().append(&entry(number, sequence)).unwrap();
            self.appended.insert((number, sequence));
            self.pending.insert(number, (sequence, at));
        }
        self.commit(SyncNow::Yes);
        if self.log().poisoned().is_some() {
            return;
        }
        match self.log().repaired() {
            Ok(()) => self.trusted = true,
            Err(error) => assert!(matches!(error, CommitError::Poisoned { .. }), "{error}"),
        }
        for _ in 0..100 {
            let Some(victim) = self.log().victim() else {
                break;
            };
            if !self.log().is_repaired(victim) {
                break;
            }
            self.compact();
            if self.log().poisoned().is_some() {
                return;
            }
        }
    }

    fn append(&mut self) {
        for _ in 0..self.random.random_range(1..8) {
            self.sequence += 1;
            let (number, sequence) = (self.random.random_range(0..KEYS), self.sequence);
            let at = self.log().append(&entry(number, sequence)).unwrap();
            self.appended.insert((number, sequence));
            self.pending.insert(number, (sequence, at));
        }
    }

    fn settle(&mut self, outcome: Result<(), CommitError>, sync: SyncNow) {
        match outcome {
            Ok(()) => {
                for (number, (sequence, at)) in std::mem::take(&mut self.pending) {
                    let old = self.committed.insert(number, (sequence, at));
                    if let Some((_, old)) = old {
                        self.log().release(old);
                    }
                }
                if sync == SyncNow::Yes {
                    self.note_durable();
                } else {
                    self.relaxed = true;
                }
            }
            Err(CommitError::DiskFull { .. }) => self.pending.clear(),
            Err(error) => {
                assert!(matches!(error, CommitError::Poisoned { .. }), "{error}");
                self.in_flight = true;
                self.pending.clear();
            }
        }
    }

    fn note_durable(&mut self) {
        let durable = self.committed.iter();
        self.durable = durable
            .map(|(&number, &(sequence, _))| (number, sequence))
            .collect();
    }

    fn commit(&mut self, sync: SyncNow) {
        let outcome = self.log().commit(sync);
        self.settle(outcome, sync);
    }

    fn compact(&mut self) {
        let Some(victim) = self.log().victim().or_else(|| {
            let any = self.random.random_range(1..self.sequence.max(2)) as u32 / 10;
            Some(SegmentId(any))
        }) else {
            return;
        };
        let Ok(scan) = self.log().scan(victim) else {
            return;
        };
        let mut lost = false;
        for item in scan {
            let (at, entry) = match item {
                Ok(found) => found,
                Err(error) => {
                    assert!(self.rotten, "seed {}: {error}", self.seed);
                    lost |= !self.log().is_repaired(victim);
                    continue;
                }
            };
            let Entry::Record { key, record } = &entry else {
                continue;
            };
            let number = (0..KEYS).find(|&number| self::key(number) == *key).unwrap();
            let sequence = record.version.time().to_bits();
            if self.committed.get(&number) == Some(&(sequence, at)) {
                let moved = self.log().append(&entry).unwrap();
                self.pending.insert(number, (sequence, moved));
            }
        }
        if lost {
            // What lives in it still may be lost: it stays.
            return self.commit(SyncNow::Yes);
        }
        match self.log().retire(victim) {
            Err(CommitError::NotRetirable { .. }) => self.commit(SyncNow::Yes),
            outcome => self.settle(outcome, SyncNow::Yes),
        }
    }

    fn stop(&mut self) {
        match self.random.random_range(0..4) {
            0 => {
                let log = self.log.take().unwrap();
                let poisoned = log.poisoned().is_some();
                let closed = log.close();
                // A lost sector may be where the last mark goes.
                assert!(closed.is_err() == poisoned || self.rotten);
                let poisoned = closed.is_err();
                let (trusted, relaxed) = (self.trusted, self.relaxed);
                if !poisoned {
                    self.relaxed = false;
                    self.note_durable();
                }
                let recovery = self.open();
                if !poisoned && !self.rotten {
                    assert!(recovery.clean_shutdown, "seed {}, {relaxed}", self.seed);
                    assert_eq!(recovery.intact, trusted, "seed {}", self.seed);
                }
            }
            1 => {
                self.log = None;
                self.open();
            }
            _ => {
                self.log = None;
                let seed = self.random.random();
                self.disk.crash(seed);
                self.open();
            }
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..45 => {
                self.append();
                self.commit(SyncNow::Yes);
            }
            45..60 if self.seed.is_multiple_of(2) => {
                self.append();
                self.commit(SyncNow::No);
            }
            60..65 => {
                match self.log().sync() {
                    Ok(()) => self.note_durable(),
                    // A lost sector may be where the mark goes.
                    Err(error) => assert!(self.rotten, "seed {}: {error}", self.seed),
                }
            }
            65..80 => self.compact(),
            80..84 => {
                self.append();
                let room = self.random.random_range(0..1500);
                self.disk.set_room(Some(room));
                let relaxes = self.seed.is_multiple_of(2) && self.random.random_bool(0.5);
                self.commit(if relaxes { SyncNow::No } else { SyncNow::Yes });
                self.disk.set_room(None);
            }
            84..88 => {
                self.append();
                let syncs = self.random.random_range(0..5);
                self.disk.fail_sync_after(Some(syncs));
                self.commit(SyncNow::Yes);
                self.disk.fail_sync_after(None);
                if self.log().poisoned().is_some() {
                    self.in_flight = true;
                    self.stop();
                }
            }
            88..91 if !self.trusted && !self.rotten => {
                self.log().repaired().unwrap();
                self.trusted = true;
                self.note_durable();
            }
            91..94 if self.rots => self.rot(),
            94..96 if self.rotten => self.repair(),
            _ => self.stop(),
        }
        if self.log().poisoned().is_some() {
            self.stop();
        }
    }
}

#[test]
fn no_history_loses_what_was_durable() {
    for seed in 0..steps::scaled(300) {
        let mut model = Model::new(seed);
        for _ in 0..150 {
            model.step();
        }
    }
}
