//! What goes on after a write has ended: members beyond the quorum are still brought what they lack.
//!
//! One task does it for all writes of a broker. Most need no more than one reply to be taken, and
//! those of many writes come together, so a task and a timer for each would cost more than the work.

use std::{mem, pin::Pin, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::limits::{AFTERMATH_MS, OPERATIONS_MAX};

/// The rest of one write.
type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A handle on the task; it ends with the last one.
#[derive(Debug)]
pub(super) struct Aftermaths(mpsc::Sender<Rest>);

impl Aftermaths {
    /// Starts the task. Must be called within a tokio runtime.
    pub(super) fn start() -> Self {
        let (rests, queue) = mpsc::channel(OPERATIONS_MAX);
        tokio::spawn(run(queue));
        Self(rests)
    }

    /// Hands the rest of a write over. Where too many are under way it is dropped: catching up brings
    /// members what they lack, later.
    pub(super) fn take(&self, rest: impl Future<Output = ()> + Send + 'static) {
        let _ = self.0.try_send(Box::pin(rest));
    }
}

/// Carries out what is handed over. What takes longer than [`AFTERMATH_MS`] is dropped, at the latest
/// after twice that.
async fn run(mut queue: mpsc::Receiver<Rest>) {
    let (mut young, mut old) = (FuturesUnordered::<Rest>::new(), FuturesUnordered::new());
    let limit = Duration::from_millis(AFTERMATH_MS);
    let mut ages = interval_at(Instant::now() + limit, limit);
    ages.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            Some(()) = young.next() => {}
            Some(()) = old.next() => {}
            rest = queue.recv() => match rest {
                Some(rest) if young.len() + old.len() < OPERATIONS_MAX => young.push(rest),
                Some(_) => {}
                None => return,
            },
            _ = ages.tick() => old = mem::take(&mut young),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{
        sync::{Notify, oneshot},
        time::advance,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_goes_on_for_its_time_and_no_longer_than_twice_that() {
        let aftermaths = Aftermaths::start();
        let go = Arc::new(Notify::new());
        let (held, mut dropped) = oneshot::channel::<()>();
        aftermaths.take(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        let (done, mut is_done) = oneshot::channel();
        let waits = Arc::clone(&go);
        aftermaths.take(async move {
            waits.notified().await;
            done.send(()).expect("it is waited for");
        });
        tokio::task::yield_now().await;
        advance(Duration::from_millis(AFTERMATH_MS - 1)).await;
        assert!(dropped.try_recv().is_err() && is_done.try_recv().is_err());
        go.notify_one();
        is_done.await.expect("it went on");
        let began = Instant::now();
        dropped.await.expect_err("nothing is sent");
        assert!(began.elapsed() <= Duration::from_millis(2 * AFTERMATH_MS));
    }

    #[tokio::test]
    async fn there_are_no_more_than_so_many() {
        let aftermaths = Aftermaths::start();
        let alive = Arc::new(());
        for _ in 0..3 {
            for _ in 0..OPERATIONS_MAX {
                let alive = Arc::clone(&alive);
                aftermaths.take(async move {
                    std::future::pending::<()>().await;
                    drop(alive);
                });
            }
            // What is queued is looked at.
            for _ in 0..10 * OPERATIONS_MAX {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(Arc::strong_count(&alive) - 1, OPERATIONS_MAX);
    }
}
