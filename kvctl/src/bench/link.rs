//! A connection of the load, to one of several brokers: made anew where it was lost, at a bounded
//! rate and not for ever.
//!
//! Operations wait for it meanwhile. A load that went on without one would count as many unknown
//! outcomes as the machine can make up.

use std::sync::Arc;

use anyhow::Result;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use crate::{
    client::{Client, Response},
    limits::{ANSWER_MAX, BENCH_RECONNECT, BENCH_WITHOUT_BROKER_MAX},
};

/// One connection. It prefers one broker and takes another while that one does not answer.
#[derive(Debug)]
pub(super) struct Link {
    brokers: Arc<[String]>,
    prefers: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    client: Option<Client>,
    /// Which connection it is: what an older one tells is no news.
    number: u64,
    /// Why there will be none any more.
    given_up: Option<String>,
}

/// A connection that can be asked, and which one it is.
#[derive(Debug)]
pub(super) struct Held {
    client: Client,
    number: u64,
}

impl Link {
    /// Connects for the first time: a broker that cannot be reached at the start is an error.
    pub(super) async fn connect(brokers: Arc<[String]>, number: usize) -> Result<Self> {
        let prefers = number % brokers.len();
        let state = State {
            client: Some(Client::connect(&brokers[prefers]).await?),
            number: 0,
            given_up: None,
        };
        Ok(Self {
            brokers,
            prefers,
            state: Mutex::new(state),
        })
    }

    /// The connection, once there is one; `None` where there will be none any more.
    pub(super) async fn hold(&self) -> Option<Held> {
        // Locked while it connects: the others wait for the same connection.
        let mut state = self.state.lock().await;
        if state.given_up.is_some() {
            return None;
        }
        if state.client.is_none() {
            match self.reconnect().await {
                Ok(client) => {
                    state.client = Some(client);
                    state.number += 1;
                }
                Err(why) => state.given_up = Some(why),
            }
        }
        let number = state.number;
        state.client.clone().map(|client| Held { client, number })
    }

    /// Sends one command; `None` where no answer came. The connection is given up then, since
    /// replies come in the order of commands.
    pub(super) async fn ask(&self, held: &Held, line: String) -> Option<Response> {
        if let Ok(Ok(response)) = timeout(ANSWER_MAX, held.client.ask(line)).await {
            return Some(response);
        }
        let mut state = self.state.lock().await;
        if state.number == held.number {
            state.client = None;
        }
        None
    }

    /// Why the load cannot go on, if so.
    pub(super) async fn given_up(&self) -> Option<String> {
        self.state.lock().await.given_up.clone()
    }

    async fn reconnect(&self) -> Result<Client, String> {
        let since = Instant::now();
        let mut at = self.prefers;
        loop {
            let broker = &self.brokers[at % self.brokers.len()];
            at += 1;
            let left = BENCH_WITHOUT_BROKER_MAX.saturating_sub(since.elapsed());
            let last = match timeout(left, Client::connect(broker)).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => format!("no broker at {broker}"),
            };
            if left <= BENCH_RECONNECT {
                return Err(format!(
                    "given up after {} s without a broker: {last}",
                    BENCH_WITHOUT_BROKER_MAX.as_secs()
                ));
            }
            sleep(BENCH_RECONNECT).await;
        }
    }
}
