//! The broker's HTTP: health, readiness, status, figures, and the placement in use, which the
//! cluster's author may renew.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use kvcore::{limits::PLACEMENT_JSON_BYTES_MAX, placement::Placement, wire::admin::PUT_PLACEMENT};
use kvnet::shutdown::Shutdown;
use serde_json::json;
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use warp::{
    Filter, Rejection, Reply,
    http::{StatusCode, header::CONTENT_TYPE},
    reply::{self, Response},
};

use crate::{
    control::{Control, NO_PLACEMENT, PushError},
    limits::{PUSH_BODY_MS, PUSHES_MAX},
};

/// Serves until shutdown.
pub async fn serve(listener: TcpListener, control: Control, shutdown: Shutdown) {
    kvnet::http::serve(listener, routes(control), shutdown).await;
}

/// `/healthz`, `/readyz`, `/status`, `/metrics`, `/placement` and `/nonce`. A `PUT` of a placement
/// needs a proof that whoever asks knows the cluster's secret.
pub fn routes(
    control: Control,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let control = warp::any().map(move || control.clone());
    let get = |name: &'static str| {
        warp::path(name)
            .and(warp::path::end())
            .and(warp::get())
            .and(control.clone())
    };
    let healthz = get("healthz").map(|_control: Control| "ok\n".into_response());
    let readyz = get("readyz").map(|control: Control| readyz(control.unready()));
    let status = get("status").map(|control: Control| reply::json(&control.status()));
    let status = status.map(Reply::into_response);
    let metrics = get("metrics").map(|control: Control| metrics(&control));
    let placement = get("placement").map(|control: Control| placement(&control));
    let nonce = get("nonce").map(|control: Control| {
        let given = json!({ "broker": control.id(), "nonce": control.nonce() });
        reply::json(&given).into_response()
    });
    let turns = Arc::new(Semaphore::new(PUSHES_MAX));
    let put_placement = warp::path("placement")
        .and(warp::path::end())
        .and(warp::put())
        .and(control.clone())
        .and(warp::header::optional::<String>("authorization"))
        .and(warp::body::content_length_limit(PLACEMENT_JSON_BYTES_MAX))
        .and(warp::body::stream())
        .and_then(move |control, authorization, body| {
            let turns = Arc::clone(&turns);
            async move {
                let answer = match receive(&turns, body).await {
                    Ok(body) => put(control, authorization, body).await,
                    Err(refused) => refused,
                };
                Ok::<_, Infallible>(answer)
            }
        });
    healthz
        .or(readyz)
        .unify()
        .or(status)
        .unify()
        .or(metrics)
        .unify()
        .or(placement)
        .unify()
        .or(nonce)
        .unify()
        .or(put_placement)
        .unify()
        .boxed()
}

fn readyz(unready: Option<String>) -> Response {
    match unready {
        None => reply::json(&json!({ "ready": true })).into_response(),
        Some(reason) => unavailable(&json!({ "ready": false, "reason": reason })),
    }
}

fn metrics(control: &Control) -> Response {
    let broker = control.broker();
    let figures = broker.map_or_else(String::new, |broker| broker.metrics().render());
    reply::with_header(figures, CONTENT_TYPE, "text/plain; version=0.0.4").into_response()
}

fn placement(control: &Control) -> Response {
    match control.broker() {
        Some(broker) => reply::json(broker.view().placement()).into_response(),
        None => unavailable(&json!({ "reason": NO_PLACEMENT })),
    }
}

fn unavailable(body: &serde_json::Value) -> Response {
    reply::with_status(reply::json(body), StatusCode::SERVICE_UNAVAILABLE).into_response()
}

/// Reads a body whose length is limited already; an error is what the client is told.
async fn receive<B: Buf>(
    turns: &Semaphore,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Bytes, Response> {
    let Ok(_turn) = turns.try_acquire() else {
        let why = format!("more than {PUSHES_MAX} placements are being sent: try again");
        return Err(text(StatusCode::SERVICE_UNAVAILABLE, &why));
    };
    let mut body = pin!(body);
    let whole = async {
        let mut bytes = BytesMut::new();
        while let Some(piece) = body.try_next().await? {
            bytes.put(piece);
        }
        Ok::<_, warp::Error>(bytes.freeze())
    };
    match timeout(Duration::from_millis(PUSH_BODY_MS), whole).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(text(StatusCode::BAD_REQUEST, &error)),
        Err(_) => {
            let why = format!("the body did not come within {PUSH_BODY_MS} ms");
            Err(text(StatusCode::REQUEST_TIMEOUT, &why))
        }
    }
}

/// Uses a placement from who proves that they know the secret.
async fn put(control: Control, authorization: Option<String>, body: Bytes) -> Response {
    if let Err(why) = control.check(authorization.as_deref(), (PUT_PLACEMENT, &body)) {
        return text(StatusCode::UNAUTHORIZED, &why);
    }
    let placement: Placement = match serde_json::from_slice(&body) {
        Ok(placement) => placement,
        Err(error) => return text(StatusCode::BAD_REQUEST, &format!("no placement: {error}")),
    };
    match control.push(placement).await {
        Ok(in_use) => reply::json(&in_use).into_response(),
        Err(why @ PushError::Refused(_)) => text(StatusCode::CONFLICT, &why),
        Err(why @ PushError::NotYet) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

fn text(status: StatusCode, why: &impl ToString) -> Response {
    reply::with_status(format!("{}\n", why.to_string()), status).into_response()
}
