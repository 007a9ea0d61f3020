//! Scanning: a page of keys with all their values.

use bytes::Bytes;
use kvcore::{key::Key, record::ValueMeta};

use super::Broker;
use crate::{
    limits::SCAN_BYTES_MAX,
    machine::{
        Outcome,
        outcome::Absent,
        read::Demand,
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

impl Broker {
    /// One page of keys in order. Keys whose members disagree are read one by one. The page ends
    /// early once its values have [`SCAN_BYTES_MAX`] bytes.
    pub async fn scan(&self, plan: ScanPlan, demand: Demand) -> Outcome<ResolvedPage> {
        let scan = Scan::new(plan, demand, self.operation_ms());
        match self.run(Kind::Scan, scan).await {
            Outcome::Done(page) => self.resolve(page, demand).await,
            Outcome::NotDone(failure) | Outcome::Unknown(failure) => Outcome::NotDone(failure),
        }
    }

    async fn resolve(&self, page: ScanPage, demand: Demand) -> Outcome<ResolvedPage> {
        let mut resolved = ResolvedPage {
            entries: Vec::with_capacity(page.items.len()),
            next_after: page.next_after,
            partial_slots: page.partial_slots,
            is_partial: page.partial_slots > 0,
            absent: Vec::new(),
        };
        let mut room = SCAN_BYTES_MAX;
        let mut items = page.items.into_iter().peekable();
        while let Some(item) = items.next() {
            let entry = match item {
                ScanItem::Value(key, _, meta, bytes) => Some((key, meta, bytes)),
                ScanItem::Ask(key) => match self.get(key.clone(), demand).await {
                    Outcome::Done(answer) => {
                        resolved.is_partial |= answer.partial.is_some();
                        answer.value.map(|(meta, bytes)| (key, meta, bytes))
                    }
                    Outcome::NotDone(failure) | Outcome::Unknown(failure) => {
                        return Outcome::NotDone(failure);
                    }
                },
            };
            let Some(entry) = entry else { continue };
            room = room.saturating_sub(entry.2.len());
            let last = entry.0.clone();
            resolved.entries.push(entry);
            if room == 0 && items.peek().is_some() {
                resolved.next_after = Some(last);
                break;
            }
        }
        if resolved.is_partial {
            resolved.absent = self.absent();
        }
        Outcome::Done(resolved)
    }
}
