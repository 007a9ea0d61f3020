//! Admin HTTP on port 7401: health, status, placement, metrics; nonces for proofs.

use std::convert::Infallible;

use kvcore::{
    limits::PLACEMENT_JSON_BYTES_MAX,
    placement::Placement,
    replica::Replica,
    wire::{Reply as PeerReply, Request, Secret, admin as proof},
};
use warp::{
    Filter, Rejection, Reply,
    http::{StatusCode, header},
    reply::Response,
};

use crate::{log::disk::Disk, server::Server};

/// The routes. Writes need a proof that whoever asks knows the cluster's secret.
pub fn routes<D: Disk>(
    server: Server<D>,
    secret: Secret,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let server = warp::any().map(move || server.clone());
    let get = |name: &'static str| {
        warp::path(name)
            .and(warp::path::end())
            .and(warp::get())
            .and(server.clone())
    };
    let healthz = get("healthz").map(|_server: Server<D>| text(StatusCode::OK, "ok\n"));
    let readyz = get("readyz").map(|server: Server<D>| match server.status().reason {
        None => text(StatusCode::OK, "ready\n"),
        Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    });
    let status = get("status").map(|server: Server<D>| json(StatusCode::OK, &server.status()));
    let placement = get("placement").map(|server: Server<D>| match server.placement() {
        Some(placement) => json(StatusCode::OK, &placement),
        None => text(
            StatusCode::NOT_FOUND,
            "this member is blank: it has no placement yet\n",
        ),
    });
    let metrics = get("metrics").map(|server: Server<D>| {
        let figures = server.render_metrics();
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        warp::reply::with_header(figures, header::CONTENT_TYPE, kind).into_response()
    });
    let nonces = secret.clone();
    let nonce = get("nonce").map(move |server: Server<D>| {
        let nonce = proof::nonce(&nonces, server.member(), server.clock().now());
        let given = serde_json::json!({ "member": server.member(), "nonce": nonce });
        json(StatusCode::OK, &given)
    });
    let put_placement = warp::path("placement")
        .and(warp::path::end())
        .and(warp::put())
        .and(server.clone())
        .and(warp::header::optional::<String>("authorization"))
        .and(warp::body::content_length_limit(PLACEMENT_JSON_BYTES_MAX))
        .and(warp::body::bytes())
        .and_then(move |server, authorization, body| {
            let secret = secret.clone();
            async move { Ok::<_, Infallible>(put(server, &secret, authorization, body).await) }
        });
    healthz
        .or(readyz)
        .unify()
        .or(status)
        .unify()
        .or(placement)
        .unify()
        .or(metrics)
        .unify()
        .or(nonce)
        .unify()
        .or(put_placement)
        .unify()
        .boxed()
}

/// Adopts a placement from who proves that they know the secret.
async fn put<D: Disk>(
    server: Server<D>,
    secret: &Secret,
    authorization: Option<String>,
    body: bytes::Bytes,
) -> Response {
    let (member, now) = (server.member(), server.clock().now());
    let asked = (proof::PUT_PLACEMENT, &body[..]);
    match proof::check(secret, member, now, authorization.as_deref(), asked) {
        Ok(()) => adopt(server, body).await,
        Err(why) => text(StatusCode::UNAUTHORIZED, format!("{why}\n")),
    }
}

async fn adopt<D: Disk>(server: Server<D>, body: bytes::Bytes) -> Response {
    let placement: Placement = match serde_json::from_slice(&body) {
        Ok(placement) => placement,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("no placement: {error}\n")),
    };
    match server.call(Request::Adopt(placement)).await {
        Ok(PeerReply::Adopted { epoch, .. }) => {
            text(StatusCode::OK, format!("epoch {epoch} is in force\n"))
        }
        Ok(PeerReply::Refused(refusal)) => text(StatusCode::CONFLICT, format!("{refusal}\n")),
        Ok(other) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{other:?}\n")),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn text(status: StatusCode, text: impl Into<String>) -> Response {
    warp::reply::with_status(text.into(), status).into_response()
}

fn json<T: serde::Serialize>(status: StatusCode, value: &T) -> Response {
    warp::reply::with_status(warp::reply::json(value), status).into_response()
}
