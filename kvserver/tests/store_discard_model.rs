//! Random histories of a store whose slots are emptied now and then, on a disk that loses power,
//! fills up and fails to sync, against a map for every slot.

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
    status::StorageMode,
    wire::{BucketSet, Reply, Standing},
};
use kvserver::{
    limits::{COMPACTION_RETRY_MS, UPLOAD_IDLE_MS_MAX},
    log::disk::{Disk, memory::MemoryDisk},
    store::{
        Opened, StoreOptions, ValidFrom,
        digest::DigestTree,
        writer::{NotNoted, Write},
    },
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

#[path = "fixture/records.rs"]
mod records;
#[path = "fixture/steps.rs"]
mod steps;

use records::{NOW, chunks, large, open_from, options, payload, put, small, value, version};

/// Few keys and versions, so that writes of one key meet.
const VERSIONS: u64 = 40;

/// Four slots, one with several keys.
fn keys() -> Vec<Key> {
    let mut keys = records::keys_of_one_slot(4);
    keys.extend((1..4).map(records::key));
    keys
}

/// The bytes of a key's value at a version, its upload if it comes in chunks; `None` is a
/// tombstone.
fn content(number: usize, at: u64) -> Option<(Option<u128>, Bytes)> {
    let seed = number as u64 * 1_000 + at;
    match at % 8 {
        0 | 1 => None,
        2 => {
            let bytes = payload(seed, CHUNK_BYTES + 1 + (seed * 7_919 % 2_000) as usize);
            Some((Some(u128::from(seed)), bytes))
        }
        _ => Some((None, payload(seed, (seed * 37 % 900) as usize))),
    }
}

/// What one slot has: the version of each key.
type Held = BTreeMap<usize, u64>;

struct Model {
    seed: u64,
    random: StdRng,
    disk: Arc<MemoryDisk>,
    options: StoreOptions,
    keys: Vec<Key>,
    /// What the member's slot table has, durably.
    table: ValidFrom,
    opened: Option<Opened<MemoryDisk>>,
    have: BTreeMap<Slot, Held>,
    /// What may be there after the next start, since its writer was left in doubt.
    maybe: BTreeSet<(usize, u64)>,
    /// Slots that may be empty then.
    maybe_empty: BTreeSet<Slot>,
    discards: u32,
    lower: u32,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mode = [StorageMode::Memory, StorageMode::Disk][(seed % 2) as usize];
        let mut model = Self {
            seed,
            random: StdRng::seed_from_u64(seed),
            disk: Arc::new(MemoryDisk::new()),
            options: options(mode),
            keys: keys(),
            table: ValidFrom::default(),
            opened: None,
            have: BTreeMap::new(),
            maybe: BTreeSet::new(),
            maybe_empty: BTreeSet::new(),
            discards: 0,
            lower: 0,
        };
        model.open();
        model
    }

    fn open(&mut self) {
        self.opened = Some(open_from(&self.disk, &self.options, &self.table));
    }

    fn opened(&mut self) -> &mut Opened<MemoryDisk> {
        self.opened.as_mut().unwrap()
    }

    fn held(&mut self, number: usize) -> &mut Held {
        self.have.entry(self.keys[number].slot()).or_default()
    }

    fn write(&mut self) {
        let number = self.random.random_range(0..self.keys.len());
        let at = self.random.random_range(1..VERSIONS);
        let key = self.keys[number].clone();
        let record = match content(number, at) {
            None => Record::tombstone(version(at)),
            Some((None, bytes)) => small(at, bytes),
            Some((Some(upload), bytes)) => {
                let parts: Vec<Write> = chunks(&key, upload, &bytes);
                self.opened().writer.commit(parts, NOW);
                large(at, upload, bytes.len())
            }
        };
        let reply = self.opened().writer.commit(vec![put(&key, record)], NOW);
        let have = self.held(number).get(&number).copied().unwrap_or(0);
        match &reply[0] {
            Reply::Stored { standing } => {
                assert_eq!(*standing, Standing::Voter, "seed {}", self.seed);
                assert!(have <= at, "seed {}: {have} {at}", self.seed);
                self.held(number).insert(number, at);
            }
            Reply::Superseded { by } => {
                assert!(have > at, "seed {}: {have} {at}", self.seed);
                assert_eq!(*by, version(have));
            }
            Reply::Uncertain(_) => {
                self.maybe.insert((number, at));
            }
            // The disk is full, or the chunks were refused for that.
            Reply::Refused(_) => {}
            other => panic!("{other:?}"),
        }
    }

    fn discard(&mut self) {
        let slots: SlotSet = self
            .keys
            .iter()
            .map(Key::slot)
            .filter(|_| self.random.random_bool(0.4))
            .collect();
        let (luck, is_written) = (self.random.random_range(0..20), self.random.random());
        let (table, opened) = (&mut self.table, self.opened.as_mut().unwrap());
        let mut write = |place| {
            for slot in slots.iter() {
                table.set(slot, place);
            }
        };
        let unknown = luck == 1;
        let discarded = opened.writer.discard(&slots, |place| match luck {
            0 => Err(NotNoted::NotDone("no room".to_owned())),
            1 => {
                if is_written {
                    write(place);
                }
                Err(NotNoted::Unknown("not synced".to_owned()))
            }
            _ => {
                write(place);
                Ok(())
            }
        });
        match discarded {
            Ok(_) => {
                for slot in slots.iter() {
                    let held = self.have.remove(&slot).unwrap_or_default();
                    self.lower += held.len() as u32;
                }
                self.discards += 1;
            }
            Err(_) if unknown => self.maybe_empty.extend(slots.iter()),
            Err(_) => {}
        }
    }

    fn restart(&mut self) {
        let opened = self.opened.take().unwrap();
        match self.random.random_range(0..3) {
            // It may find no room.
            0 => drop(opened.writer.close()),
            1 => drop(opened),
            _ => {
                drop(opened);
                self.disk.crash(self.random.random());
            }
        }
        self.disk.set_room(None);
        self.disk.fail_sync_after(None);
        if self.random.random_bool(0.3) {
            for name in self.disk.list().unwrap() {
                if name.contains(".hint") {
                    self.disk.remove(&name).unwrap();
                }
            }
        }
        self.open();
        self.learn();
        let opened = self.opened.as_ref().unwrap();
        assert!(opened.recovery.damaged.is_empty(), "seed {}", self.seed);
        // As catching up would.
        for slot in Slot::all() {
            opened.store.let_vote(slot, opened.store.damages(slot));
        }
        let losses = opened.store.losses();
        self.opened().writer.repaired(losses).unwrap();
        self.check();
    }

    /// What is there after a start: what was, or what was left in doubt.
    fn learn(&mut self) {
        let maybe = std::mem::take(&mut self.maybe);
        let maybe_empty = std::mem::take(&mut self.maybe_empty);
        for (number, key) in self.keys.clone().into_iter().enumerate() {
            let found = self.opened().store.known_version(&key);
            let at = (1..VERSIONS).find(|&at| found == Some(version(at)));
            assert_eq!(at.is_some(), found.is_some(), "a version out of nothing");
            let had = self.held(number).get(&number).copied();
            let is_expected = at == had
                || at.is_some_and(|at| maybe.contains(&(number, at)))
                || (at.is_none() && maybe_empty.contains(&key.slot()));
            assert!(is_expected, "seed {}: {key}: {at:?}, {had:?}", self.seed);
            match at {
                Some(at) => self.held(number).insert(number, at),
                None => self.held(number).remove(&number),
            };
        }
    }

    /// Everything that can be read against the model.
    fn check(&self) {
        let (seed, store) = (self.seed, &self.opened.as_ref().unwrap().store);
        let (mut trees, mut versions) = (BTreeMap::new(), BTreeMap::<Slot, usize>::new());
        for (number, key) in self.keys.iter().enumerate() {
            let held = self.have.get(&key.slot());
            let Some(&at) = held.and_then(|held| held.get(&number)) else {
                let found = store.get(key).unwrap();
                assert_eq!(found, (Standing::Voter, None), "seed {seed}: {key}");
                continue;
            };
            let expected = content(number, at).map(|(_, bytes)| (version(at), bytes));
            assert_eq!(value(store, key), expected, "seed {seed}: {key}");
            let tree: &mut DigestTree = trees.entry(key.slot()).or_default();
            tree.add(key.as_bytes(), version(at));
            *versions.entry(key.slot()).or_default() += 1;
        }
        for slot in self.keys.iter().map(Key::slot) {
            let root = trees.get(&slot).map_or(0, DigestTree::root);
            assert_eq!(store.digest(slot).digest, root, "seed {seed}");
            let page = store.versions(slot, &BucketSet::FULL, None);
            let count = versions.get(&slot).copied().unwrap_or(0);
            assert_eq!(page.entries.len(), count, "seed {seed}");
        }
        assert_eq!((store.losses(), store.damage_met()), (0, 0), "seed {seed}");
    }

    /// All that is garbage goes, and the sums are those of what is left.
    fn settle(&mut self) {
        self.disk.set_room(None);
        self.disk.fail_sync_after(None);
        if self.opened().writer.poisoned().is_some() {
            self.restart();
        }
        let later = NOW.plus(UPLOAD_IDLE_MS_MAX.max(COMPACTION_RETRY_MS) + 1);
        let mut steps = 0;
        while self.opened().writer.tidy(later) {
            steps += 1;
            assert!(steps < 10_000, "compaction does not end");
        }
        self.check();
        let held = || self.have.values().flat_map(|held| held.iter());
        let values = held().filter(|&(&number, &at)| content(number, at).is_some());
        let values = values.count() as u64;
        let Opened { store, writer, .. } = self.opened.as_ref().unwrap();
        let tombstones = held().count() as u64 - values;
        assert_eq!((store.keys(), store.tombstones()), (values, tombstones));
        if values + tombstones == 0 {
            let stats = writer.log_stats();
            assert_eq!(stats.live_bytes, 0, "seed {}: {stats:?}", self.seed);
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..55 => self.write(),
            55..67 => {
                for _ in 0..self.random.random_range(1..6) {
                    self.opened().writer.tidy(NOW);
                }
            }
            67..77 => self.discard(),
            77..80 => {
                let room = self.random.random_range(0..6_000);
                self.disk.set_room(Some(room));
            }
            80..84 => self.disk.set_room(None),
            84..86 => {
                let syncs = self.random.random_range(0..5);
                self.disk.fail_sync_after(Some(syncs));
            }
            86..90 => self.check(),
            90..92 => self.settle(),
            _ => self.restart(),
        }
        if self.opened().writer.poisoned().is_some() {
            self.restart();
        }
    }
}

#[test]
fn no_history_with_emptied_slots_differs_from_maps() {
    let (mut discards, mut lower) = (0, 0);
    for seed in 0..steps::scaled(80) {
        let mut model = Model::new(seed);
        for _ in 0..200 {
            model.step();
        }
        model.settle();
        discards += model.discards;
        lower += model.lower;
    }
    assert!(discards > 10 && lower > 10, "{discards} {lower}");
}
