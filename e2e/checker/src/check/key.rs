//! The rules of one key: a sweep over its operations in the order of time.
//!
//! At any moment there is a *floor*: the latest beginning among the writes that are known to have
//! taken effect, since they were done or somebody read them. Whoever reads after that sees this
//! write or something not certainly older; a write that was done before the floor began is older.

use std::collections::HashMap;

use super::{Excuse, Rule, Violation, shown};
use crate::history::{Action, Operation, Outcome};

/// A write that is known to have taken effect, and who says so.
#[derive(Debug, Clone, Copy)]
struct Floor<'a> {
    /// When the write began.
    began: u64,
    /// The write that is done, or the read.
    witness: &'a Operation,
}

/// By when a write has chosen the last of its versions, which order it among the others.
///
/// A write that is done has by its end. A broker chooses versions for one with an unknown outcome
/// no longer than it works on any operation, whatever has become of the client: so within
/// `longest_ns` of its start. What it does after the end brings further members a version that was
/// chosen before.
fn chosen_by(write: &Operation, longest_ns: u64) -> u64 {
    match write.outcome {
        Outcome::Done => write.end,
        _ => write.end.max(write.start.saturating_add(longest_ns)),
    }
}

/// Checks one key; says as well what writes with an unknown outcome still excuse at the end.
pub(super) fn check(
    key: &str,
    operations: &[Operation],
    longest_ns: u64,
) -> (Vec<Violation>, Excuse) {
    let mut sweep = Sweep::new(key, operations, longest_ns);
    // Starts before ends at the same moment: what ends as another begins is no earlier.
    let mut moments: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * operations.len());
    for (at, operation) in operations.iter().enumerate() {
        if operation.outcome == Outcome::Done {
            moments.push((operation.start, false, at));
            moments.push((operation.end, true, at));
        }
    }
    moments.sort_unstable();
    for (_, is_end, at) in moments {
        let operation = &operations[at];
        match (&operation.action, is_end) {
            (Action::Put(_) | Action::Delete, true) => sweep.raise(operation.start, operation),
            (Action::Read(value), false) => {
                let began = match value {
                    Some(value) => sweep.read_value(operation, value),
                    None => sweep.read_nothing(operation),
                };
                if let Some(began) = began {
                    sweep.seen.insert(at, began);
                }
            }
            (Action::Read(_), true) => {
                if let Some(began) = sweep.seen.remove(&at) {
                    sweep.raise(began, operation);
                }
            }
            _ => {}
        }
    }
    let excuse = sweep.excuse(operations);
    (sweep.violations, excuse)
}

struct Sweep<'a> {
    key: &'a str,
    longest_ns: u64,
    puts: HashMap<&'a str, &'a Operation>,
    deletes: Deletes,
    floor: Option<Floor<'a>>,
    /// Reads under way: when what they return began.
    seen: HashMap<usize, u64>,
    violations: Vec<Violation>,
}

impl<'a> Sweep<'a> {
    fn new(key: &'a str, operations: &'a [Operation], longest_ns: u64) -> Self {
        let mut sweep = Self {
            key,
            longest_ns,
            puts: HashMap::new(),
            deletes: Deletes::new(operations, longest_ns),
            floor: None,
            seen: HashMap::new(),
            violations: Vec::new(),
        };
        for operation in operations {
            if let Action::Put(value) = &operation.action
                && let Some(other) = sweep.puts.insert(value, operation)
            {
                // Nothing can be said of reads then: the history itself is no good.
                let what = format!("{} and {} wrote the same", shown(other), shown(operation));
                sweep.violate(Rule::Origin, what);
            }
        }
        sweep
    }

    fn violate(&mut self, rule: Rule, what: String) {
        self.violations.push(Violation {
            rule,
            key: self.key.to_owned(),
            what,
        });
    }

    fn raise(&mut self, began: u64, witness: &'a Operation) {
        if self.floor.is_none_or(|floor| floor.began < began) {
            self.floor = Some(Floor { began, witness });
        }
    }

    /// A read begins that will return this; gives when the put began, if it may have been read.
    fn read_value(&mut self, read: &Operation, value: &str) -> Option<u64> {
        let Some(&put) = self.puts.get(value) else {
            let what = format!("{} returns what no put of this key wrote", shown(read));
            self.violate(Rule::Origin, what);
            return None;
        };
        let wrong = match put.outcome {
            Outcome::NotDone => Some("was not done"),
            _ if put.start > read.end => Some("had not begun"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            let what = format!("{} returns a put that {wrong}: {}", shown(read), shown(put));
            self.violate(Rule::Origin, what);
            return None;
        }
        if let Some(floor) = self.floor
            && chosen_by(put, self.longest_ns) < floor.began
        {
            let rule = match floor.witness.action {
                Action::Read(_) => Rule::Backwards,
                _ => Rule::CertainlyOld,
            };
            let what = format!(
                "{} returns what was overwritten before it began: {} had chosen its last version \
                 before what is known by {} began",
                shown(read),
                shown(put),
                shown(floor.witness)
            );
            self.violate(rule, what);
            return None;
        }
        Some(put.start)
    }

    /// What writes with an unknown outcome may explain of what is read from now on.
    fn excuse(&self, operations: &[Operation]) -> Excuse {
        let floor = self.floor.map_or(0, |floor| floor.began);
        let mut excuse = Excuse::default();
        for operation in operations {
            if operation.outcome == Outcome::Unknown
                && chosen_by(operation, self.longest_ns) >= floor
            {
                excuse.by_put |= matches!(operation.action, Action::Put(_));
                excuse.by_delete |= operation.action == Action::Delete;
            }
        }
        excuse
    }

    /// A read begins that will return nothing; gives when the earliest delete began that can
    /// explain it, `None` where the key may never have been there.
    fn read_nothing(&mut self, read: &Operation) -> Option<u64> {
        let floor = self.floor?;
        if let Some(began) = self.deletes.first(floor.began, read.end) {
            return Some(began);
        }
        let what = format!(
            "{} is explained by no delete, after what is known by {}",
            shown(read),
            shown(floor.witness)
        );
        self.violate(Rule::Absent, what);
        None
    }
}

/// Deletes that may have taken effect, by their start, with the latest time so far by which one
/// of them had chosen its version.
struct Deletes(Vec<(u64, u64)>);

impl Deletes {
    fn new(operations: &[Operation], longest_ns: u64) -> Self {
        let mut deletes: Vec<_> = operations
            .iter()
            .filter(|o| o.action == Action::Delete && o.outcome != Outcome::NotDone)
            .map(|o| (o.start, chosen_by(o, longest_ns)))
            .collect();
        deletes.sort_unstable();
        let mut latest = 0;
        for (_, chosen) in &mut deletes {
            latest = latest.max(*chosen);
            *chosen = latest;
        }
        Self(deletes)
    }

    /// The start of the first that is not certainly older than `floor` and began by `until`.
    fn first(&self, floor: u64, until: u64) -> Option<u64> {
        // The first place where the latest time reaches the floor is a delete that does itself.
        let at = self.0.partition_point(|&(_, latest)| latest < floor);
        let &(start, _) = self.0.get(at)?;
        (start <= until).then_some(start)
    }
}
