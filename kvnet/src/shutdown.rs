//! Telling everything in a process to stop, once, and before that that it is about to.

use tokio::{
    signal::unix::{Signal, SignalKind},
    sync::watch,
};

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Not begun.
    Running,
    /// Nobody new should come; who comes is still served.
    Leaving,
    /// No more is taken on.
    Stopped,
}

/// Says stop.
#[derive(Debug)]
pub struct Trigger(watch::Sender<Phase>);

/// Hears stop; every task holds one.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<Phase>);

/// A connected pair.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Says that stop comes soon: whoever sends others here should do so no more.
    pub fn leave(&self) {
        self.reach(Phase::Leaving);
    }

    /// Says stop to every holder; again does nothing.
    pub fn stop(&self) {
        self.reach(Phase::Stopped);
    }

    /// There is no way back.
    fn reach(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let is_news = *now < phase;
            *now = phase.max(*now);
            is_news
        });
    }
}

impl Shutdown {
    /// Waits until stop is said, or until nobody is left to say it.
    pub async fn stopped(&self) {
        let mut receiver = self.0.clone();
        let _ = receiver.wait_for(|&phase| phase == Phase::Stopped).await;
    }

    /// Whether stop was said, or was said to come soon.
    pub fn is_leaving(&self) -> bool {
        *self.0.borrow() >= Phase::Leaving
    }

    /// Whether stop was said.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow() == Phase::Stopped
    }
}

/// SIGTERM and SIGINT. From the time this is made they no longer end the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen; must be called within a tokio runtime.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: tokio::signal::unix::signal(SignalKind::terminate())?,
            interrupt: tokio::signal::unix::signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of them; gives its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Waits for SIGTERM or SIGINT; gives the signal's name.
pub async fn signal() -> std::io::Result<&'static str> {
    Ok(Signals::listen()?.next().await)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn leaving_comes_before_stopping_and_never_after() {
        let (trigger, shutdown) = channel();
        assert!(!shutdown.is_leaving());
        trigger.leave();
        assert!(shutdown.is_leaving() && !shutdown.is_stopped());
        let early = timeout(Duration::from_millis(20), shutdown.stopped()).await;
        assert!(early.is_err(), "who leaves still serves");
        trigger.stop();
        trigger.leave();
        assert!(shutdown.is_leaving() && shutdown.is_stopped());
        shutdown.stopped().await;
    }
}
