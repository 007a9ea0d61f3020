//! `kvctl bench`: load on a cluster through its broker, and what it took.
//!
//! Open loop: operations have a time at which they are due, whether or not earlier ones were
//! answered, and latency counts from that time. A closed loop would stop asking while the cluster
//! stalls, and so hide the stall (G. Tene, "How NOT to Measure Latency").

mod link;
mod report;
mod workload;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{sync::Semaphore, time::Instant};

use self::{
    link::{Link, Sent},
    report::{Ended, Recorder},
    workload::{Operation, Workload},
};
pub use self::{
    report::Report,
    workload::{Keys, Mix},
};
use crate::client::End;

/// Operations that may wait for their answer in an open loop; beyond, they are counted as not
/// sent, which the report says.
const BACKLOG_MAX: usize = 100_000;

/// What is run.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// How long.
    pub duration: Duration,
    /// Operations due each second; `None` keeps `concurrency` of them on their way instead.
    pub rate: Option<f64>,
    /// Operations on their way at once without a rate.
    pub concurrency: usize,
    /// Connections.
    pub connections: usize,
    /// Shares of reads, writes, deletes.
    pub mix: Mix,
    /// Which keys.
    pub keys: Keys,
    /// How many keys.
    pub key_count: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Chooses keys and operations.
    pub seed: u64,
    /// Write every key once before.
    pub fill: bool,
}

/// Runs the load; the report says what it took.
pub async fn bench(broker: &str, options: &BenchOptions) -> Result<Report> {
    check(options)?;
    let mut links = Vec::new();
    for _ in 0..options.connections {
        links.push(Arc::new(Link::connect(broker).await?));
    }
    if options.fill {
        fill(&links, options).await?;
    }
    let mut workload = Workload::new(options);
    let recorder = match options.rate {
        Some(rate) => open_loop(&links, &mut workload, rate, options.duration).await,
        None => closed_loop(&links, &mut workload, options).await,
    };
    let mut given_up = None;
    for link in &links {
        given_up = given_up.or(link.given_up().await);
    }
    Ok(recorder.report(options, given_up))
}

fn check(options: &BenchOptions) -> Result<()> {
    if options.key_count == 0 || options.connections == 0 || options.concurrency == 0 {
        bail!("--keys, --connections and --concurrency are at least 1");
    }
    if options
        .rate
        .is_some_and(|rate| !(rate > 0.0 && rate <= 10_000_000.0))
    {
        bail!("--rate is more than 0 and at most 10000000 operations a second");
    }
    if options.value_bytes > kvcore::limits::VALUE_BYTES_MAX {
        bail!(
            "--value-bytes is at most {}",
            kvcore::limits::VALUE_BYTES_MAX
        );
    }
    Ok(())
}

/// Writes every key once.
async fn fill(links: &[Arc<Link>], options: &BenchOptions) -> Result<()> {
    let workload = Workload::new(options);
    let mut waiting = FuturesUnordered::new();
    for number in 0..options.key_count {
        let at = usize::try_from(number).unwrap_or(0) % links.len();
        let (link, line) = (Arc::clone(&links[at]), workload.put_line(number));
        waiting.push(async move { link.ask(line.into()).await });
        if waiting.len() >= 512 {
            check_filled(waiting.next().await)?;
        }
    }
    while let Some(sent) = waiting.next().await {
        check_filled(Some(sent))?;
    }
    Ok(())
}

fn check_filled(sent: Option<Sent>) -> Result<()> {
    match sent {
        Some(Sent::Answered(response)) => match response.end {
            End::Ok => Ok(()),
            other => bail!("a key could not be written: {other:?}"),
        },
        Some(Sent::Lost | Sent::NoBroker) => {
            bail!("the broker closed the connection while every key was written once")
        }
        None => Ok(()),
    }
}

/// Sends operations when they are due and counts latency from then.
async fn open_loop(
    links: &[Arc<Link>],
    workload: &mut Workload,
    rate: f64,
    duration: Duration,
) -> Recorder {
    let recorder = Arc::new(parking_lot::Mutex::new(Recorder::new()));
    let backlog = Arc::new(Semaphore::new(BACKLOG_MAX));
    let unsent = Arc::new(AtomicU64::new(0));
    let gone = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    for number in 0u64.. {
        let due = began + Duration::from_secs_f64(number as f64 / rate);
        if due - began >= duration || gone.load(Ordering::Relaxed) {
            break;
        }
        tokio::time::sleep_until(due).await;
        let operation = workload.next_operation();
        let Ok(permit) = Arc::clone(&backlog).try_acquire_owned() else {
            unsent.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let at = usize::try_from(number).unwrap_or(0) % links.len();
        let (link, recorder) = (Arc::clone(&links[at]), Arc::clone(&recorder));
        let (unsent, gone) = (Arc::clone(&unsent), Arc::clone(&gone));
        tokio::spawn(async move {
            if let Some(ended) = carry_out(&link, &operation).await {
                recorder.lock().record(operation.kind, ended, due.elapsed());
            } else {
                unsent.fetch_add(1, Ordering::Relaxed);
                gone.store(true, Ordering::Relaxed);
            }
            drop(permit);
        });
    }
    // Answers that are still on their way count as well.
    let all = u32::try_from(BACKLOG_MAX).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(Duration::from_secs(30), backlog.acquire_many(all)).await;
    let mut recorder = recorder.lock().clone();
    recorder.finish(began.elapsed(), unsent.load(Ordering::Relaxed));
    recorder
}

/// Keeps a number of operations on their way.
async fn closed_loop(
    links: &[Arc<Link>],
    workload: &mut Workload,
    options: &BenchOptions,
) -> Recorder {
    let mut recorder = Recorder::new();
    let mut waiting = FuturesUnordered::new();
    let began = Instant::now();
    let mut number = 0usize;
    let mut gone = false;
    loop {
        while !gone && waiting.len() < options.concurrency && began.elapsed() < options.duration {
            let operation = workload.next_operation();
            let link = Arc::clone(&links[number % links.len()]);
            number += 1;
            waiting.push(async move {
                let sent = Instant::now();
                let ended = carry_out(&link, &operation).await;
                (operation.kind, ended, sent.elapsed())
            });
        }
        match waiting.next().await {
            Some((kind, Some(ended), took)) => recorder.record(kind, ended, took),
            Some((_, None, _)) => gone = true,
            None => break,
        }
    }
    recorder.finish(began.elapsed(), 0);
    recorder
}

/// `None` if it was not sent, for want of a broker.
async fn carry_out(link: &Link, operation: &Operation) -> Option<Ended> {
    match link.ask(operation.line.clone().into()).await {
        Sent::Answered(response) => Some(match response.end {
            End::Ok | End::Value(_) => Ended::Done,
            End::NotFound | End::Exists => Ended::NotFound,
            End::Unknown(_) => Ended::Unknown,
            _ => Ended::NotDone,
        }),
        Sent::Lost => Some(Ended::Unknown),
        Sent::NoBroker => None,
    }
}
