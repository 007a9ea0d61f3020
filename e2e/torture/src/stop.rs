//! Being told to stop, and waiting: every wait has a deadline, a name, and hears the signal.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// How often a condition is looked at again.
const POLL: Duration = Duration::from_millis(50);

/// Whether SIGINT or SIGTERM came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Hears the signals from now on.
    pub(crate) fn on_signals() -> Result<Self> {
        let stop = Self::default();
        let heard = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start what hears signals")?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            )
        };
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            heard.say();
        });
        Ok(stop)
    }

    fn say(&self) {
        let (flag, told) = &*self.0;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        told.notify_all();
    }

    /// Lets time pass; an error if the signal came.
    pub(crate) fn pass(&self, time: Duration) -> Result<()> {
        let (flag, told) = &*self.0;
        let flag = flag.lock().unwrap_or_else(PoisonError::into_inner);
        let (flag, _) = told
            .wait_timeout_while(flag, time, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        if *flag {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Waits until `look` gives something, at most `limit`; the error says what was waited for and
    /// what `look` saw last.
    pub(crate) fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut() -> Result<Result<T, String>>,
    ) -> Result<T> {
        let since = Instant::now();
        loop {
            match look()? {
                Ok(found) => return Ok(found),
                Err(seen) if since.elapsed() > limit => {
                    bail!("waited {} s for {what}: {seen}", limit.as_secs())
                }
                Err(_) => self.pass(POLL)?,
            }
        }
    }
}
