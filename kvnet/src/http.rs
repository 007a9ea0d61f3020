//! Serving warp filters with limits.
//!
//! warp's own server has no limit on connections and no deadline for a request's head, and one
//! half-sent request blocks its graceful shutdown; so its service runs behind this accept loop.

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use warp::{Filter, Rejection, Reply};

use crate::{
    accept::Accept,
    limits::{HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEADER_TIMEOUT},
    shutdown::Shutdown,
};

/// Serves `filter` on `listener` until shutdown, then lets open requests finish within
/// [`crate::limits::DRAIN_MAX`].
pub async fn serve<F, R>(listener: TcpListener, filter: F, shutdown: Shutdown)
where
    F: Filter<Extract = (R,), Error = Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
    R: Reply + 'static,
{
    let accept = Accept {
        what: "HTTP",
        connections_max: HTTP_CONNECTIONS_MAX,
    };
    let stop = shutdown.clone();
    let handle = move |stream, _from| connection(stream, filter.clone(), stop.clone());
    accept.run(listener, shutdown, |_| (), handle).await;
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
