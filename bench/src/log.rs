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
use kvserver::log::{Entry, Log, LogOptions, SyncNow, disk::directory::Directory};
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

/// Who writes.
type Side = fn(&Path, usize, Duration) -> Result<Load>;

const SIDES: [(&str, Side); 6] = [
    ("Kvasir's log, writers wait", ours),
    ("Kvasir's log, no writers", alone),
    ("write and fdatasync", raw),
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
             record is durable, then writes the next; one thread commits what waits. \"No \
             writers\" is the log in a loop of as many appends and one commit; \"write and \
             fdatasync\" is a loop of one `pwrite` of as many bytes at the end of a file and one \
             `fdatasync`. Landmarks: sled (insert, flush), fjall (insert, persist), redb (a \
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
            for ((name, side), figures) in SIDES.iter().zip(&mut figures) {
                let scratch = settings.scratch("log")?;
                let load = side(scratch.path(), writers, lasts);
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
        let raw = &figures[2].per_second;
        let what = format!("{writers} writers, records a second");
        reaches.push(Reach::at_least(&what, figures[0].per_second.over(raw), 0.9));
        let what = format!("{what}, no writers");
        reaches.push(Reach::at_least(what, figures[1].per_second.over(raw), 0.9));
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
fn ours(directory: &Path, writers: usize, lasts: Duration) -> Result<Load> {
    let mut log = open(directory)?;
    let (jobs, queue) = mpsc::sync_channel::<Job>(writers);
    let committer = std::thread::spawn(move || -> Result<()> {
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
        Ok(())
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
    committer.join().expect("the committer does not panic")?;
    load
}

/// The log in a loop.
fn alone(directory: &Path, writers: usize, lasts: Duration) -> Result<Load> {
    let mut log = open(directory)?;
    let value = value();
    let mut number = 0;
    looped(writers, lasts, || {
        for _ in 0..writers {
            log.append(&entry(number, &value))?;
            number += 1;
        }
        Ok(log.commit(SyncNow::Yes)?)
    })
}

/// The system calls in a loop, with the bytes that the log would write.
fn raw(directory: &Path, writers: usize, lasts: Duration) -> Result<Load> {
    let bytes = {
        let mut log = open(&directory.join("sized"))?;
        let before = log.stats().appended_bytes;
        for number in 0..writers as u64 {
            log.append(&entry(number, &value()))?;
        }
        log.commit(SyncNow::Yes)?;
        log.stats().appended_bytes - before
    };
    let file = File::create(directory.join("raw"))?;
    let batch = vec![b'x'; usize::try_from(bytes)?];
    let mut end = 0;
    looped(writers, lasts, || {
        file.write_all_at(&batch, end)?;
        file.sync_data()?;
        end += bytes;
        Ok(())
    })
}

/// Batches of so many records, one after the other.
fn looped(writers: usize, lasts: Duration, mut batch: impl FnMut() -> Result<()>) -> Result<Load> {
    let window = window(lasts);
    let mut load = Load::new();
    while Instant::now() < window.end {
        let since = Instant::now();
        batch()?;
        for _ in 0..writers {
            window.record(&mut load, since);
        }
    }
    load.lasted(window.length());
    Ok(load)
}
