//! Random histories of a store on a disk that loses power, checked against a map.

// Test helpers outside of #[test] functions may unwrap too; test numbers are small.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    record::Record,
    slot::{Slot, SlotSet},
    status::{StorageMode, SyncMode},
    wire::{BucketSet, Found, Refusal, Reply, Standing, Want},
};
use kvserver::{
    limits::UPLOAD_IDLE_MS_MAX,
    log::disk::memory::MemoryDisk,
    store::{Opened, ScanRequest, StoreOptions, digest::DigestTree, writer::Write},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

#[path = "fixture/records.rs"]
mod records;
#[path = "store_model/rot.rs"]
mod rot;
#[path = "fixture/steps.rs"]
mod steps;

use records::{NOW, chunks, large, open, options, payload, put, small, value, version};

/// Few keys and versions, so that writes of one key meet.
const KEYS: u32 = 14;
const VERSIONS: u64 = 120;

/// Two keys share a slot, and some are prefixes of others.
fn key(number: u32) -> Key {
    let names = records::keys_of_one_slot(2);
    match number {
        0 | 1 => names[number as usize].clone(),
        2..6 => Key::copy_from(&b"pppp"[..number as usize - 1]).unwrap(),
        _ => records::key(number),
    }
}

/// The bytes of a key's value at a version, its upload if it comes in chunks; `None` is a
/// tombstone. Two versions in a row share an upload: a write that was tried again.
fn content(number: u32, at: u64) -> Option<(Option<u128>, Bytes)> {
    let seed = u64::from(number) * 1_000 + at;
    match at % 12 {
        0 | 1 => None,
        4 | 5 => {
            let upload = seed - at % 12;
            let length =
                (upload % 3) as usize * CHUNK_BYTES + 1 + (upload * 7_919 % 5_000) as usize;
            Some((Some(u128::from(upload)), payload(upload, length)))
        }
        _ => Some((None, payload(seed, (seed * 37 % 700) as usize))),
    }
}

fn record(number: u32, at: u64) -> Record {
    match content(number, at) {
        None => Record::tombstone(version(at)),
        Some((None, bytes)) => small(at, bytes),
        Some((Some(upload), bytes)) => large(at, upload, bytes.len()),
    }
}

struct Model {
    seed: u64,
    random: StdRng,
    disk: Arc<MemoryDisk>,
    options: StoreOptions,
    opened: Option<Opened<MemoryDisk>>,
    /// The version of each key.
    have: BTreeMap<u32, u64>,
    /// Versions that may be there after the next restart, since their writer was left in doubt.
    maybe: BTreeSet<(u32, u64)>,
    /// What is lost at worst when power fails.
    durable: BTreeMap<u32, u64>,
    staged: BTreeMap<u128, BTreeSet<u32>>,
    /// Whether sectors were lost.
    rotten: bool,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mode = [StorageMode::Memory, StorageMode::Disk][(seed % 2) as usize];
        let sync = [SyncMode::Always, SyncMode::Always, SyncMode::Interval];
        let disk = Arc::new(MemoryDisk::new());
        let options = StoreOptions {
            sync: sync[(seed / 2 % 3) as usize],
            ..options(mode)
        };
        Self {
            seed,
            random: StdRng::seed_from_u64(seed),
            opened: Some(open(&disk, &options)),
            disk,
            options,
            have: BTreeMap::new(),
            maybe: BTreeSet::new(),
            durable: BTreeMap::new(),
            staged: BTreeMap::new(),
            rotten: false,
        }
    }

    fn opened(&mut self) -> &mut Opened<MemoryDisk> {
        self.opened.as_mut().unwrap()
    }

    /// A batch of writes and, for each, its key and version.
    fn batch(&mut self) -> (Vec<Write>, Vec<Option<(u32, u64)>>) {
        let (mut writes, mut of) = (Vec::new(), Vec::new());
        for _ in 0..self.random.random_range(1..8) {
            let number = self.random.random_range(0..KEYS);
            let at = self.random.random_range(1..VERSIONS);
            if let Some((Some(upload), bytes)) = content(number, at) {
                for chunk in chunks(&key(number), upload, &bytes) {
                    if self.random.random_bool(0.9) {
                        writes.push(chunk);
                        of.push(None);
                    }
                }
            }
            writes.push(put(&key(number), record(number, at)));
            of.push(Some((number, at)));
        }
        (writes, of)
    }

    /// What a write is answered, and what it changes.
    fn expect(&mut self, write: &Write, of: Option<(u32, u64)>) -> Reply {
        let standing = Standing::Voter;
        match (write, of) {
            (Write::Chunk { upload, index, .. }, _) => {
                let visible = self.have.iter().any(|(&number, &at)| {
                    content(number, at).is_some_and(|(has, _)| has == Some(upload.0))
                });
                if !visible {
                    self.staged.entry(upload.0).or_default().insert(*index);
                }
                Reply::ChunkStored
            }
            (Write::Put { .. }, Some((number, at))) => {
                let have = self.have.get(&number).copied();
                if have.is_some_and(|have| have > at) {
                    let by = version(have.unwrap());
                    return Reply::Superseded { by };
                }
                if have == Some(at) {
                    return Reply::Stored { standing };
                }
                if let Some((Some(upload), bytes)) = content(number, at) {
                    let held = have.and_then(|have| content(number, have));
                    let same = held.is_some_and(|(has, _)| has == Some(upload));
                    let count = bytes.len().div_ceil(CHUNK_BYTES);
                    let whole = self.staged.get(&upload).map(BTreeSet::len) == Some(count);
                    if !same && !whole {
                        return Reply::Refused(Refusal::ChunksMissing);
                    }
                    if whole {
                        self.staged.remove(&upload);
                    }
                }
                self.have.insert(number, at);
                Reply::Stored { standing }
            }
            (Write::Put { .. }, None) => unreachable!("puts have a key"),
        }
    }

    fn write(&mut self) {
        let (writes, of) = self.batch();
        let before = (self.have.clone(), self.staged.clone());
        let expected: Vec<_> = writes
            .iter()
            .zip(&of)
            .map(|(write, &of)| self.expect(write, of))
            .collect();
        let replies = self.opened().writer.commit(writes, NOW);
        let doubtful = |reply: &Reply| {
            matches!(
                reply,
                Reply::Uncertain(_) | Reply::Refused(Refusal::DiskFull | Refusal::LogFailed(_))
            )
        };
        if replies.iter().any(doubtful) {
            // Full, or failed: learn from the store what is visible now.
            (self.have, self.staged) = before;
            for (reply, of) in replies.iter().zip(of) {
                match (reply, of) {
                    (Reply::Stored { .. }, Some((number, at))) => {
                        let have = self.have.entry(number).or_default();
                        *have = at.max(*have);
                    }
                    (Reply::Uncertain(_), Some(of)) => {
                        self.maybe.insert(of);
                    }
                    _ => {}
                }
            }
            self.staged.clear();
            self.opened().writer.tidy(NOW.plus(UPLOAD_IDLE_MS_MAX + 1));
        } else {
            for ((reply, should), of) in replies.iter().zip(&expected).zip(of) {
                // What an earlier write of the same batch brought may be told or not.
                let is_near = match (reply, should, of) {
                    (Reply::Superseded { by }, Reply::Superseded { by: most }, _) => by <= most,
                    (Reply::Stored { .. }, Reply::Superseded { .. }, Some((number, at))) => {
                        before.0.get(&number) == Some(&at)
                    }
                    _ => reply == should,
                };
                assert!(is_near, "seed {}: {replies:?}, {expected:?}", self.seed);
            }
        }
        if self.options.sync == SyncMode::Always {
            self.durable.clone_from(&self.have);
        }
    }

    /// Stops in some way and starts again.
    fn restart(&mut self) {
        let mut lossless = true;
        let opened = self.opened.take().unwrap();
        match self.random.random_range(0..3) {
            0 => {
                let poisoned = opened.writer.poisoned().is_some();
                assert!(opened.writer.close().is_err() == poisoned || self.rotten);
            }
            1 => drop(opened),
            _ => {
                drop(opened);
                lossless = false;
                let seed = self.random.random();
                self.disk.crash(seed);
            }
        }
        self.disk.set_room(None);
        self.disk.fail_sync_after(None);
        if self.rotten {
            return self.open_rotten();
        }
        let opened = open(&self.disk, &self.options);
        assert!(opened.recovery.damaged.is_empty(), "seed {}", self.seed);
        let standing = opened.store.standing(key(0).slot());
        let mut have = BTreeMap::new();
        for number in 0..KEYS {
            let key = key(number);
            let found = opened.store.version(&key).unwrap().1;
            let at = (0..VERSIONS).find(|&at| found.map(Found::version) == Some(version(at)));
            assert_eq!(at.is_some(), found.is_some(), "a version out of nothing");
            let had = self.have.get(&number).copied().unwrap_or(0);
            let at_least = self.durable.get(&number).copied().unwrap_or(0);
            let now = at.unwrap_or(0);
            let expected = now == had || self.maybe.contains(&(number, now));
            let lost = !lossless && now >= at_least && standing == Standing::Unsynced;
            assert!(expected || lost, "seed {}: {number}", self.seed);
            assert!(now >= at_least, "seed {}: {number} is lost", self.seed);
            have.extend(at.map(|at| (number, at)));
        }
        self.have = have;
        self.durable.clone_from(&self.have);
        self.maybe.clear();
        self.staged.clear();
        self.opened = Some(opened);
        self.check();
        // As catching up would.
        for slot in Slot::all() {
            let opened = self.opened.as_ref().unwrap();
            opened.store.let_vote(slot, opened.store.damages(slot));
        }
        let losses = self.opened().store.losses();
        self.opened().writer.repaired(losses).unwrap();
    }

    /// Everything readable against the model.
    fn check(&self) {
        let (seed, store) = (self.seed, &self.opened.as_ref().unwrap().store);
        let mut trees: BTreeMap<Slot, DigestTree> = BTreeMap::new();
        let (mut keys, mut tombstones) = (0, 0);
        for number in 0..KEYS {
            let key = key(number);
            let Some(&at) = self.have.get(&number) else {
                assert_eq!(store.get(&key).unwrap().1, None, "seed {seed}");
                continue;
            };
            let expected = content(number, at).map(|(_, bytes)| (version(at), bytes));
            match &expected {
                Some(_) => keys += 1,
                None => tombstones += 1,
            }
            assert_eq!(value(store, &key), expected, "seed {seed}: key {number}");
            let tree = trees.entry(key.slot()).or_default();
            tree.add(key.as_bytes(), version(at));
        }
        assert_eq!((store.keys(), store.tombstones()), (keys, tombstones));
        for slot in Slot::all() {
            let tree = trees.remove(&slot).unwrap_or_default();
            assert_eq!(store.digest(slot).digest, tree.root(), "seed {seed}");
            assert_eq!(store.buckets(slot), tree.buckets(), "seed {seed}");
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..60 => self.write(),
            60..75 => {
                for _ in 0..5 {
                    self.opened().writer.tidy(NOW);
                }
            }
            75..80 => match self.opened().writer.sync() {
                Ok(()) => self.durable.clone_from(&self.have),
                Err(error) => assert!(self.rotten, "seed {}: {error}", self.seed),
            },
            80..85 => {
                self.opened().writer.tidy(NOW.plus(UPLOAD_IDLE_MS_MAX + 1));
                self.staged.clear();
            }
            85..88 => {
                let room = self.random.random_range(0..3_000);
                self.disk.set_room(Some(room));
                self.write();
                self.opened().writer.tidy(NOW);
                self.disk.set_room(None);
            }
            88..91 => {
                let syncs = self.random.random_range(0..4);
                self.disk.fail_sync_after(Some(syncs));
                self.write();
                self.opened().writer.tidy(NOW);
                self.disk.fail_sync_after(None);
            }
            91..94 => self.check(),
            94 if self.seed % 3 == 2 => self.rot(),
            _ => self.restart(),
        }
        // A lost sector may be where the log goes on, which stops it.
        while self.opened().writer.poisoned().is_some() {
            if !self.rotten {
                self.check();
            }
            self.restart();
        }
    }
}

