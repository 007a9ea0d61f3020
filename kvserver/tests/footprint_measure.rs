//! Measures what a key costs in memory, in all: resident bytes of a process. Not a test of
//! anything, hence ignored:
//!
//! ```text
//! cargo test --release -p kvserver --test footprint_measure -- --ignored --nocapture
//! ```
//!
//! `KVASIR_FOOTPRINT_KEYS` sets how many keys. Each figure is that of a process of its own, which
//! this one starts: memory once used would otherwise hide what is used.

#![allow(clippy::unwrap_used)]

use std::{env, fs, path::Path, process::Command, sync::Arc};

use bytes::Bytes;
use kvcore::{
    key::Key,
    record::{Body, Format, Payload, Record, ValueMeta},
    status::{StorageMode, SyncMode},
    version::{HybridTime, UnixMillis, Version, WriterId},
};
use kvserver::{
    log::disk::directory::Directory,
    store::{self, Opened, StoreOptions, ValidFrom, writer::Write},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// The programs' own allocator. Without it the figures are those of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: &str = "KVASIR_FOOTPRINT_KEYS";
const DIRECTORY: &str = "KVASIR_FOOTPRINT_DIRECTORY";
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const VALUE_BYTES: usize = 32;
const BATCH: u64 = 500;

#[test]
#[ignore = "a measurement of a minute"]
fn resident_bytes_of_an_item() {
    if let Ok(directory) = env::var(DIRECTORY) {
        return measure(Path::new(&directory));
    }
    let counts = env::var(KEYS).map_or(vec![1_000_000, 10_000_000], |keys| {
        vec![keys.parse().expect("a number of keys")]
    });
    for count in counts {
        let directory = tempfile::tempdir().unwrap();
        println!("{count} keys of 16 random bytes, values of {VALUE_BYTES} bytes");
        for _ in ["filled", "opened"] {
            let mut again = Command::new(env::current_exe().unwrap());
            again.args(["--ignored", "--nocapture", "--quiet"]);
            again
                .env(KEYS, u64::to_string(&count))
                .env(DIRECTORY, directory.path());
            assert!(again.status().unwrap().success());
        }
    }
}

/// Fills an empty store and overwrites all of it, or opens the one that is there.
fn measure(directory: &Path) {
    let count: u64 = env::var(KEYS).unwrap().parse().unwrap();
    let is_new = fs::read_dir(directory).unwrap().next().is_none();
    let empty = resident();
    let disk = Arc::new(Directory::open(directory).unwrap());
    let options = StoreOptions {
        mode: StorageMode::Memory,
        sync: SyncMode::Never,
        ..StoreOptions::default()
    };
    let mut opened = store::open(disk, options, 7, &ValidFrom::default()).unwrap();
    let print = |what: &str, opened: &Opened<Directory>| {
        let per_item = |bytes: u64| bytes as f64 / count as f64;
        assert_eq!(opened.store.keys(), count);
        println!(
            "{what:>12}: {:.1} resident bytes an item, {:.1} in the store's own account",
            per_item(resident() - empty),
            per_item(opened.store.memory_bytes()),
        );
    };
    if !is_new {
        return print("opened", &opened);
    }
    for (time, what) in [(1, "filled"), (2, "overwritten")] {
        let mut random = StdRng::seed_from_u64(count);
        let mut left = count;
        while left > 0 {
            let batch = left.min(BATCH);
            let writes = (0..batch).map(|place| write(&mut random, time, left - place));
            opened.writer.commit(writes.collect(), NOW);
            left -= batch;
        }
        print(what, &opened);
    }
    opened.writer.close().unwrap();
}

fn write(random: &mut StdRng, time: u64, number: u64) -> Write {
    let key = Key::copy_from(&random.random::<[u8; 16]>()).unwrap();
    let at = HybridTime::from_bits((NOW.0 + time) << 16 | number & 0xffff);
    let payload = Bytes::from(vec![time.to_le_bytes()[0]; VALUE_BYTES]);
    let meta = ValueMeta {
        format: Format::Raw,
        flags: 0,
        expires_at: None,
        length: u32::try_from(VALUE_BYTES).unwrap(),
    };
    let record = Record {
        version: Version::new(at, WriterId::from_random(0x1234_5678_9abc_def0)),
        body: Body::Value {
            meta,
            payload: Payload::Whole(payload),
        },
    };
    Write::Put { key, record }
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<u64>().unwrap() * 1024
}
