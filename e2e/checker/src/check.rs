//! The rules over whole histories; those of one key are in `check/key.rs`.

mod key;

use serde::Serialize;

use crate::history::{Action, History, Operation, Outcome};

/// What the machine and the run allow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Longest time of an operation, in nanoseconds.
    pub longest_ns: u64,
    /// Fewest reads that are done.
    pub min_reads: usize,
    /// Fewest writes that are done.
    pub min_writes: usize,
    /// Fewest unknown outcomes.
    pub min_unknown: usize,
}

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    Origin,
    CertainlyOld,
    Backwards,
    Absent,
    Deadline,
    Counts,
}

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Violation {
    pub rule: Rule,
    pub key: String,
    /// What happened, with the lines to look at.
    pub what: String,
}

/// Checks everything.
pub(crate) fn check(history: &History, limits: &Limits) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (key, operations) in &history.keys {
        violations.extend(key::check(key, operations));
    }
    for (key, operation) in history.operations() {
        let took = operation.end - operation.start;
        if took > limits.longest_ns {
            violations.push(Violation {
                rule: Rule::Deadline,
                key: key.to_owned(),
                what: format!(
                    "{} took {} ms, more than {} ms",
                    shown(operation),
                    took / 1_000_000,
                    limits.longest_ns / 1_000_000
                ),
            });
        }
    }
    violations.extend(check_counts(history, limits));
    violations
}

fn check_counts(history: &History, limits: &Limits) -> Vec<Violation> {
    let count = |counts: &dyn Fn(&Operation) -> bool| {
        history.operations().filter(|(_, o)| counts(o)).count()
    };
    let is_done = |o: &Operation| o.outcome == Outcome::Done;
    let of_kinds = [
        (
            "reads that are done",
            count(&|o| is_done(o) && matches!(o.action, Action::Read(_))),
            limits.min_reads,
        ),
        (
            "writes that are done",
            count(&|o| is_done(o) && matches!(o.action, Action::Put(_) | Action::Delete)),
            limits.min_writes,
        ),
        (
            "unknown outcomes",
            count(&|o| o.outcome == Outcome::Unknown),
            limits.min_unknown,
        ),
    ];
    let too_few = of_kinds.iter().filter(|(_, there, least)| there < least);
    let violation = |(what, there, least): &(&str, usize, usize)| Violation {
        rule: Rule::Counts,
        key: String::new(),
        what: format!("{there} {what}, fewer than {least}: the verdict means little"),
    };
    too_few.map(violation).collect()
}

/// An operation in a violation.
fn shown(operation: &Operation) -> String {
    let Operation {
        action,
        start,
        end,
        outcome,
        place,
        client,
    } = operation;
    let short = |value: &str| value.chars().take(48).collect::<String>();
    let what = match action {
        Action::Put(value) => format!("put of {:?}", short(value)),
        Action::Delete => "delete".to_owned(),
        Action::Read(Some(value)) => format!("read of {:?}", short(value)),
        Action::Read(None) => "read of nothing".to_owned(),
        Action::NothingRead => "get".to_owned(),
    };
    format!("{what} ({place}, client {client}, {start} to {end}, {outcome:?})")
}

#[cfg(test)]
mod tests;
