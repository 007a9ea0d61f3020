//! The broker's HTTP: health, readiness, figures and the placement in use.

use kvcore::{placement::ReplicaSet, slot::Slot};
use kvnet::shutdown::Shutdown;
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};
use warp::{
    Filter, Rejection, Reply,
    http::{StatusCode, header::CONTENT_TYPE},
    reply,
};

use crate::shell::{Broker, View};

/// The broker, once it has a placement.
pub type BrokerWatch = watch::Receiver<Option<Broker>>;

/// Serves until shutdown.
pub async fn serve(listener: TcpListener, broker: BrokerWatch, shutdown: Shutdown) {
    kvnet::http::serve(listener, routes(broker), shutdown).await;
}

/// `/healthz`, `/readyz`, `/metrics` and `/placement`.
pub fn routes(
    broker: BrokerWatch,
) -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone + Send + Sync + 'static {
    let broker = warp::any().map(move || broker.borrow().clone());
    let healthz = warp::path!("healthz").map(|| "ok\n".into_response());
    let readyz = warp::path!("readyz")
        .and(broker.clone())
        .map(|broker: Option<Broker>| readyz(broker.as_ref()));
    let metrics = warp::path!("metrics")
        .and(broker.clone())
        .map(|broker: Option<Broker>| metrics(broker.as_ref()));
    let placement = warp::path!("placement")
        .and(broker)
        .map(|broker: Option<Broker>| placement(broker.as_ref()));
    let gets = healthz
        .or(readyz)
        .unify()
        .or(metrics)
        .unify()
        .or(placement)
        .unify();
    warp::get().and(gets)
}

fn readyz(broker: Option<&Broker>) -> reply::Response {
    let reason = match broker {
        None => Some("no placement yet".to_owned()),
        Some(broker) => unready(&broker.view()),
    };
    match reason {
        None => reply::json(&json!({ "ready": true })).into_response(),
        Some(reason) => {
            let body = reply::json(&json!({ "ready": false, "reason": reason }));
            reply::with_status(body, StatusCode::SERVICE_UNAVAILABLE).into_response()
        }
    }
}

/// Why some slot cannot be read or written now, by the state of connections.
pub fn unready(view: &View) -> Option<String> {
    let placement = view.placement();
    let live: Vec<bool> = view
        .replicas()
        .iter()
        .map(|r| r.trouble().is_none())
        .collect();
    let count = |set: &ReplicaSet| set.members().iter().filter(|m| live[m.get()]).count();
    let quorums = placement.quorums();
    let mut short = Slot::all().filter(|&slot| {
        let slot = placement.slot(slot);
        let read = slot.read_set();
        let writes = slot.write_sets();
        count(read) < quorums.read_of(read.members().len())
            || writes
                .iter()
                .any(|set| count(set) < quorums.write_of(set.members().len()))
    });
    let first = short.next()?;
    let down = placement
        .members()
        .iter()
        .zip(&live)
        .filter(|(_, live)| !**live);
    let down: Vec<_> = down.map(|(member, _)| member.address.as_str()).collect();
    Some(format!(
        "{} slots have no live read or write quorum, the first is {first}; down: {}",
        1 + short.count(),
        down.join(", ")
    ))
}

fn metrics(broker: Option<&Broker>) -> reply::Response {
    let figures = broker.map_or_else(String::new, |broker| broker.metrics().render());
    reply::with_header(figures, CONTENT_TYPE, "text/plain; version=0.0.4").into_response()
}

fn placement(broker: Option<&Broker>) -> reply::Response {
    if let Some(broker) = broker {
        return reply::json(broker.view().placement()).into_response();
    }
    let body = reply::json(&json!({ "reason": "no placement yet" }));
    reply::with_status(body, StatusCode::SERVICE_UNAVAILABLE).into_response()
}
