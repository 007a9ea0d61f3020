//! Serving warp filters with limits.
//!
//! warp's own server has no limit on connections and no deadline for a request's head or body, and
//! one half-sent request blocks its graceful shutdown; so its service runs behind this accept loop.

use std::time::Duration;

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use warp::{Filter, Rejection, Reply, http::StatusCode};

use crate::{
    accept::Accept,
    limits::{
        DRAIN_MAX, HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEADER_TIMEOUT,
        HTTP_REQUEST_TIMEOUT,
    },
    shutdown::Shutdown,
};

/// What a server bears from its clients.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most connections at once.
    pub connections: usize,
    /// How long a request's head may take.
    pub head: Duration,
    /// How long a request may take from its head to its reply's head, its body included.
    pub request: Duration,
    /// How long open requests may go on after shutdown.
    pub drain: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: HTTP_CONNECTIONS_MAX,
            head: HTTP_HEADER_TIMEOUT,
            request: HTTP_REQUEST_TIMEOUT,
            drain: DRAIN_MAX,
        }
    }
}

/// Serves `filter` on `listener` until shutdown, then lets open requests finish within
/// [`DRAIN_MAX`].
pub async fn serve<F, R>(listener: TcpListener, filter: F, shutdown: Shutdown)
where
    F: Filter<Extract = (R,), Error = Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
    R: Reply + 'static,
{
    serve_within(Bounds::default(), listener, filter, shutdown).await;
}

/// The same within other bounds.
pub async fn serve_within<F, R>(
    bounds: Bounds,
    listener: TcpListener,
    filter: F,
    shutdown: Shutdown,
) where
    F: Filter<Extract = (R,), Error = Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
    R: Reply + 'static,
{
    let accept = Accept {
        what: "HTTP",
        connections_max: bounds.connections,
        drain: bounds.drain,
    };
    let stop = shutdown.clone();
    let handle = move |stream, _from| connection(bounds, stream, filter.clone(), stop.clone());
    accept.run(listener, shutdown, |_| (), handle).await;
}

async fn connection<F, R>(bounds: Bounds, stream: TcpStream, filter: F, shutdown: Shutdown)
where
    F: Filter<Extract = (R,), Error = Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
    R: Reply + 'static,
{
    let service = TowerToHyperService::new(warp::service(filter));
    let service = service_fn(move |request| {
        let answer = hyper::service::Service::call(&service, request);
        async move {
            match tokio::time::timeout(bounds.request, answer).await {
                Ok(answer) => answer,
                // Who sends half a body must not hold a connection for ever.
                Err(_) => Ok(StatusCode::REQUEST_TIMEOUT.into_response()),
            }
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
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
