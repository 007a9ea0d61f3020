//! Overwrites while the log is compacted, beside the same without.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use kvcore::{
    status::{StorageMode, SyncMode},
    version::UnixMillis,
};

use crate::{
    Measured,
    document::Section,
    figures::{Load, Reach, Samples, millis, whole},
    load::Window,
    records,
    settings::Settings,
};

const VALUE_BYTES: usize = 256;

/// Writes a batch, as a busy server commits them.
const BATCH: u64 = 64;

/// Figures of one side.
#[derive(Debug, Default)]
struct Figures {
    per_second: Samples,
    p50: Samples,
    p99: Samples,
    disk: Samples,
}

/// Runs the bench.
pub(crate) fn run(settings: &Settings) -> Measured {
    let keys = settings.either(4_000, 100_000);
    let segment_bytes = settings.either(1024 * 1024, 16 * 1024 * 1024);
    let lasts = Duration::from_millis(settings.either(2_000, 20_000));
    let mut sides: [Figures; 2] = Default::default();
    for turn in 1..=settings.repeats {
        for (compacts, figures) in [(true, 0), (false, 1)] {
            eprintln!("compaction {compacts}, turn {turn} of {}", settings.repeats);
            let (load, disk) = overwrite(settings, keys, segment_bytes, lasts, compacts)?;
            let figures = &mut sides[figures];
            figures.per_second.push(load.per_second());
            figures.p50.push(load.quantile(0.5));
            figures.p99.push(load.quantile(0.99));
            figures.disk.push(disk as f64 / 1024.0 / 1024.0);
        }
    }
    let mut section = Section::new(
        "Compaction under load, beside none",
        &format!(
            "The store of one member, `--sync always`, {keys} keys overwritten one after the other \
             with values of {VALUE_BYTES} bytes in batches of {BATCH}, segments of {} MiB. With \
             compaction a step of it is due after every batch, as in a server; without, none ever \
             is, and the log only grows. Latency is that of a batch, the step before it included.",
            segment_bytes / 1024 / 1024
        ),
    );
    let rows = ["with", "without"]
        .iter()
        .zip(&sides)
        .map(|(name, figures)| {
            vec![
                (*name).to_owned(),
                figures.per_second.shown(whole),
                figures.p50.shown(millis),
                figures.p99.shown(millis),
                figures.disk.shown(whole),
            ]
        });
    let rows: Vec<_> = rows.collect();
    let head = [
        "compaction",
        "records a second",
        "p50, ms",
        "p99, ms",
        "log at the end, MiB",
    ];
    section.table(&head, &rows);
    let [with, without] = &sides;
    let rate = with.per_second.over(&without.per_second);
    let p99 = with.p99.over(&without.p99);
    section.reaches(&[
        Reach::at_least("records a second", rate, 0.7),
        Reach::at_most("p99", p99, 3.0),
    ]);
    Ok(section)
}

/// Overwrites for so long; gives back the bytes of the log as well.
fn overwrite(
    settings: &Settings,
    keys: u64,
    segment_bytes: u32,
    lasts: Duration,
    compacts: bool,
) -> Result<(Load, u64)> {
    let scratch = settings.scratch("compaction")?;
    let opened = records::open(
        scratch.path(),
        StorageMode::Memory,
        SyncMode::Always,
        segment_bytes,
    )?;
    let mut writer = opened.writer;
    let value: Bytes = crate::load::text(5, VALUE_BYTES).into();
    let mut version = 0;
    for first in (0..keys).step_by(1_000) {
        let numbers = first..(first + 1_000).min(keys);
        let writes = numbers.map(|number| records::put(number, version, &value));
        records::commit(&mut writer, writes.collect(), 0)?;
    }
    let now = Instant::now();
    let window = Window {
        begin: now + lasts / 10,
        end: now + lasts,
    };
    let mut load = Load::new();
    let mut next = 0;
    while Instant::now() < window.end {
        let since = Instant::now();
        if compacts {
            writer.tidy(UnixMillis(version));
        }
        version += 1;
        let numbers = (next..next + BATCH).map(|number| number % keys);
        let writes = numbers.map(|number| records::put(number, version, &value));
        records::commit(&mut writer, writes.collect(), version)?;
        next = (next + BATCH) % keys;
        for _ in 0..BATCH {
            window.record(&mut load, since);
        }
    }
    load.lasted(window.length());
    let bytes = writer.log_stats().bytes;
    writer.close()?;
    Ok((load, bytes))
}
