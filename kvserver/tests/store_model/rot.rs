//! Sectors that are lost while a history goes on, and what becomes of the values in them.

use kvcore::{
    limits::CHUNK_BYTES,
    slot::Slot,
    wire::{Reply, Standing},
};
use kvserver::{
    limits::UPLOAD_IDLE_MS_MAX,
    log::disk::{Disk, memory::MemoryDisk},
    store::{ReadFailure, Store},
};
use rand::RngExt;

use super::{
    KEYS, Model, VERSIONS, content, key, record,
    records::{NOW, chunks, open, put, version},
};

impl Model {
    /// After a restart with lost sectors: what was durable is there, or its slot does not vote.
    pub(crate) fn open_rotten(&mut self) {
        let opened = open(&self.disk, &self.options);
        for number in 0..KEYS {
            let key = key(number);
            let now = opened.store.known_version(&key);
            let at_least = self.durable.get(&number).map(|&at| version(at));
            let votes = opened.store.standing(key.slot()) == Standing::Voter;
            let seed = self.seed;
            assert!(
                now >= at_least || !votes,
                "seed {seed}: {number} is lost unnoticed"
            );
            let newer = (0..VERSIONS).find(|&at| now == Some(version(at)));
            let newer = newer.max(self.have.get(&number).copied());
            self.have.extend(newer.map(|at| (number, at)));
        }
        self.maybe.clear();
        self.opened = Some(opened);
        self.heal();
    }

    /// Loses a sector somewhere, or lets one read fail once, and finds it.
    pub(crate) fn rot(&mut self) {
        let mut names = self.disk.list().unwrap();
        names.retain(|name| name.starts_with("segment-"));
        let name = &names[self.random.random_range(0..names.len())];
        let length = self.disk.contents(name).unwrap().len();
        if length <= 512 || self.random.random_bool(0.3) {
            let reads = self.random.random_range(0..10);
            self.disk.fail_reads_after(Some(reads));
            return;
        }
        // Without any head there is no log to open.
        let byte = self.random.random_range(512..length);
        self.disk.lose(name, byte);
        self.rotten = true;
        for _ in 0..self.random.random_range(0..20) {
            self.opened().writer.tidy(NOW);
        }
        self.heal();
    }

    /// As the other copies would: reads everything, brings back what is lost, lets all slots vote.
    fn heal(&mut self) {
        let seed = self.seed;
        self.staged.clear();
        self.opened().writer.tidy(NOW.plus(UPLOAD_IDLE_MS_MAX + 1));
        for (number, at) in self.have.clone() {
            let key = key(number);
            let opened = self.opened.as_ref().unwrap();
            match opened.store.get(&key) {
                Ok((_, Some(_))) => read_chunks(&opened.store, number, at),
                Ok((standing, None)) => {
                    assert_ne!(
                        standing,
                        Standing::Voter,
                        "seed {seed}: key {number} is absent"
                    );
                }
                Err(error) => assert!(matches!(error, ReadFailure::Damaged(_)), "{error}"),
            }
            let mut writes = Vec::new();
            if let Some((Some(upload), bytes)) = content(number, at) {
                writes.extend(chunks(&key, upload, &bytes));
            }
            writes.push(put(&key, record(number, at)));
            let replies = self.opened().writer.commit(writes, NOW);
            if self.opened().writer.poisoned().is_some() {
                return;
            }
            let last = replies.last().unwrap();
            assert!(
                matches!(last, Reply::Stored { .. }),
                "seed {seed}: {replies:?}"
            );
        }
        let opened = self.opened.as_ref().unwrap();
        let losses = opened.store.losses();
        for slot in Slot::all() {
            opened.store.let_vote(slot, opened.store.damages(slot));
        }
        let repaired = self.opened().writer.repaired(losses);
        if repaired.is_ok() {
            self.durable.clone_from(&self.have);
            self.check();
        }
    }
}

/// Reads the chunks of a value until one is lost.
fn read_chunks(store: &Store<MemoryDisk>, number: u32, at: u64) {
    let Some((Some(_), bytes)) = content(number, at) else {
        return;
    };
    for index in 0..bytes.len().div_ceil(CHUNK_BYTES) {
        if let Err(error) = store.chunk(&key(number), version(at), index as u32) {
            // An older version comes to light where a newer one is lost, and its slot is.
            let votes = store.standing(key(number).slot()) == Standing::Voter;
            assert!(!votes, "key {number}: {error}");
            return;
        }
    }
}
