//! The two ways to send: when operations are due, or a number of them at a time.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    BACKLOG_MAX, BenchOptions, Session,
    report::{Ended, Recorder},
    workload::Workload,
};

/// Sends operations when they are due and counts latency from then.
pub(super) async fn open(
    session: &Arc<Session>,
    workload: &mut Workload,
    rate: f64,
    duration: Duration,
) -> Recorder {
    let recorder = Arc::new(parking_lot::Mutex::new(Recorder::new()));
    let backlog = Arc::new(Semaphore::new(BACKLOG_MAX));
    let unsent = Arc::new(AtomicU64::new(0));
    let gone = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let mut stopped = pin!(session.shutdown.stopped());
    for number in 0u64.. {
        let due = began + Duration::from_secs_f64(number as f64 / rate);
        if due - began >= duration || gone.load(Ordering::Relaxed) {
            break;
        }
        tokio::select! {
            () = sleep_until(due) => {}
            () = &mut stopped => break,
        }
        let at = usize::try_from(number).unwrap_or(0) % session.links.len();
        let operation = workload.next_operation(at);
        let Ok(permit) = Arc::clone(&backlog).try_acquire_owned() else {
            unsent.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let (session, recorder) = (Arc::clone(session), Arc::clone(&recorder));
        let (unsent, gone) = (Arc::clone(&unsent), Arc::clone(&gone));
        tokio::spawn(async move {
            if let Some(ended) = session.carry_out(at, &operation).await {
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
    tokio::select! {
        _ = timeout(Duration::from_secs(30), backlog.acquire_many(all)) => {}
        () = session.shutdown.stopped() => {}
    }
    let mut recorder = recorder.lock().clone();
    recorder.finish(began.elapsed(), unsent.load(Ordering::Relaxed));
    recorder
}

/// Keeps a number of operations on their way: each client sends its next when the last has ended.
pub(super) async fn closed(
    session: &Arc<Session>,
    workload: &mut Workload,
    options: &BenchOptions,
) -> Recorder {
    let mut recorder = Recorder::new();
    let mut waiting = FuturesUnordered::new();
    let began = Instant::now();
    let until = began + options.duration;
    let mut send = |client: usize, pause: Duration| {
        let operation = workload.next_operation(client);
        async move {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let sent = Instant::now();
            let ended = session.carry_out(client, &operation).await;
            (client, operation.kind, ended, sent.elapsed())
        }
    };
    let mut stopped = pin!(session.shutdown.stopped());
    for client in 0..options.concurrency {
        waiting.push(send(client, Duration::ZERO));
    }
    loop {
        let next = tokio::select! {
            next = waiting.next() => next,
            () = &mut stopped => None,
        };
        let Some((client, kind, ended, took)) = next else {
            break;
        };
        if let Some(ended) = ended {
            recorder.record(kind, ended, took);
            if Instant::now() < until {
                waiting.push(send(client, options.pause));
            }
        }
    }
    recorder.finish(began.elapsed(), 0);
    recorder
}

impl Session {
    /// One operation; `None` where it was not sent: there is no broker any more, or the history
    /// is closed.
    pub(super) async fn carry_out(
        &self,
        client: usize,
        operation: &super::workload::Operation,
    ) -> Option<Ended> {
        let link = &self.links[client % self.links.len()];
        let held = link.hold().await?;
        let begun = match &self.history {
            None => None,
            Some(history) => {
                let value = operation.value.as_deref();
                Some(history.begin(client, operation.kind, &operation.key, value)?)
            }
        };
        let response = link.ask(&held, operation.line.clone()).await;
        let ended = super::ended(response.as_ref());
        if let (Some(history), Some(begun)) = (&self.history, begun) {
            let read = response.as_ref().and_then(super::value_of);
            history.end(begun, ended, read);
        }
        Some(ended)
    }
}
