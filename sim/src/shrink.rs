//! Shrinking: leaving out steps as long as the same promise stays broken (delta debugging,
//! Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", TSE 2002).

use crate::{checker::Violation, hunt::run_caught, plan::Plan};

/// Runs that shrinking may take.
const RUNS_MAX: u32 = 3_000;

/// A smaller plan that fails the same way.
#[derive(Debug)]
pub struct Shrunk {
    /// The steps that are left.
    pub numbers: Vec<usize>,
    /// How it fails.
    pub violation: Violation,
    /// Runs it took.
    pub runs: u32,
}

/// Shrinks a plan that fails with this violation.
pub fn shrink(plan: &Plan, violation: Violation) -> Shrunk {
    let mut shrunk = Shrunk {
        numbers: plan.numbers(),
        violation,
        runs: 0,
    };
    let mut size = shrunk.numbers.len().div_ceil(2);
    while size > 0 {
        let mut start = 0;
        let mut fewer = false;
        while start < shrunk.numbers.len() && shrunk.runs < RUNS_MAX {
            let end = (start + size).min(shrunk.numbers.len());
            let mut rest = shrunk.numbers.clone();
            rest.drain(start..end);
            shrunk.runs += 1;
            match run_caught(&plan.only(&rest)).violation {
                Some(found) if found.kind == shrunk.violation.kind => {
                    shrunk.numbers = rest;
                    shrunk.violation = found;
                    fewer = true;
                }
                _ => start = end,
            }
        }
        // Leaving one out may make others needless: as long as that happens, once more.
        size = if fewer && size == 1 { 1 } else { size / 2 };
        if shrunk.runs >= RUNS_MAX {
            break;
        }
    }
    shrunk
}
