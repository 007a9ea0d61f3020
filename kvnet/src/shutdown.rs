//! Telling everything in a process to stop, once.

use tokio::{signal::unix::SignalKind, sync::watch};

/// Says stop.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Hears stop; every task holds one.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// A connected pair.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Says stop to every holder; again does nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Waits until stop is said, or until nobody is left to say it.
    pub async fn stopped(&self) {
        let mut receiver = self.0.clone();
        let _ = receiver.wait_for(|&stopped| stopped).await;
    }

    /// Whether stop was said.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }
}

/// Waits for SIGTERM or SIGINT; gives the signal's name.
pub async fn signal() -> std::io::Result<&'static str> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}
