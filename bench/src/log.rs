//! Group commit of the log, beside the bare system calls and other stores' logs.

mod landmarks;

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use kvcore::key::Key;
use kvserver::log::{Entry, Log, LogOptions, LogStats, SyncNow, disk::directory::Directory};
use tokio::sync::oneshot;

use crate::{
    Measured,
    document::Section,
    figures::{Load, Reach, Samples, millis, whole},
    load::Window,
    records,
    settings::Settings,
};

const VALUE_BYTES: usize = 256;

/// Figures of one side with one number of writers.
#[derive(Debug, Default)]
struct Figures {
    per_second: Samples,
    p50: Samples,
    p99: Samples,
}

impl Figures {
    fn push(&mut self, load: &Load) {
        self.per_second.push(load.per_second());
        self.p50.push(load.quantile(0.5));
        self.p99.push(load.quantile(0.99));
    }
}

/// One turn of one side.
struct Turn<'a> {
    directory: &'a Path,
    writers: usize,
    lasts: Duration,
    /// Records a commit, as the writers that wait had them in this turn.
    batch: f64,
}

/// Who writes.
type Side = fn(&mut Turn<'_>) -> Result<Load>;

const WAITING: usize = 0;
const ALONE: usize = 1;
const RAW: usize = 2;
const RAW_SAME: usize = 3;
const RAW_OVER: usize = 4;

const SIDES: [(&str, Side); 8] = [
    ("Kvasir's log, writers wait", ours),
    ("Kvasir's log, no writers", alone),
    ("write and fdatasync", raw),
    ("the same, batches as the waiting writers'", raw_same),
    ("the same, over bytes that are there", raw_over),
    ("sled", landmarks::sled),
    ("fjall", landmarks::fjall),
    ("redb", landmarks::redb),
];

/// Runs the bench.
pub(crate) fn run(settings: &Settings) -> Measured {
    let lasts = Duration::from_millis(settings.either(200, 1_000));
    let counts: &[usize] = settings.either(&[1, 64], &[1, 4, 16, 64, 256]);
    let mut section = Section::new(
        "The log, beside write and fdatasync",
        &format!(
            "Records of keys of 16 and values of {VALUE_BYTES} bytes. A writer waits until its \
             record is durable, then writes the next; one thread commits what waits: while it \
             does, others come to wait, so a batch is of some of them. \"No writers\" is the log in \
             a loop of as many appends as there were writers and one commit; \"write and \
             fdatasync\" is a loop of one `pwrite` of as many bytes at the end of a file and one \
             `fdatasync`: of as many records, of as many as the batches of the writers that waited \
             had in that turn, and of as many over bytes that were written and synced before, \
             which Kvasir's log makes for itself. Landmarks: sled (insert, flush), fjall (insert, persist), redb (a \
             transaction a record), a thread a writer."
        ),
    );
    let (mut rows, mut reaches) = (Vec::new(), Vec::new());
    for &writers in counts {
        let mut figures: [Figures; SIDES.len()] = Default::default();
        // Short and many: how long a disk takes to sync changes from one second to the next.
        let turns = settings.repeats * 3;
        for turn in 1..=turns {
            eprintln!("{writers} writers, turn {turn} of {turns}");
            let mut batch = 1.0;
            for ((name, side), figures) in SIDES.iter().zip(&mut figures) {
                let scratch = settings.scratch("log")?;
                let mut turn = Turn {
                    directory: scratch.path(),
                    writers,
                    lasts,
                    batch,
                };
                let load = side(&mut turn);
                batch = turn.batch;
                figures.push(&load.with_context(|| (*name).to_owned())?);
            }
        }
        for ((name, _), figures) in SIDES.iter().zip(&figures) {
            rows.push(vec![
                writers.to_string(),
                (*name).to_owned(),
                figures.per_second.shown(whole),
                figures.p50.shown(millis),
                figures.p99.shown(millis),
            ]);
        }
        let mut reach = |ours: usize, raw: usize| {
            let what = format!("{writers} writers, {} by {}", SIDES[ours].0, SIDES[raw].0);
            let ratio = figures[ours].per_second.over(&figures[raw].per_second);
            reaches.push(Reach::at_least(what, ratio, 0.9));
        };
        reach(WAITING, RAW_SAME);
        reach(ALONE, RAW);
        reach(ALONE, RAW_OVER);
    }
    section.table(&["writers", "", "a second", "p50, ms", "p99, ms"], &rows);
    section.reaches(&reaches);
    Ok(section)
}

fn window(lasts: Duration) -> Window {
    let now = Instant::now();
    Window {
        begin: now + lasts / 10,
        end: now + lasts,
    }
}

fn value() -> Bytes {
    crate::load::text(3, VALUE_BYTES).into()
}

fn entry(number: u64, value: &Bytes) -> Entry {
    Entry::Record {
        key: Key::new(records::key(number)).expect("sixteen letters are a key"),
        record: records::record(number, value),
    }
}

fn open(directory: &Path) -> Result<Log<Directory>> {
    let disk = Arc::new(Directory::open(directory)?);
    let (log, _) = Log::open(disk, LogOptions::default(), &mut |_, _| {})?;
    Ok(log)
}

/// What a writer hands to the thread that commits.
type Job = (Entry, oneshot::Sender<()>);

/// Writers that wait, and one thread that commits what they gave.
fn ours(turn: &mut Turn<'_>) -> Result<Load> {
    let (writers, lasts) = (turn.writers, turn.lasts);
    let mut log = open(turn.directory)?;
    let (jobs, queue) = mpsc::sync_channel::<Job>(writers);
    let committer = std::thread::spawn(move || -> Result<LogStats> {
        let mut answers = Vec::new();
        while let Ok((entry, answer)) = queue.recv() {
            log.append(&entry)?;
            answers.push(answer);
            while let Ok((entry, answer)) = queue.try_recv() {
                log.append(&entry)?;
                answers.push(answer);
            }
            log.commit(SyncNow::Yes)?;
            for answer in answers.drain(..) {
                let _ = answer.send(());
            }
        }
        Ok(log.stats())
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let (window, value) = (window(lasts), value());
    let load = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..writers as u64 {
            let (jobs, value) = (jobs.clone(), value.clone());
            tasks.spawn(async move {
                let mut load = Load::new();
                let mut number = writer;
                while Instant::now() < window.end {
                    let (answer, done) = oneshot::channel();
                    let since = Instant::now();
                    // There is room for one of each writer.
                    let sent = jobs.try_send((entry(number, &value), answer));
                    sent.map_err(|_| anyhow::anyhow!("the log failed"))?;
                    done.await?;
                    window.record(&mut load, since);
                    number += writers as u64;
                }
                Ok(load)
            });
        }
        crate::load::joined(tasks, window).await
    });
    drop(jobs);
    let stats = committer.join().expect("the committer does not panic")?;
    turn.batch = stats.appended_records as f64 / stats.commits.max(1) as f64;
    load
}

/// The log in a loop.
fn alone(turn: &mut Turn<'_>) -> Result<Load> {
    let mut log = open(turn.directory)?;
    let value = value();
    // Made before: what is measured is what the log does with them.
    let entries: Vec<_> = (0..4_096).map(|number| entry(number, &value)).collect();
    let mut entries = entries.iter().cycle();
    looped(turn.writers as f64, turn.lasts, |records| {
        for entry in entries.by_ref().take(usize::try_from(records)?) {
            log.append(entry)?;
        }
        Ok(log.commit(SyncNow::Yes)?)
    })
}

fn raw(turn: &mut Turn<'_>) -> Result<Load> {
    system_calls(turn, turn.writers as f64, None)
}

fn raw_same(turn: &mut Turn<'_>) -> Result<Load> {
    system_calls(turn, turn.batch, None)
}

fn raw_over(turn: &mut Turn<'_>) -> Result<Load> {
    system_calls(turn, turn.writers as f64, Some(OVER_BYTES))
}

/// Bytes that are there before they are written over, again and again.
const OVER_BYTES: u64 = 64 * 1024 * 1024;

/// The system calls in a loop, with the bytes that the log would write for such batches: at the end
/// of a file, or over the bytes it has.
fn system_calls(turn: &Turn<'_>, batch: f64, over: Option<u64>) -> Result<Load> {
    let largest = usize::try_from(commit_bytes(turn.directory, batch.ceil() as u64)?)?;
    let one = commit_bytes(turn.directory, 1)?;
    let more = commit_bytes(turn.directory, 2)? - one;
    let file = File::create(turn.directory.join("raw"))?;
    if let Some(bytes) = over {
        let block = vec![b'x'; 1024 * 1024];
        for at in (0..bytes).step_by(block.len()) {
            file.write_all_at(&block, at)?;
        }
        file.sync_all()?;
    }
    let bytes = vec![b'y'; largest];
    let mut end = 0;
    looped(batch, turn.lasts, |records| {
        let size = one + more * (records - 1);
        if over.is_some_and(|over| end + size > over) {
            end = 0;
        }
        file.write_all_at(&bytes[..usize::try_from(size)?], end)?;
        file.sync_data()?;
        end += size;
        Ok(())
    })
}

/// Bytes that the log writes for a commit of so many records.
fn commit_bytes(directory: &Path, records: u64) -> Result<u64> {
    let scratch = directory.join("sized");
    let mut log = open(&scratch)?;
    let before = log.stats().appended_bytes;
    for number in 0..records {
        log.append(&entry(number, &value()))?;
    }
    log.commit(SyncNow::Yes)?;
    let bytes = log.stats().appended_bytes - before;
    drop(log);
    std::fs::remove_dir_all(scratch)?;
    Ok(bytes)
}

/// Batches of so many records on average, one after the other.
fn looped(records: f64, lasts: Duration, mut batch: impl FnMut(u64) -> Result<()>) -> Result<Load> {
    let window = window(lasts);
    let mut load = Load::new();
    let (mut due, mut done) = (0.0, 0);
    while Instant::now() < window.end {
        let since = Instant::now();
        due += records;
        let size = due as u64 - done;
        batch(size)?;
        done += size;
        for _ in 0..size {
            window.record(&mut load, since);
        }
    }
    load.lasted(window.length());
    Ok(load)
}
