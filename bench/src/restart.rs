//! Opening a store with its hints, beside inserting the same keys into tries.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use kvcore::{
    limits::SLOTS,
    slot::Slot,
    status::{StorageMode, SyncMode},
};

use crate::{
    Measured,
    document::Section,
    figures::{Reach, Samples, whole},
    records,
    settings::Settings,
    trie::BareTrie,
};

const VALUE_BYTES: usize = 32;

/// Bytes of what a server keeps of a record beside its key.
const KEPT_BYTES: usize = 28;

const MODES: [(&str, StorageMode); 2] = [
    ("disk, keys from hints", StorageMode::Disk),
    ("memory, every record read", StorageMode::Memory),
];

/// Runs the bench.
pub(crate) fn run(settings: &Settings) -> Measured {
    let mut section = Section::new(
        "Restart, beside inserting the keys",
        &format!(
            "A store of one member with values of {VALUE_BYTES} bytes, closed and opened again, its \
             files in the page cache; in `--mode disk` keys come from the hints, in `--mode \
             memory` every value is read. Beside it the same keys are inserted into 1,024 tries by \
             slot, with {KEPT_BYTES} bytes each, by as many threads as there are cores."
        ),
    );
    let (mut rows, mut reaches) = (Vec::new(), Vec::new());
    for &items in settings.either(&[100_000][..], &[1_000_000, 10_000_000]) {
        let scratch = settings.scratch("restart")?;
        eprintln!("writing {items} records");
        fill(&scratch.path().join("store"), items)?;
        let (mut opened, mut inserted) = (<[Samples; 2]>::default(), Samples::default());
        for turn in 1..=settings.repeats {
            eprintln!("{items} records, turn {turn} of {}", settings.repeats);
            for ((_, mode), samples) in MODES.iter().zip(&mut opened) {
                let since = Instant::now();
                let store = records::open(
                    &scratch.path().join("store"),
                    *mode,
                    SyncMode::Never,
                    64 * 1024 * 1024,
                )?;
                samples.push(since.elapsed().as_secs_f64());
                if store.store.keys() != items {
                    bail!("{} keys are there, not {items}", store.store.keys());
                }
                store.writer.close()?;
            }
            inserted.push(insert(items).as_secs_f64());
        }
        let seconds = |samples: &Samples| samples.shown(|seconds| format!("{seconds:.2}"));
        let count = || whole(items as f64);
        for ((name, _), samples) in MODES.iter().zip(&opened) {
            rows.push(vec![count(), format!("open, {name}"), seconds(samples)]);
            let what = format!("{} records, {name}, time", count());
            reaches.push(Reach::at_most(what, samples.over(&inserted), 1.5));
        }
        rows.push(vec![
            count(),
            "insert the keys".to_owned(),
            seconds(&inserted),
        ]);
    }
    section.table(&["records", "", "seconds"], &rows);
    section.reaches(&reaches);
    Ok(section)
}

/// Writes a store and closes it.
fn fill(directory: &std::path::Path, items: u64) -> Result<()> {
    let segment = 64 * 1024 * 1024;
    let opened = records::open(directory, StorageMode::Disk, SyncMode::Never, segment)?;
    let mut writer = opened.writer;
    let value: Bytes = crate::load::text(4, VALUE_BYTES).into();
    for first in (0..items).step_by(1_000) {
        let numbers = first..(first + 1_000).min(items);
        let writes = numbers.map(|number| records::put(number, 0, &value));
        records::commit(&mut writer, writes.collect(), first)?;
    }
    writer.close()?;
    Ok(())
}

/// Inserts the keys with all cores, each thread into its share of the slots.
fn insert(items: u64) -> Duration {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let mut shares: Vec<Vec<String>> = vec![Vec::new(); threads];
    for key in (0..items).map(records::key) {
        shares[Slot::of(key.as_bytes()).index() % threads].push(key);
    }
    let since = Instant::now();
    let kept: Vec<Vec<BareTrie>> = std::thread::scope(|scope| {
        let fill = |keys: &Vec<String>| {
            let mut tries: Vec<BareTrie> = (0..SLOTS).map(|_| BareTrie::default()).collect();
            for key in keys {
                tries[Slot::of(key.as_bytes()).index()].insert(key.as_bytes(), &[0; KEPT_BYTES]);
            }
            tries
        };
        let running: Vec<_> = shares
            .iter()
            .map(|keys| scope.spawn(move || fill(keys)))
            .collect();
        let joined = running
            .into_iter()
            .map(|share| share.join().expect("no thread panics"));
        joined.collect()
    });
    let took = since.elapsed();
    drop(kept);
    took
}
