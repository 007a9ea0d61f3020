//! `kvctl bench`: load on a cluster through its brokers, and what it took.
//!
//! Open loop: operations have a time at which they are due, whether or not earlier ones were
//! answered, and latency counts from that time. A closed loop would stop asking while the cluster
//! stalls, and so hide the stall (G. Tene, "How NOT to Measure Latency").

mod history;
mod link;
mod loops;
mod report;
mod workload;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use futures_util::{StreamExt, stream::FuturesUnordered};
use kvnet::shutdown::Shutdown;

use self::{history::History, link::Link, report::Ended, workload::Workload};
pub use self::{
    report::Report,
    workload::{Keys, Mix},
};
use crate::client::{End, Response};

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
    /// Between the end of an operation and the client's next, without a rate.
    pub pause: Duration,
    /// Connections, spread over the brokers.
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
    /// Where every operation is recorded.
    pub history: Option<PathBuf>,
}

/// What all operations of a run share.
#[derive(Debug)]
struct Session {
    links: Vec<Link>,
    history: Option<History>,
    shutdown: Shutdown,
}

/// Runs the load until its time is over or `shutdown` comes; the report says what it took.
pub async fn bench(
    brokers: &[String],
    options: &BenchOptions,
    shutdown: &Shutdown,
) -> Result<Report> {
    check(options)?;
    let brokers: Arc<[String]> = brokers.into();
    let mut links = Vec::new();
    for number in 0..options.connections.max(1) {
        links.push(Link::connect(Arc::clone(&brokers), number).await?);
    }
    let history = options
        .history
        .as_deref()
        .map(History::create)
        .transpose()?;
    let session = Arc::new(Session {
        links,
        history,
        shutdown: shutdown.clone(),
    });
    let mut workload = Workload::new(options);
    if options.fill {
        tokio::select! {
            filled = fill(&session, &mut workload, options) => filled?,
            () = shutdown.stopped() => {}
        }
    }
    let recorder = match options.rate {
        Some(rate) => loops::open(&session, &mut workload, rate, options.duration).await,
        None => loops::closed(&session, &mut workload, options).await,
    };
    if let Some(history) = &session.history {
        history.close()?;
    }
    let mut given_up = None;
    for link in &session.links {
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
async fn fill(session: &Session, workload: &mut Workload, options: &BenchOptions) -> Result<()> {
    let mut waiting = FuturesUnordered::new();
    for number in 0..options.key_count {
        let client = usize::try_from(number).unwrap_or(0) % session.links.len();
        let operation = workload.put(client, number);
        waiting.push(async move { session.carry_out(client, &operation).await });
        if waiting.len() >= 512 {
            check_filled(waiting.next().await.flatten())?;
        }
    }
    while let Some(ended) = waiting.next().await {
        check_filled(ended)?;
    }
    Ok(())
}

fn check_filled(ended: Option<Ended>) -> Result<()> {
    match ended {
        Some(Ended::Done) => Ok(()),
        Some(ended) => bail!("a key could not be written before the run: {ended:?}"),
        None => bail!("a key could not be written before the run: there is no broker any more"),
    }
}

/// How an operation ended, told by its reply.
fn ended(response: Option<&Response>) -> Ended {
    match response.map(|response| &response.end) {
        Some(End::Ok | End::Value(_)) => Ended::Done,
        Some(End::NotFound | End::Exists) => Ended::NotFound,
        Some(End::Unknown(_)) | None => Ended::Unknown,
        Some(_) => Ended::NotDone,
    }
}

/// The text of the value in a reply.
fn value_of(response: &Response) -> Option<&str> {
    match &response.end {
        End::Value(text) => Some(text),
        _ => None,
    }
}
