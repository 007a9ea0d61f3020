//! Sending records: many at once, bounded in number and bytes, each tried again for a while.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use kvcore::notation;

use super::input::{Mark, Record};
use crate::{
    client::{Client, End},
    limits::{LOAD_IN_FLIGHT_BYTES_MAX, LOAD_IN_FLIGHT_MAX, LOAD_RETRY_MAX},
};

/// What became of one record.
#[derive(Debug, PartialEq)]
pub(super) enum Sent {
    Stored,
    Existed,
    /// The broker will never take it.
    Refused {
        number: u64,
        reason: String,
        text: Vec<u8>,
    },
    /// The cluster could not store it in time.
    Failed {
        number: u64,
        reason: String,
        text: Vec<u8>,
    },
}

struct Answer {
    order: u64,
    bytes: usize,
    sent: Sent,
}

pub(super) struct Sender {
    clients: Vec<Client>,
    verb: &'static str,
    in_flight: FuturesUnordered<BoxFuture<'static, Answer>>,
    bytes: usize,
    next: u64,
    /// Ends of records not yet answered, and of those answered out of order.
    ends: BTreeMap<u64, (Mark, bool)>,
    done: Mark,
}

impl Sender {
    pub(super) fn new(clients: Vec<Client>, overwrite: bool) -> Self {
        Self {
            clients,
            verb: if overwrite { "PUT" } else { "ADD" },
            in_flight: FuturesUnordered::new(),
            bytes: 0,
            next: 0,
            ends: BTreeMap::new(),
            done: Mark::default(),
        }
    }

    /// Everything before this mark is answered.
    pub(super) fn done_up_to(&self) -> Mark {
        self.done
    }

    /// Notes a line that needs no sending.
    pub(super) fn skip(&mut self, end: Mark) {
        let order = self.issue(end);
        self.answered(order);
    }

    /// Sends a record once there is room; gives what became of others meanwhile.
    pub(super) async fn send(&mut self, record: Record) -> Vec<Sent> {
        let line = format!(
            "{} {}",
            self.verb,
            notation::print_entry(&record.key, &record.content)
        );
        let bytes = line.len() + record.text.len();
        let mut sent = Vec::new();
        while self.in_flight.len() >= LOAD_IN_FLIGHT_MAX
            || (self.bytes + bytes > LOAD_IN_FLIGHT_BYTES_MAX && !self.in_flight.is_empty())
        {
            sent.extend(self.next_answer().await);
        }
        let order = self.issue(record.end);
        let at = usize::try_from(order).unwrap_or(0) % self.clients.len();
        let client = self.clients[at].clone();
        self.bytes += bytes;
        let answer = async move {
            let sent = try_for_a_while(&client, line, record.number, record.text).await;
            Answer { order, bytes, sent }
        };
        self.in_flight.push(answer.boxed());
        // Whatever is ready is taken without waiting.
        while let Some(Some(answer)) = self.in_flight.next().now_or_never() {
            sent.push(self.account(answer));
        }
        sent
    }

    /// Waits for all that is on its way.
    pub(super) async fn finish(mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(answer) = self.next_answer().await {
            sent.push(answer);
        }
        sent
    }

    async fn next_answer(&mut self) -> Option<Sent> {
        let answer = self.in_flight.next().await?;
        Some(self.account(answer))
    }

    fn account(&mut self, answer: Answer) -> Sent {
        self.bytes -= answer.bytes;
        self.answered(answer.order);
        answer.sent
    }

    fn issue(&mut self, end: Mark) -> u64 {
        self.next += 1;
        self.ends.insert(self.next, (end, false));
        self.next
    }

    fn answered(&mut self, order: u64) {
        if let Some(entry) = self.ends.get_mut(&order) {
            entry.1 = true;
        }
        while let Some(first) = self.ends.first_entry() {
            let (end, is_answered) = *first.get();
            if !is_answered {
                return;
            }
            self.done = end;
            first.remove();
        }
    }
}

/// Sends one record, again and again while the cluster cannot store it. The same record stored
/// twice is the same record, so an unknown outcome is tried again too.
async fn try_for_a_while(client: &Client, line: String, number: u64, text: Vec<u8>) -> Sent {
    let began = Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        let reason = match client.ask(line.clone()).await {
            Ok(response) => match response.end {
                End::Ok => return Sent::Stored,
                End::Exists => return Sent::Existed,
                End::NotDone(why) | End::Unknown(why) => why,
                End::Syntax(reason) => {
                    return Sent::Refused {
                        number,
                        reason,
                        text,
                    };
                }
                other => format!("the broker answered {other:?}"),
            },
            // The connection is gone, and this load does not make another.
            Err(error) => {
                return Sent::Failed {
                    number,
                    reason: error.to_string(),
                    text,
                };
            }
        };
        if began.elapsed() > LOAD_RETRY_MAX {
            return Sent::Failed {
                number,
                reason,
                text,
            };
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}
