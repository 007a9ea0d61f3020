//! What clients ask, and holding each answer against what was promised.

use broker::{
    limits::{HEDGE_MS, SCAN_HEDGE_MS},
    machine::{
        Outcome,
        read::{Demand, Extent, Read, ReadAnswer},
        scan::{Scan, ScanItem, ScanPage, ScanPlan},
        store::Content,
        write::Write,
    },
};
use bytes::Bytes;
use kvcore::{
    record::{Format, ValueMeta},
    version::{UnixMillis, Version},
};

use super::{CHUNKED_BYTES, Ended, MS, Machine, Operation, World, key_of, number_of};
use crate::{
    checker::{Checker, Kind, payload},
    plan::Ask,
    rare::Rare,
};

impl World<'_> {
    /// A client asks a broker.
    pub(in crate::world) fn ask(&mut self, front: usize, ask: Ask) {
        self.next_operation += 1;
        let number = self.next_operation;
        let now = self.wall(self.end_of(front));
        let mut expires_at = None;
        match ask {
            Ask::Put {
                key, expires_ms, ..
            } => {
                expires_at = expires_ms.map(|ms| now.plus(ms));
                self.checker.write_begins(number, key, expires_at.is_some());
            }
            Ask::Delete(key) => self.checker.delete_begins(key),
            Ask::Get(_) | Ask::GetAvailable(_) | Ask::Scan => {}
        }
        let floors = match ask {
            Ask::Scan => (0..self.plan.shape.keys).collect(),
            ask => vec![key_asked(ask)],
        };
        let floors = floors.into_iter().map(|key| self.checker.floor(key));
        let operation = Operation {
            number,
            ask,
            began_us: self.now_us,
            began_at: now,
            floors: floors.collect(),
            expires_at,
        };
        self.begin(front, operation);
    }

    fn begin(&mut self, front: usize, operation: Operation) {
        let deadline_ms = self.left_ms(&operation);
        let read = |key, demand, extent| {
            Machine::Read(Read::new(
                key_of(key),
                demand,
                extent,
                HEDGE_MS,
                deadline_ms,
            ))
        };
        let machine = match operation.ask {
            Ask::Put { key, .. } => {
                let copies = usize::from(self.plan.shape.copies);
                // As in the broker's shell: where two writes need not meet, one looks first (R10).
                if 2 * self.plan.shape.write_quorum() > copies {
                    self.write(&operation, None)
                } else {
                    read(key, Demand::Quorum, Extent::Presence)
                }
            }
            Ask::Delete(key) => read(key, Demand::Quorum, Extent::Presence),
            Ask::Get(key) => read(key, Demand::Quorum, Extent::Value),
            Ask::GetAvailable(key) => read(key, Demand::Available, Extent::Value),
            Ask::Scan => {
                let plan = ScanPlan {
                    prefix: Bytes::from_static(b"key-"),
                    after: None,
                    limit: 100,
                };
                Machine::Scan(Scan::new(plan, Demand::Quorum, SCAN_HEDGE_MS, deadline_ms))
            }
        };
        self.run_machine(front, machine, operation);
    }

    fn left_ms(&self, operation: &Operation) -> u64 {
        let elapsed_ms = (self.now_us - operation.began_us).div_ceil(MS);
        self.plan.shape.deadline_ms.saturating_sub(elapsed_ms)
    }

    fn write(&self, operation: &Operation, above: Option<Version>) -> Machine {
        let content = match operation.ask {
            Ask::Put { bytes, .. } => {
                let bytes = payload(operation.number, bytes);
                let meta = ValueMeta {
                    format: Format::Raw,
                    flags: 0,
                    expires_at: operation.expires_at,
                    length: u32::try_from(bytes.len()).expect("values are limited"),
                };
                Content::Value(meta, bytes)
            }
            _ => Content::Tombstone,
        };
        let key = key_of(key_asked(operation.ask));
        Machine::Write(Write::new(key, content, above, self.left_ms(operation)))
    }

    /// A machine ended: the operation goes on, or is over.
    pub(super) fn machine_ended(&mut self, front: usize, operation: Operation, ended: Ended) {
        match ended {
            Ended::Read(Outcome::Done(answer)) => {
                if let Some(next) = self.on_read(front, &operation, &answer) {
                    return self.run_machine(front, next, operation);
                }
            }
            Ended::Read(Outcome::NotDone(_) | Outcome::Unknown(_))
            | Ended::Scanned(Outcome::NotDone(_) | Outcome::Unknown(_)) => {
                self.note(Rare::ReadNotDone);
                self.reads_failed += 1;
                if let Ask::Put { .. } = operation.ask {
                    let held = self.checker.write_not_done(operation.number);
                    self.hold(held);
                }
            }
            Ended::Wrote(outcome) => self.on_wrote(&operation, &outcome),
            Ended::Scanned(Outcome::Done(page)) => self.on_page(front, &operation, &page),
        }
        self.over(&operation);
    }

    fn over(&mut self, operation: &Operation) {
        self.operations += 1;
        let took_us = self.now_us - operation.began_us;
        if took_us > (self.plan.shape.deadline_ms + 1) * MS {
            let took_ms = took_us / MS;
            let what = format!("{:?} took {took_ms} ms", operation.ask);
            self.hold(Err((Kind::Deadline, what)));
        }
    }

    fn on_wrote(&mut self, operation: &Operation, outcome: &Outcome<Version>) {
        let key = key_asked(operation.ask);
        let put = matches!(operation.ask, Ask::Put { .. }).then_some(operation.number);
        let held = match outcome {
            Outcome::Done(version) => {
                self.checker
                    .write_done(put, key, *version, operation.floors[0])
            }
            Outcome::NotDone(_) => {
                self.note(Rare::WriteNotDone);
                put.map_or(Ok(()), |number| self.checker.write_not_done(number))
            }
            Outcome::Unknown(_) => {
                self.note(Rare::UnknownWrite);
                Ok(())
            }
        };
        if let Ask::Put { bytes, .. } = operation.ask
            && bytes as usize > CHUNKED_BYTES
            && matches!(outcome, Outcome::Done(_))
        {
            self.note(Rare::ChunkedWrite);
        }
        self.hold(held);
    }

    /// Takes the answer of a read; gives the write that follows it, if one does.
    fn on_read(
        &mut self,
        front: usize,
        operation: &Operation,
        answer: &ReadAnswer,
    ) -> Option<Machine> {
        let key = key_asked(operation.ask);
        match operation.ask {
            Ask::Put { .. } => return Some(self.write(operation, answer.version)),
            Ask::Delete(_) => {
                let held = Checker::not_below(key, answer.version, operation.floors[0]);
                self.hold(held);
                answer.value.as_ref()?;
                return Some(self.write(operation, answer.version));
            }
            Ask::Get(_) | Ask::GetAvailable(_) | Ask::Scan => {}
        }
        let value = answer.value.as_ref().map(|(_, bytes)| bytes.as_ref());
        let held = if answer.partial.is_some() {
            self.note(Rare::PartialRead);
            self.checker.content(key, answer.version, value)
        } else {
            self.checker
                .read_done(key, answer.version, value, operation.floors[0])
        };
        self.hold(held);
        match &answer.value {
            Some((meta, bytes)) => {
                self.hold_time(front, operation, key, meta);
                if bytes.len() > CHUNKED_BYTES {
                    self.note(Rare::ChunkedRead);
                }
            }
            None if answer.version.is_some_and(Version::is_expiry) => self.note(Rare::Expired),
            None if answer.version.is_some() => self.note(Rare::Tombstone),
            None => {}
        }
        None
    }

    fn hold_time(&mut self, front: usize, operation: &Operation, key: u16, meta: &ValueMeta) {
        // The clock may have been set back meanwhile, however far.
        let end = self.end_of(front);
        let jumped = self.jumped_us[end] >= operation.began_us;
        let lowest = if jumped {
            UnixMillis(0)
        } else {
            operation.began_at
        };
        let held = Checker::not_expired(key, meta.expires_at, lowest);
        self.hold(held);
    }

    fn on_page(&mut self, front: usize, operation: &Operation, page: &ScanPage) {
        self.note(Rare::ScanPage);
        let mut answered = Vec::new();
        for item in &page.items {
            let (ScanItem::Value(key, ..) | ScanItem::Ask(key)) = item;
            let Some(number) = number_of(key).filter(|&number| number < self.plan.shape.keys)
            else {
                let what = format!("a page has {key}, which nobody wrote");
                return self.hold(Err((Kind::Corrupt, what)));
            };
            answered.push(number);
            match item {
                ScanItem::Value(_, version, meta, bytes) => {
                    let floor = operation.floors[usize::from(number)];
                    let held = self
                        .checker
                        .read_done(number, Some(*version), Some(bytes), floor);
                    self.hold(held);
                    self.hold_time(front, operation, number, meta);
                }
                ScanItem::Ask(_) => {
                    self.note(Rare::ScanAsk);
                    self.ask(front, Ask::Get(number));
                }
            }
        }
        for number in 0..self.plan.shape.keys {
            let reaches = page.next_after.as_ref();
            let in_page = reaches.is_none_or(|last| key_of(number) <= *last);
            if in_page && !answered.contains(&number) {
                let floor = operation.floors[usize::from(number)];
                let held = self.checker.left_out(number, floor);
                self.hold(held);
            }
        }
    }
}

/// The key of an operation on one key; of a scan the first.
fn key_asked(ask: Ask) -> u16 {
    match ask {
        Ask::Put { key, .. } | Ask::Delete(key) | Ask::Get(key) | Ask::GetAvailable(key) => key,
        Ask::Scan => 0,
    }
}
