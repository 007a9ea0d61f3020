//! What is small is searched through on every run, and every planted bug is found.

use model::{cases, search::Limits};

const LIMITS: Limits = Limits {
    states: 100_000_000,
    threads: 1,
};

#[test]
fn nothing_goes_wrong() {
    for case in cases::small() {
        let name = case.name.clone();
        let outcome = case.search(LIMITS, |_, _| ());
        assert!(outcome.is_good(), "{name}: {outcome:#?}");
    }
}

#[test]
fn planted_bugs_are_found() {
    for case in cases::bugs() {
        let name = case.name.clone();
        let outcome = case.search(LIMITS, |_, _| ());
        assert!(outcome.failure.is_some(), "{name}: {outcome:#?}");
    }
}
