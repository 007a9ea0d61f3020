//! Scanning: a page of keys with all their values.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use kvcore::{key::Key, limits::CHUNK_BYTES, notation::print_key, record::ValueMeta};
use tokio::time::{Instant, timeout_at};

use super::{Broker, drive::Limits, room::Patience};
use crate::{
    limits::{SCAN_BYTES_MAX, SCAN_HEDGE_MS, SCAN_READS_MAX, SCANS_MAX},
    machine::{
        Failure, Outcome,
        outcome::Absent,
        read::{Demand, Extent, ReadAnswer},
        scan::{Scan, ScanItem, ScanPage, ScanPlan},
    },
    metrics::Kind,
};

/// A page of a scan with all its values.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedPage {
    /// Keys and stored values in order.
    pub entries: Vec<(Key, ValueMeta, Bytes)>,
    /// Where the next page begins; `None` at the end.
    pub next_after: Option<Key>,
    /// Slots for which fewer members than a read quorum answered.
    pub partial_slots: usize,
    /// Whether a key that was read by itself was answered by fewer members than a read quorum.
    pub is_partial: bool,
    /// Members that could not be asked.
    pub absent: Vec<Absent>,
}

/// The values of a page, as far as they came.
struct Resolving {
    page: ResolvedPage,
    /// Bytes that still fit.
    room: usize,
    /// The last key that was read, whether or not it has a value.
    last: Option<Key>,
    /// Whether a value of the page holds room that others may wait for.
    holds_room: bool,
}

impl Broker {
    /// One page of keys in order. Keys whose members disagree are read by themselves. The page
    /// ends early once its values have [`SCAN_BYTES_MAX`] bytes, or when its time is over, or
    /// when there is no room for another large value; but never before its first key.
    pub async fn scan(&self, plan: ScanPlan, demand: Demand) -> Outcome<ResolvedPage> {
        let deadline = self.deadline();
        let turns = Arc::clone(&self.0.scans);
        let Ok(Ok(_turn)) = timeout_at(deadline, turns.acquire_owned()).await else {
            let why = format!("{SCANS_MAX} scans are under way: no turn within the deadline");
            return Outcome::NotDone(Failure::Refused(why));
        };
        let patience = Patience::Wait;
        let limits = Limits { deadline, patience };
        let scan = |left_ms| Scan::new(plan, demand, SCAN_HEDGE_MS, left_ms);
        match self.run(Kind::Scan, limits, scan).await.0 {
            Outcome::Done(page) => self.resolve(page, demand, deadline).await,
            Outcome::NotDone(failure) | Outcome::Unknown(failure) => Outcome::NotDone(failure),
        }
    }

    async fn resolve(
        &self,
        page: ScanPage,
        demand: Demand,
        deadline: Instant,
    ) -> Outcome<ResolvedPage> {
        let count = page.items.len();
        let mut resolving = Resolving::new(page.next_after, page.partial_slots);
        let broker = self.clone();
        let reads = page.items.into_iter().enumerate().map(move |(at, item)| {
            let broker = broker.clone();
            // While these run a value before them may already hold room.
            let patience = if at == 0 {
                Patience::Wait
            } else {
                Patience::Try
            };
            let limits = Limits { deadline, patience };
            async move { broker.read_item(item, demand, limits).await }
        });
        let mut reads = stream::iter(reads).buffered(SCAN_READS_MAX).enumerate();
        while let Some((at, (key, mut outcome))) = reads.next().await {
            if is_still_to_come(&outcome) {
                let patience = resolving.patience();
                let limits = Limits { deadline, patience };
                let extent = Extent::Value;
                let read = self.read(Kind::Get, key.clone(), demand, extent, limits);
                outcome = read.await;
            }
            match outcome {
                Outcome::Done(answer) => resolving.take(key, answer),
                Outcome::NotDone(failure) | Outcome::Unknown(failure) => {
                    // A read had all the time there was.
                    let is_over =
                        Instant::now() >= deadline || matches!(failure, Failure::Deadline { .. });
                    if resolving.last.is_some() && (is_over || is_full(&failure)) {
                        resolving.end_early();
                        break;
                    }
                    return Outcome::NotDone(if is_over {
                        self.nothing_in_time(&key, &failure)
                    } else {
                        failure
                    });
                }
            }
            if resolving.room == 0 && at + 1 < count {
                resolving.end_early();
                break;
            }
        }
        let mut page = resolving.page;
        if page.is_partial {
            page.absent = self.absent();
        }
        Outcome::Done(page)
    }

    /// Reads one key of the page, but for the bytes of a large value: those come one after the
    /// other, so that few values at once take room.
    async fn read_item(
        &self,
        item: ScanItem,
        demand: Demand,
        limits: Limits,
    ) -> (Key, Outcome<ReadAnswer>) {
        match item {
            ScanItem::Value(key, version, meta, bytes) => {
                let answer = ReadAnswer {
                    version: Some(version),
                    value: Some((meta, bytes)),
                    partial: None,
                };
                (key, Outcome::Done(answer))
            }
            ScanItem::Ask(key) => {
                let extent = Extent::Presence;
                let read = self.read(Kind::Get, key.clone(), demand, extent, limits);
                let outcome = read.await;
                (key, outcome)
            }
        }
    }

    fn nothing_in_time(&self, key: &Key, failure: &Failure) -> Failure {
        Failure::Refused(format!(
            "the page's first key, {}, was not read within the command's {} ms: {failure}",
            print_key(key),
            self.0.options.operation.as_millis()
        ))
    }
}

/// Whether another time it may go well.
fn is_full(failure: &Failure) -> bool {
    matches!(failure, Failure::NoRoom { .. } | Failure::NoTurn { .. })
}

/// Whether there is a value whose bytes did not come along.
fn is_still_to_come(outcome: &Outcome<ReadAnswer>) -> bool {
    let Outcome::Done(ReadAnswer {
        value: Some((meta, bytes)),
        ..
    }) = outcome
    else {
        return false;
    };
    bytes.len() < meta.length as usize
}

impl Resolving {
    fn new(next_after: Option<Key>, partial_slots: usize) -> Self {
        Self {
            page: ResolvedPage {
                entries: Vec::new(),
                next_after,
                partial_slots,
                is_partial: partial_slots > 0,
                absent: Vec::new(),
            },
            room: SCAN_BYTES_MAX,
            last: None,
            holds_room: false,
        }
    }

    /// Who holds room does not wait for more: two scans could wait for each other.
    fn patience(&self) -> Patience {
        if self.holds_room {
            Patience::Try
        } else {
            Patience::Wait
        }
    }

    fn take(&mut self, key: Key, answer: ReadAnswer) {
        self.page.is_partial |= answer.partial.is_some();
        self.last = Some(key.clone());
        if let Some((meta, bytes)) = answer.value {
            self.room = self.room.saturating_sub(bytes.len());
            self.holds_room |= bytes.len() > CHUNK_BYTES;
            self.page.entries.push((key, meta, bytes));
        }
    }

    fn end_early(&mut self) {
        self.page.next_after = self.last.take();
    }
}
