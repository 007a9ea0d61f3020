//! Asking processes over HTTP how they are.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use kvcore::{placement::Placement, status::MemberStatus};
use serde::de::DeserializeOwned;

use super::process::ProcessId;
use crate::limits::{ADMIN_TIMEOUT, POLL, START_MAX};

/// An HTTP answer.
struct Answer {
    status: u16,
    body: String,
}

fn get(address: &str, path: &str) -> Result<Answer, ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ADMIN_TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent.get(format!("http://{address}{path}")).call()?;
    let body = response
        .body_mut()
        .with_config()
        .limit(16 * 1024 * 1024)
        .read_to_string()?;
    Ok(Answer {
        status: response.status().as_u16(),
        body,
    })
}

fn json<T: DeserializeOwned>(address: &str, path: &str) -> Result<T> {
    let answer = get(address, path)?;
    if answer.status != 200 {
        bail!("{address}{path}: {}", answer.body.trim());
    }
    Ok(serde_json::from_str(&answer.body)?)
}

/// A trie server's `/status`.
pub fn status(address: &str) -> Result<MemberStatus> {
    json(address, "/status")
}

/// A process's `/placement`.
pub fn placement(address: &str) -> Result<Placement> {
    json(address, "/placement")
}

/// What a process is being waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It answers at all.
    Healthy,
    /// It has caught up and serves.
    Ready,
}

/// Waits until the process answers at this stage; an error names what it waits for, and is
/// immediate when the process has ended.
pub fn wait(address: &str, stage: Stage, process: Option<ProcessId>) -> Result<()> {
    let path = match stage {
        Stage::Healthy => "/healthz",
        Stage::Ready => "/readyz",
    };
    let since = Instant::now();
    loop {
        let answer = get(address, path);
        // Looked at first: who answers in its place is somebody else.
        if process.is_some_and(|process| !process.is_alive()) {
            bail!("the process ended while it started");
        }
        let last = match answer {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => answer.body.trim().to_owned(),
            Err(error) => error.to_string(),
        };
        if since.elapsed() > START_MAX {
            bail!("not ready after {} s: {last}", START_MAX.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// Whether the process is ready now.
pub fn is_ready(address: &str) -> Result<bool> {
    Ok(get(address, "/readyz")?.status == 200)
}

/// Waits until a broker that misses a quorum no longer counts `peer` among those that are down, at
/// most `limit`; a broker with quorums everywhere is not waited for, nor one that does not answer.
pub fn wait_reached(broker: &str, peer: &str, limit: Duration) {
    let since = Instant::now();
    while since.elapsed() < limit {
        let misses_it = get(broker, "/readyz").is_ok_and(|answer| {
            answer.status != 200 && answer.body.split(['"', ',', ' ']).any(|word| word == peer)
        });
        if !misses_it {
            return;
        }
        std::thread::sleep(POLL);
    }
}
