//! Serving warp filters with limits.
//!
//! warp's own server has no limit on connections and no deadline for a request's head, and one
//! half-sent request blocks its graceful shutdown; so its service runs behind this accept loop.

use std::{sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use warp::{Filter, Rejection, Reply};

use crate::{
    limits::{DRAIN_MAX, HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEADER_TIMEOUT},
    shutdown::Shutdown,
};

/// Serves `filter` on `listener` until shutdown, then lets open requests finish within
/// [`DRAIN_MAX`].
pub async fn serve<F, R>(listener: TcpListener, filter: F, shutdown: Shutdown)
where
    F: Filter<Extract = (R,), Error = Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
    R: Reply + 'static,
{
    let permits = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = shutdown.stopped() => break,
        };
        match accepted {
            Ok((stream, from)) => {
                let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                    tracing::warn!(%from, limit = HTTP_CONNECTIONS_MAX, "too many HTTP connections");
                    continue;
                };
                let filter = filter.clone();
                let shutdown = shutdown.clone();
                connections.spawn(async move {
                    connection(stream, filter, shutdown).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely; a pause lets some be freed.
                tracing::warn!(%error, "cannot accept HTTP connections");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
        tracing::info!("HTTP connections that did not finish are cut");
    }
}

async fn connection<F, R>(stream: TcpStream, filter: F, shutdown: Shutdown)
where
    F: Filter<Extract = (R,), Error = Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
    R: Reply + 'static,
{
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEADER_TIMEOUT)
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .serve_connection(
            TokioIo::new(stream),
            TowerToHyperService::new(warp::service(filter)),
        );
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = shutdown.stopped() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection");
    }
}
