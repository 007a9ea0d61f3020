//! A connection of the load: made anew where it was lost, at a bounded rate and not for ever.
//!
//! Operations wait for it meanwhile. A load that went on without one would count as many unknown
//! outcomes as the machine can make up.

use std::time::Duration;

use anyhow::Result;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use crate::{
    client::{Client, Response},
    limits::{BENCH_RECONNECT, BENCH_WITHOUT_BROKER_MAX},
};

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    broker: String,
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

/// What came of an operation.
#[derive(Debug)]
pub(super) enum Sent {
    /// The broker's answer.
    Answered(Response),
    /// The connection was lost before.
    Lost,
    /// It was not sent: there is no broker.
    NoBroker,
}

impl Link {
    /// Connects for the first time.
    pub(super) async fn connect(broker: &str) -> Result<Self> {
        let state = State {
            client: Some(Client::connect(broker).await?),
            number: 0,
            given_up: None,
        };
        Ok(Self {
            broker: broker.to_owned(),
            state: Mutex::new(state),
        })
    }

    /// Sends one command, once there is a connection.
    pub(super) async fn ask(&self, line: Vec<u8>) -> Sent {
        let Some((client, number)) = self.client().await else {
            return Sent::NoBroker;
        };
        if let Ok(response) = client.ask(line).await {
            return Sent::Answered(response);
        }
        let mut state = self.state.lock().await;
        if state.number == number {
            state.client = None;
        }
        Sent::Lost
    }

    /// Why the load cannot go on, if so.
    pub(super) async fn given_up(&self) -> Option<String> {
        self.state.lock().await.given_up.clone()
    }

    async fn client(&self) -> Option<(Client, u64)> {
        // Held while it connects: the others wait for the same connection.
        let mut state = self.state.lock().await;
        if state.given_up.is_some() {
            return None;
        }
        if let Some(client) = &state.client {
            return Some((client.clone(), state.number));
        }
        match self.reconnect().await {
            Ok(client) => {
                state.client = Some(client.clone());
                state.number += 1;
                Some((client, state.number))
            }
            Err(why) => {
                state.given_up = Some(why);
                None
            }
        }
    }

    async fn reconnect(&self) -> Result<Client, String> {
        let since = Instant::now();
        loop {
            let left = BENCH_WITHOUT_BROKER_MAX.saturating_sub(since.elapsed());
            let last = match timeout(left, Client::connect(&self.broker)).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => format!("no broker at {}", self.broker),
            };
            if left <= BENCH_RECONNECT {
                let waited: Duration = BENCH_WITHOUT_BROKER_MAX;
                return Err(format!(
                    "given up after {} s without a broker: {last}",
                    waited.as_secs()
                ));
            }
            sleep(BENCH_RECONNECT).await;
        }
    }
}
