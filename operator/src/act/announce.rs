//! Telling servers and brokers of a placement that is recorded.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use kvcore::{
    placement::Placement,
    wire::{Secret, admin as proof},
};
use serde::Deserialize;
use uuid::Uuid;

use crate::{http_client::HttpClient, plan::announce::Announce};

/// How long one of them may take to take it: a server writes it to its disk first, and a broker that
/// had none tries every member before it answers.
const ANNOUNCE_MAX: Duration = Duration::from_secs(5);

/// Told at the same time.
const AT_ONCE: usize = 32;

/// Tells everyone; who does not take it is told again when it was next heard. Answers who took it.
pub async fn announce(
    http: &HttpClient,
    secret: &Secret,
    placement: &Placement,
    all: &[Announce],
) -> Vec<Uuid> {
    let body = match serde_json::to_vec(placement) {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "the placement cannot be written as JSON");
            return Vec::new();
        }
    };
    // Made before they are driven: a future that is `Send` for one lifetime alone is of no use here.
    let telling: Vec<_> = all
        .iter()
        .map(|one| tell_in_time(http, secret, &body, one))
        .collect();
    let told: Vec<Option<Uuid>> = stream::iter(telling)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    told.into_iter().flatten().collect()
}

async fn tell_in_time(
    http: &HttpClient,
    secret: &Secret,
    body: &[u8],
    one: &Announce,
) -> Option<Uuid> {
    let told = tokio::time::timeout(ANNOUNCE_MAX, tell(http, secret, body, one)).await;
    let told = told.unwrap_or_else(|_| {
        let seconds = ANNOUNCE_MAX.as_secs();
        Err(format!("no answer within {seconds} s"))
    });
    if let Err(why) = &told {
        tracing::warn!(pod = one.pod, why, "did not take the placement");
    }
    told.ok().map(|()| one.process)
}

/// What a proof is made for: only the process that gave it takes it.
#[derive(Debug, Deserialize)]
struct Nonce {
    #[serde(alias = "member", alias = "broker")]
    process: Uuid,
    nonce: String,
}

async fn tell(
    http: &HttpClient,
    secret: &Secret,
    body: &[u8],
    one: &Announce,
) -> Result<(), String> {
    let given: Nonce = http.get_json(&one.address, "/nonce").await?;
    if given.process != one.process {
        return Err(format!("{} is another process now", one.address));
    }
    let asked = (proof::PUT_PLACEMENT, body);
    let proof = proof::authorization(secret, given.process, &given.nonce, asked);
    http.put(&one.address, "/placement", &proof, body.to_vec())
        .await
}
