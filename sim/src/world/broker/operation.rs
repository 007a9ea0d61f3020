//! What clients ask, and holding each answer against what was promised.

use broker::{
    limits::{HEDGE_MS, SCAN_HEDGE_MS},
    machine::{
        Outcome,
        read::{Demand, Extent, Read, ReadAnswer},
        scan::{Scan, ScanPlan},
        store,
        write::Write,
    },
};
use bytes::Bytes;
use kvcore::{
    key::Key,
    record::{Format, ValueMeta},
    version::{UnixMillis, Version},
};

use super::{CHUNKED_BYTES, End, Ended, MS, Machine, Operation, World, key_of};
use crate::{
    checker::{Checker, Content, Kind, Wanted, payload},
    plan::Ask,
    rare::Rare,
};

impl World<'_> {
    /// A client asks a broker.
    pub(in crate::world) fn ask(&mut self, broker: usize, ask: Ask) {
        self.ask_behind(broker, ask, None);
    }

    /// A client asks a broker; a scan goes on behind a key.
    pub(super) fn ask_behind(&mut self, broker: usize, ask: Ask, after: Option<Key>) {
        self.next_operation += 1;
        let number = self.next_operation;
        let wanted = self.wanted(broker, number, ask);
        if let Some(wanted) = wanted {
            self.checker.begins(number, key_asked(ask), wanted);
        }
        let floors = match ask {
            Ask::Scan { .. } => (0..self.plan.shape.keys).collect(),
            ask => vec![key_asked(ask)],
        };
        let floors = floors.into_iter().map(|key| self.checker.floor(key));
        let operation = Operation {
            number,
            ask,
            after,
            began_us: self.now_us,
            floors: floors.collect(),
            wanted,
        };
        self.begin(broker, operation);
    }

    /// What is to be stored, where something is.
    fn wanted(&self, broker: usize, number: u64, ask: Ask) -> Option<Wanted> {
        let Ask::Put {
            bytes, expires_ms, ..
        } = ask
        else {
            return matches!(ask, Ask::Delete(_)).then_some(Wanted::Tombstone);
        };
        let now = self.wall(self.end_of(broker));
        let length = payload(number, bytes).len();
        Some(Wanted::Value(ValueMeta {
            format: Format::Raw,
            // Such as no other write has.
            flags: u32::try_from(number).unwrap_or(u32::MAX),
            expires_at: expires_ms.map(|ms| now.plus(ms)),
            length: u32::try_from(length).expect("values are limited"),
        }))
    }

    fn begin(&mut self, broker: usize, operation: Operation) {
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
            Ask::Scan { limit } => {
                let plan = ScanPlan {
                    prefix: Bytes::from_static(b"key-"),
                    after: operation.after.clone(),
                    limit,
                };
                Machine::Scan(Scan::new(plan, Demand::Quorum, SCAN_HEDGE_MS, deadline_ms))
            }
        };
        self.run_machine(broker, machine, operation);
    }

    fn left_ms(&self, operation: &Operation) -> u64 {
        let elapsed_ms = (self.now_us - operation.began_us).div_ceil(MS);
        self.plan.shape.deadline_ms.saturating_sub(elapsed_ms)
    }

    fn write(&self, operation: &Operation, above: Option<Version>) -> Machine {
        let content = match operation.wanted {
            Some(Wanted::Value(meta)) => {
                store::Content::Value(meta, payload(operation.number, meta.length))
            }
            _ => store::Content::Tombstone,
        };
        let key = key_of(key_asked(operation.ask));
        Machine::Write(Write::new(key, content, above, self.left_ms(operation)))
    }

    /// A machine ended: the operation goes on, or is over.
    pub(super) fn machine_ended(&mut self, broker: usize, end: End) {
        let End {
            operation,
            ended,
            lowest,
        } = end;
        match ended {
            Ended::Read(Outcome::Done(answer)) => {
                if let Some(next) = self.on_read(broker, &operation, &answer, lowest) {
                    return self.run_machine(broker, next, operation);
                }
            }
            Ended::Read(Outcome::NotDone(_) | Outcome::Unknown(_))
            | Ended::Scanned(Outcome::NotDone(_) | Outcome::Unknown(_)) => {
                self.note(Rare::ReadNotDone);
                self.failed += 1;
                // The read before a write or a delete: nothing was sent yet.
                if operation.wanted.is_some() {
                    let held = self.checker.not_done(operation.number);
                    self.hold(held);
                }
            }
            Ended::Wrote(outcome) => self.on_wrote(&operation, &outcome),
            Ended::Scanned(Outcome::Done(page)) => self.on_page(broker, &operation, &page, lowest),
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
        let held = match outcome {
            Outcome::Done(version) => {
                self.checker
                    .done(operation.number, *version, operation.floors[0])
            }
            Outcome::NotDone(_) => {
                self.note(Rare::WriteNotDone);
                self.failed += 1;
                self.checker.not_done(operation.number)
            }
            Outcome::Unknown(_) => {
                self.note(Rare::UnknownWrite);
                self.failed += 1;
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
        broker: usize,
        operation: &Operation,
        answer: &ReadAnswer,
        lowest: UnixMillis,
    ) -> Option<Machine> {
        let key = key_asked(operation.ask);
        self.hold_answer(broker, operation, answer);
        if let Some((meta, bytes)) = &answer.value {
            let held = Checker::not_expired(key, meta.expires_at, lowest);
            self.hold(held);
            if bytes.len() > CHUNKED_BYTES {
                self.note(Rare::ChunkedRead);
            }
        }
        match operation.ask {
            Ask::Put { .. } => Some(self.write(operation, answer.version)),
            Ask::Delete(_) => {
                answer.value.as_ref()?;
                Some(self.write(operation, answer.version))
            }
            Ask::Get(_) | Ask::GetAvailable(_) | Ask::Scan { .. } => None,
        }
    }

    /// Holds the answer of a read against what was asked for, and what was known when it began.
    fn hold_answer(&mut self, broker: usize, operation: &Operation, answer: &ReadAnswer) {
        let key = key_asked(operation.ask);
        let content = match &answer.value {
            None => Content::Tombstone,
            Some((meta, bytes)) if bytes.is_empty() && operation.wanted.is_some() => {
                Content::Present(meta)
            }
            Some((meta, bytes)) => Content::Value(meta, bytes),
        };
        if let (Some(version), Content::Tombstone) = (answer.version, content) {
            self.note(if version.is_expiry() {
                Rare::Expired
            } else {
                Rare::Tombstone
            });
            if version.is_expiry() {
                // A broker that reaches nobody to spread it to may be the first to say so.
                let now = self.wall(self.end_of(broker));
                let held = self.checker.expired(key, version, Some(now));
                self.hold(held);
            }
        }
        let said = answer.version.map(|version| (version, content));
        let held = if answer.partial.is_some() {
            self.note(Rare::PartialRead);
            said.map_or(Ok(()), |(version, content)| {
                self.checker.seen(key, version, content)
            })
        } else {
            self.checker.read_done(key, said, operation.floors[0])
        };
        self.hold(held);
    }
}

/// The key of an operation on one key; of a scan the first.
fn key_asked(ask: Ask) -> u16 {
    match ask {
        Ask::Put { key, .. } | Ask::Delete(key) | Ask::Get(key) | Ask::GetAvailable(key) => key,
        Ask::Scan { .. } => 0,
    }
}