#[test]
fn no_history_differs_from_a_map() {
    for seed in 0..steps::scaled(60) {
        let mut model = Model::new(seed);
        for _ in 0..120 {
            model.step();
        }
        model.check();
        check_pages(&model, &mut StdRng::seed_from_u64(seed));
    }
}

/// Scan and version pages, put together, against the model.
fn check_pages(model: &Model, random: &mut StdRng) {
    let store = &model.opened.as_ref().unwrap().store;
    let entries: BTreeMap<Key, (u32, u64)> = model
        .have
        .iter()
        .map(|(&number, &at)| (key(number), (number, at)))
        .collect();
    for prefix in [&b""[..], b"p", b"ppp", b"key 1", b"key", b"nothing"] {
        let limit = random.random_range(1..6);
        let slots: SlotSet = Slot::all().filter(|_| random.random_bool(0.7)).collect();
        let mut seen = Vec::new();
        let mut after: Option<Key> = None;
        loop {
            let page = store.scan(&ScanRequest {
                slots: &slots,
                prefix,
                after: after.as_ref().map(Key::as_bytes),
                limit,
                want: Want::Values,
            });
            assert!(page.entries.len() <= limit && page.unanswered.is_empty());
            for entry in &page.entries {
                let (number, at) = entries[&entry.key];
                assert_eq!(entry.found.version(), version(at));
                let inline = content(number, at).filter(|(upload, _)| upload.is_none());
                assert_eq!(
                    entry.value.clone().map(|(_, bytes)| bytes),
                    inline.map(|(_, bytes)| bytes)
                );
            }
            after = page.entries.last().map(|entry| entry.key.clone());
            seen.extend(page.entries.into_iter().map(|entry| entry.key));
            if !page.more {
                break;
            }
        }
        let expected = entries
            .keys()
            .filter(|key| slots.contains(key.slot()) && key.as_bytes().starts_with(prefix));
        assert_eq!(seen, expected.cloned().collect::<Vec<_>>());
    }
    for slot in Slot::all() {
        let page = store.versions(slot, &BucketSet::FULL, None);
        let expected = entries.iter().filter(|(key, _)| key.slot() == slot);
        let expected: Vec<_> = expected
            .map(|(key, (_, at))| (key.clone(), version(*at)))
            .collect();
        let found = page.entries.into_iter().map(|e| (e.key, e.version));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert!(
            store
                .versions(slot, &BucketSet::EMPTY, None)
                .entries
                .is_empty()
        );
    }
}
