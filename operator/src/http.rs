//! The operator's HTTP: health, readiness, figures.

use warp::{Filter, Rejection, Reply, http::header::CONTENT_TYPE, reply::Response};

use crate::metrics::Metrics;

/// `/healthz`, `/readyz` and `/metrics`. A second operator that waits for its turn is ready too.
pub fn routes(
    metrics: Metrics,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let healthz = warp::path!("healthz").map(|| "ok\n".into_response());
    let readyz = warp::path!("readyz").map(|| "ready\n".into_response());
    let figures = warp::path!("metrics").map(move || {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        warp::reply::with_header(metrics.render(), CONTENT_TYPE, kind).into_response()
    });
    warp::get().and(healthz.or(readyz).unify().or(figures).unify())
}
