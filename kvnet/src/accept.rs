//! The accept loop of every listening socket: a bound on connections, and a bound on draining.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use crate::shutdown::Shutdown;

/// What an accept loop keeps to.
#[derive(Debug, Clone, Copy)]
pub struct Accept {
    /// What connects, for the log.
    pub what: &'static str,
    /// Most connections at once; more are turned away.
    pub connections_max: usize,
    /// How long open connections may finish after shutdown.
    pub drain: Duration,
}

impl Accept {
    /// Runs `handle` for each connection until shutdown, then lets those that are open finish
    /// within `drain`. One too many is given to `turn_away`, which must not wait.
    pub async fn run<H, F>(
        self,
        listener: TcpListener,
        shutdown: Shutdown,
        turn_away: impl Fn(&TcpStream),
        handle: H,
    ) where
        H: Fn(TcpStream, SocketAddr) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let Self {
            what,
            connections_max,
            drain,
        } = self;
        let permits = Arc::new(Semaphore::new(connections_max));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                () = shutdown.stopped() => break,
            };
            let (socket, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely; a pause lets some be freed.
                    tracing::warn!(%error, what, "cannot accept connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                tracing::warn!(%from, what, limit = connections_max, "too many connections");
                turn_away(&socket);
                continue;
            };
            let connection = handle(socket, from);
            connections.spawn(async move {
                connection.await;
                drop(permit);
            });
        }
        // New clients are refused at once rather than left in the backlog.
        drop(listener);
        let drained = async { while connections.join_next().await.is_some() {} };
        if timeout(drain, drained).await.is_err() {
            tracing::info!(what, "connections that did not finish are cut");
        }
    }
}
