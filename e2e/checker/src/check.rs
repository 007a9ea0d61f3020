//! The rules over whole histories; those of one key are in `check/key.rs`.

mod key;

use serde::Serialize;

use crate::history::{Action, History, Operation, Outcome};

/// What the machine and the run allow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Longest time of an operation, in nanoseconds: until its end is heard, and until its last
    /// version is chosen.
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

/// Whether writes with an unknown outcome may explain what is read of a key from now on, so that
/// not every wrong answer would show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Excuse {
    /// A put may: its value may be read though others were put after it.
    pub by_put: bool,
    /// A delete may: nothing may be read.
    pub by_delete: bool,
}

/// Keys for which there was an [`Excuse`] when the history ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Excused {
    /// By a put or a delete.
    pub keys: usize,
    /// By a delete among others.
    pub by_delete: usize,
}

/// What all checks together say.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub violations: Vec<Violation>,
    pub excused: Excused,
}

/// Checks everything.
pub(crate) fn check(history: &History, limits: &Limits) -> Verdict {
    let Verdict {
        mut violations,
        mut excused,
    } = Verdict::default();
    for (key, operations) in &history.keys {
        let (of_key, excuse) = key::check(key, operations, limits.longest_ns);
        violations.extend(of_key);
        excused.keys += usize::from(excuse.by_put || excuse.by_delete);
        excused.by_delete += usize::from(excuse.by_delete);
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
    Verdict {
        violations,
        excused,
    }
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
