//! Sending records: many at once, bounded in number and bytes, each tried again for a while.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use kvcore::notation;
use tokio::sync::Mutex;

use super::input::{Mark, Record};
use crate::{
    client::{Client, End},
    limits::{LOAD_IN_FLIGHT_BYTES_MAX, LOAD_IN_FLIGHT_MAX},
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

/// A connection that is made again when it is lost; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Link {
    address: Arc<str>,
    client: Arc<Mutex<Client>>,
}

impl Link {
    pub(super) async fn connect(address: &str) -> Result<Self> {
        Ok(Self {
            address: address.into(),
            client: Arc::new(Mutex::new(Client::connect(address).await?)),
        })
    }

    /// The connection, a new one when the last was lost.
    pub(super) async fn client(&self) -> Result<Client> {
        let mut client = self.client.lock().await;
        if client.is_closed() {
            *client = Client::connect(&self.address).await?;
        }
        Ok(client.clone())
    }
}

struct Answer {
    order: u64,
    bytes: usize,
    sent: Sent,
}

pub(super) struct Sender {
    links: Vec<Link>,
    retry_for: Duration,
    verb: &'static str,
    in_flight: FuturesUnordered<BoxFuture<'static, Answer>>,
    bytes: usize,
    next: u64,
    /// Ends of records not yet answered, and of those answered out of order.
    ends: BTreeMap<u64, (Mark, bool)>,
    done: Mark,
}

impl Sender {
    pub(super) fn new(links: Vec<Link>, overwrite: bool, retry_for: Duration) -> Self {
        Self {
            links,
            retry_for,
            verb: if overwrite { "PUT " } else { "ADD " },
            in_flight: FuturesUnordered::new(),
            bytes: 0,
            next: 0,
            ends: BTreeMap::new(),
            done: Mark::default(),
        }
    }

    /// Everything before this mark is done: answered, and not failed.
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
        let mut line = notation::print_entry(&record.key, &record.content);
        line.insert_str(0, self.verb);
        let bytes = line.len() + record.text.len();
        let mut sent = Vec::new();
        while self.in_flight.len() >= LOAD_IN_FLIGHT_MAX
            || (self.bytes + bytes > LOAD_IN_FLIGHT_BYTES_MAX && !self.in_flight.is_empty())
        {
            sent.extend(self.next_answer().await);
        }
        let order = self.issue(record.end);
        // Lines of one key keep their order: the broker keeps it within a connection.
        let at = record.key.slot().index() % self.links.len();
        let link = self.links[at].clone();
        let retry_for = self.retry_for;
        self.bytes += bytes;
        let answer = async move {
            let sent = match try_for_a_while(&link, &line, retry_for).await {
                Ok(sent) => sent,
                Err(NotSent { reason, is_refused }) if is_refused => Sent::Refused {
                    number: record.number,
                    reason,
                    text: record.text,
                },
                Err(NotSent { reason, .. }) => Sent::Failed {
                    number: record.number,
                    reason,
                    text: record.text,
                },
            };
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
    pub(super) async fn finish(&mut self) -> Vec<Sent> {
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
        // Where one failed the next load begins: the mark stays before it.
        if !matches!(answer.sent, Sent::Failed { .. }) {
            self.answered(answer.order);
        }
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

/// Why a record is not stored.
struct NotSent {
    reason: String,
    /// It will never be, rather than not now.
    is_refused: bool,
}

/// Sends one record, again and again while the cluster cannot store it or the broker is gone. The
/// same record stored twice is the same record, so an unknown outcome is tried again too.
async fn try_for_a_while(link: &Link, line: &str, limit: Duration) -> Result<Sent, NotSent> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        let reason = match ask(link, line).await {
            Ok(End::Ok) => return Ok(Sent::Stored),
            Ok(End::Exists) => return Ok(Sent::Existed),
            Ok(End::NotDone(why) | End::Unknown(why)) => why,
            Ok(End::Syntax(reason)) => {
                return Err(NotSent {
                    reason,
                    is_refused: true,
                });
            }
            Ok(other) => format!("the broker answered {other:?}"),
            Err(error) => format!("{error:#}"),
        };
        if began.elapsed() >= limit {
            return Err(NotSent {
                reason,
                is_refused: false,
            });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

async fn ask(link: &Link, line: &str) -> Result<End> {
    Ok(link.client().await?.ask(line).await?.end)
}
