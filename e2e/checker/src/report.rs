//! What was found, and figures that say how much was looked at.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    check::{Excused, Rule, Verdict, Violation},
    history::{Action, History, Operation, Outcome},
};

/// Violations shown to people; the JSON has all.
const SHOWN_MAX: usize = 20;

/// The verdict and its figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub operations: usize,
    pub keys: usize,
    pub done: Counts,
    pub not_done: Counts,
    pub unknown: Counts,
    /// The longest time in which no operation was done, in milliseconds.
    pub longest_standstill_ms: u64,
    /// The longest time in which none of one key was done though some were tried.
    pub longest_unavailable_key_ms: u64,
    /// The slowest operation.
    pub slowest_ms: u64,
    /// Keys for which an unknown outcome still excused wrong answers at the end.
    pub excused_at_end: Excused,
    pub violations: Vec<Violation>,
}

/// Operations by kind.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Counts {
    pub reads: usize,
    pub absent_reads: usize,
    pub puts: usize,
    pub deletes: usize,
}

impl Report {
    pub(crate) fn new(history: &History, verdict: Verdict) -> Self {
        let all: Vec<&Operation> = history.operations().map(|(_, o)| o).collect();
        let counts = |outcome| count(all.iter().filter(|o| o.outcome == outcome));
        let of_keys = history.keys.values();
        let unavailable = of_keys.map(|operations| standstill(&mut operations.iter(), true));
        Self {
            operations: all.len(),
            keys: history.keys.len(),
            done: counts(Outcome::Done),
            not_done: counts(Outcome::NotDone),
            unknown: counts(Outcome::Unknown),
            longest_standstill_ms: standstill(&mut all.iter().copied(), false) / 1_000_000,
            longest_unavailable_key_ms: unavailable.max().unwrap_or(0) / 1_000_000,
            slowest_ms: all.iter().map(|o| o.end - o.start).max().unwrap_or(0) / 1_000_000,
            excused_at_end: verdict.excused,
            violations: verdict.violations,
        }
    }

    fn by_rule(&self) -> BTreeMap<Rule, usize> {
        let mut by_rule = BTreeMap::new();
        for violation in &self.violations {
            *by_rule.entry(violation.rule).or_default() += 1;
        }
        by_rule
    }
}

fn count<'a>(operations: impl Iterator<Item = &'a &'a Operation>) -> Counts {
    let mut counts = Counts::default();
    for operation in operations {
        match operation.action {
            Action::Read(None) => {
                counts.reads += 1;
                counts.absent_reads += 1;
            }
            Action::Read(Some(_)) | Action::NothingRead => counts.reads += 1,
            Action::Put(_) => counts.puts += 1,
            Action::Delete => counts.deletes += 1,
        }
    }
    counts
}

/// The longest time between two ends of operations that are done; with `only_tried`, only where
/// another one ended in vain meanwhile.
fn standstill(operations: &mut dyn Iterator<Item = &Operation>, only_tried: bool) -> u64 {
    let mut ends: Vec<_> = operations
        .map(|o| (o.end, o.outcome == Outcome::Done))
        .collect();
    ends.sort_unstable();
    let (mut longest, mut last, mut tried) = (0, None, !only_tried);
    for (end, is_done) in ends {
        if !is_done {
            tried = true;
            continue;
        }
        if let (Some(last), true) = (last, tried) {
            longest = longest.max(end - last);
        }
        last = Some(end);
        tried = !only_tried;
    }
    longest
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} operations on {} keys", self.operations, self.keys)?;
        for (name, counts) in [
            ("done", &self.done),
            ("not done", &self.not_done),
            ("unknown", &self.unknown),
        ] {
            let Counts {
                reads,
                absent_reads,
                puts,
                deletes,
            } = counts;
            writeln!(
                f,
                "  {name:<9} {reads} reads ({absent_reads} of nothing), {puts} puts, {deletes} \
                 deletes"
            )?;
        }
        writeln!(
            f,
            "longest without any operation done: {} ms; of one key, though tried: {} ms; slowest \
             operation: {} ms",
            self.longest_standstill_ms, self.longest_unavailable_key_ms, self.slowest_ms
        )?;
        let Excused { keys, by_delete } = self.excused_at_end;
        writeln!(
            f,
            "excused at the end by an unknown outcome: {keys} of {} keys ({} %), {by_delete} of \
             them by a delete",
            self.keys,
            100 * keys / self.keys.max(1)
        )?;
        for violation in self.violations.iter().take(SHOWN_MAX) {
            let Violation { rule, key, what } = violation;
            writeln!(f, "VIOLATION {rule:?} of key {key:?}: {what}")?;
        }
        if self.violations.is_empty() {
            return writeln!(f, "verdict: every promise was kept");
        }
        writeln!(f, "verdict: promises were broken: {:?}", self.by_rule())
    }
}
