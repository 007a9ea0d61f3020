//! A connection to one of several brokers, made again when it is lost.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use crate::{
    client::{Client, Response},
    limits::{ANSWER_MAX, RECONNECT_PAUSE},
};

/// One connection. It prefers one broker and takes another while that one does not answer.
#[derive(Debug)]
pub(super) struct Link {
    brokers: Arc<[String]>,
    prefers: usize,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    /// `None` after it was lost.
    client: Option<Client>,
    /// Counts connections, so that one that was lost is given up once.
    number: u64,
}

/// A connection that can be asked, and which one it is.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) client: Client,
    number: u64,
}

impl Link {
    /// Connects for the first time: a broker that cannot be reached at the start is an error.
    pub(super) async fn connect(brokers: Arc<[String]>, number: usize) -> Result<Self> {
        let prefers = number % brokers.len();
        let client = Client::connect(&brokers[prefers]).await?;
        Ok(Self {
            brokers,
            prefers,
            current: Mutex::new(Current {
                client: Some(client),
                number: 0,
            }),
        })
    }

    /// A connection that was not lost yet as far as is known, made anew if need be until `until`.
    pub(super) async fn hold(&self, until: Instant) -> Option<Held> {
        let mut current = self.current.lock().await;
        for attempt in 0.. {
            if let Some(client) = current.client.clone() {
                let number = current.number;
                return Some(Held { client, number });
            }
            if attempt > 0 {
                if Instant::now() + RECONNECT_PAUSE > until {
                    return None;
                }
                sleep(RECONNECT_PAUSE).await;
            }
            let broker = &self.brokers[(self.prefers + attempt) % self.brokers.len()];
            let limit = until.saturating_duration_since(Instant::now());
            let limit = limit.max(Duration::from_millis(1));
            if let Ok(Ok(client)) = timeout(limit, Client::connect(broker)).await {
                current.client = Some(client);
                current.number += 1;
            }
        }
        None
    }

    /// Asks; `None` where no answer came. The connection is given up then, since replies come in
    /// the order of commands.
    pub(super) async fn ask(&self, held: &Held, line: String) -> Option<Response> {
        if let Ok(Ok(response)) = timeout(ANSWER_MAX, held.client.ask(line)).await {
            return Some(response);
        }
        let mut current = self.current.lock().await;
        if current.number == held.number {
            current.client = None;
        }
        None
    }
}
