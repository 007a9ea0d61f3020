//! Histories by hand: each rule is seen to hold and seen to be broken.

use super::*;

/// Sees to it that counts are no matter unless a test says so.
const ANY: Limits = Limits {
    longest_ns: 1_000,
    min_reads: 0,
    min_writes: 0,
    min_unknown: 0,
};

fn operation(action: Action, start: u64, end: u64, outcome: Outcome) -> Operation {
    Operation {
        place: format!("{action:?}"),
        action,
        start,
        end,
        outcome,
        client: 1,
    }
}

fn put(value: &str, start: u64, end: u64, outcome: Outcome) -> Operation {
    operation(Action::Put(value.to_owned()), start, end, outcome)
}

fn done(value: &str, start: u64, end: u64) -> Operation {
    put(value, start, end, Outcome::Done)
}

fn unknown(value: &str, start: u64, end: u64) -> Operation {
    put(value, start, end, Outcome::Unknown)
}

fn delete(start: u64, end: u64, outcome: Outcome) -> Operation {
    operation(Action::Delete, start, end, outcome)
}

fn deleted(start: u64, end: u64) -> Operation {
    delete(start, end, Outcome::Done)
}

fn read(value: &str, start: u64, end: u64) -> Operation {
    operation(
        Action::Read(Some(value.to_owned())),
        start,
        end,
        Outcome::Done,
    )
}

fn absent(start: u64, end: u64) -> Operation {
    operation(Action::Read(None), start, end, Outcome::Done)
}

fn rules_of(operations: &[(&str, Operation)], limits: &Limits) -> Vec<Rule> {
    let mut history = History::default();
    for (key, operation) in operations {
        history.add(key, operation.clone());
    }
    let verdict = check(&history, limits);
    let violations = verdict.violations.iter();
    violations.map(|violation| violation.rule).collect()
}

#[track_caller]
fn good(operations: &[Operation]) {
    expect(operations, &[]);
}

#[track_caller]
fn expect(operations: &[Operation], rules: &[Rule]) {
    let of_key: Vec<_> = operations.iter().map(|o| ("k", o.clone())).collect();
    assert_eq!(rules_of(&of_key, &ANY), rules);
    // Files are read one after the other, so the order of lines says nothing.
    let reversed: Vec<_> = of_key.into_iter().rev().collect();
    assert_eq!(rules_of(&reversed, &ANY), rules, "in another order");
}

#[test]
fn a_value_comes_from_a_put_of_this_key_unaltered() {
    good(&[done("a", 1, 2), read("a", 3, 4)]);
    good(&[done("a", 1, 5), read("a", 2, 3)]);
    expect(&[done("a", 1, 2), read("b", 3, 4)], &[Rule::Origin]);
    let of_another = [("k", done("a", 1, 2)), ("other", read("a", 3, 4))];
    assert_eq!(rules_of(&of_another, &ANY), [Rule::Origin]);
    // From the future.
    expect(&[done("a", 5, 6), read("a", 3, 4)], &[Rule::Origin]);
    expect(&[done("a", 1, 2), done("a", 3, 4)], &[Rule::Origin]);
}

#[test]
fn what_was_not_done_is_never_read() {
    let refused = put("b", 3, 4, Outcome::NotDone);
    good(&[done("a", 1, 2), refused.clone(), read("a", 5, 6)]);
    expect(
        &[done("a", 1, 2), refused, read("b", 5, 6)],
        &[Rule::Origin],
    );
}

#[test]
fn what_was_certainly_overwritten_is_never_read() {
    let (a, b) = (done("a", 1, 2), done("b", 3, 4));
    good(&[a.clone(), b.clone(), read("b", 5, 6)]);
    expect(
        &[a.clone(), b.clone(), read("a", 5, 6)],
        &[Rule::CertainlyOld],
    );
    // The read began before the write that overwrote was done.
    good(&[a.clone(), b, read("a", 4, 6)]);
    // Writes at the same moment have no order.
    good(&[a.clone(), done("b", 2, 4), read("a", 5, 6)]);
    // A delete overwrites as well.
    expect(
        &[a.clone(), deleted(3, 4), read("a", 5, 6)],
        &[Rule::CertainlyOld],
    );
    // What is not known to have taken effect overwrites nothing.
    good(&[a.clone(), unknown("b", 3, 4), read("a", 5, 6)]);
    good(&[a, delete(3, 4, Outcome::NotDone), read("a", 5, 6)]);
}

#[test]
fn an_unknown_put_may_take_effect_until_its_last_version_was_chosen() {
    let (a, b) = (unknown("a", 1, 2), done("b", 3, 4));
    good(&[a.clone(), b.clone(), read("a", 5, 6)]);
    good(&[a.clone(), b, read("b", 5, 6), read("a", 7, 8)]);
    // Its version was chosen by 1001, so that a write that began later lies above it.
    let (same, after) = (done("b", 1001, 1002), done("b", 1002, 1003));
    good(&[a.clone(), same, read("a", 1005, 1006)]);
    expect(
        &[a.clone(), after, read("a", 1005, 1006)],
        &[Rule::CertainlyOld],
    );
    // Also where the one that began later is itself known from a read alone.
    let unseen = [a, unknown("b", 1002, 1003), read("a", 1006, 1007)];
    good(&unseen);
    expect(
        &[&unseen[..], &[read("b", 1004, 1005)]].concat(),
        &[Rule::Backwards],
    );
    // One that took longer than any may had as long as it took.
    let slow = [unknown("a", 1, 1500), done("b", 1400, 1600)];
    expect(
        &[&slow[..], &[read("a", 1700, 1701)]].concat(),
        &[Rule::Deadline],
    );
}

#[test]
fn an_unknown_delete_explains_nothing_for_good() {
    let late = delete(1, 2, Outcome::Unknown);
    let (same, after) = (done("b", 1001, 1002), done("b", 1002, 1003));
    good(&[late.clone(), same, absent(1005, 1006)]);
    expect(&[late.clone(), after, absent(1005, 1006)], &[Rule::Absent]);
    // The one behind it may, if it is younger.
    let young = delete(1003, 1004, Outcome::Unknown);
    good(&[late, done("b", 1002, 1003), young, absent(1005, 1006)]);
}

#[test]
fn keys_that_an_unknown_outcome_excuses_at_the_end_are_counted() {
    let excused = |operations: &[(&str, Operation)]| {
        let mut history = History::default();
        for (key, operation) in operations {
            history.add(key, operation.clone());
        }
        let Excused { keys, by_delete } = check(&history, &ANY).excused;
        (keys, by_delete)
    };
    let lost = delete(3, 4, Outcome::Unknown);
    assert_eq!(excused(&[("k", done("a", 1, 2))]), (0, 0));
    assert_eq!(excused(&[("k", put("a", 1, 2, Outcome::NotDone))]), (0, 0));
    assert_eq!(excused(&[("k", unknown("a", 1, 2))]), (1, 0));
    let young = [
        ("k", unknown("a", 1, 2)),
        ("k", lost),
        ("l", done("b", 1, 2)),
    ];
    assert_eq!(excused(&young), (1, 1));
    let later = [&young[..], &[("k", done("c", 1004, 1005))]].concat();
    assert_eq!(excused(&later), (0, 0));
}

#[test]
fn one_of_many_writes_is_enough_to_make_a_value_old() {
    // The last write began early: it is not the one that makes `a` old.
    let writes = [done("a", 1, 2), done("b", 3, 4), done("c", 1, 9)];
    expect(
        &[&writes[..], &[read("a", 10, 11)]].concat(),
        &[Rule::CertainlyOld],
    );
    good(&[&writes[..], &[read("c", 10, 11)]].concat());
}

#[test]
fn reads_do_not_run_backwards() {
    let a = done("a", 1, 2);
    for b in [unknown("b", 3, 4), done("b", 3, 9), unknown("b", 3, 9)] {
        good(&[a.clone(), b.clone(), read("a", 5, 6), read("b", 7, 8)]);
        let back = [a.clone(), b.clone(), read("b", 5, 6), read("a", 7, 8)];
        expect(&back, &[Rule::Backwards]);
        // At the same moment either may be seen.
        good(&[a.clone(), b, read("b", 5, 7), read("a", 7, 8)]);
    }
    // Nor from nothing back to what was deleted.
    let gone = delete(3, 4, Outcome::Unknown);
    let back = [a.clone(), gone.clone(), absent(5, 6), read("a", 7, 8)];
    expect(&back, &[Rule::Backwards]);
    good(&[a.clone(), gone, read("a", 5, 6), absent(7, 8)]);
    // The delete may have come before what was read after it.
    let twice = [a, deleted(3, 4), done("b", 4, 6), absent(7, 8)];
    expect(&[&twice[..], &[read("b", 9, 10)]].concat(), &[]);
}

#[test]
fn nothing_is_read_only_where_a_delete_explains_it() {
    good(&[absent(1, 2), done("a", 3, 4), read("a", 5, 6)]);
    good(&[unknown("a", 1, 2), absent(3, 4), read("a", 5, 6)]);
    expect(&[done("a", 1, 2), absent(3, 4)], &[Rule::Absent]);
    expect(
        &[unknown("a", 1, 2), read("a", 3, 4), absent(5, 6)],
        &[Rule::Absent],
    );
    good(&[done("a", 1, 2), deleted(3, 4), absent(5, 6)]);
    good(&[
        done("a", 1, 2),
        delete(3, 4, Outcome::Unknown),
        absent(5, 6),
    ]);
    let refused = delete(3, 4, Outcome::NotDone);
    expect(&[done("a", 1, 2), refused, absent(5, 6)], &[Rule::Absent]);
    // Deleted, and written again since.
    let again = [done("a", 1, 2), deleted(3, 4), done("b", 5, 6)];
    expect(&[&again[..], &[absent(7, 8)]].concat(), &[Rule::Absent]);
    // A delete of the future explains nothing; one under way does.
    expect(
        &[done("a", 1, 2), absent(3, 4), deleted(5, 6)],
        &[Rule::Absent],
    );
    good(&[done("a", 1, 2), absent(3, 5), deleted(4, 6)]);
    // An unknown delete of before may still come.
    let late = delete(1, 2, Outcome::Unknown);
    good(&[done("a", 0, 1), late, done("b", 5, 6), absent(7, 8)]);
}

#[test]
fn every_operation_ends_in_time() {
    good(&[done("a", 1, 1001)]);
    expect(&[done("a", 1, 1002)], &[Rule::Deadline]);
    expect(&[unknown("a", 1, 1002)], &[Rule::Deadline]);
}

#[test]
fn a_history_of_almost_nothing_proves_nothing() {
    let limits = Limits {
        min_reads: 2,
        min_writes: 1,
        min_unknown: 1,
        ..ANY
    };
    let few = [("k", done("a", 1, 2)), ("k", read("a", 3, 4))];
    assert_eq!(rules_of(&few, &limits), [Rule::Counts, Rule::Counts]);
    let enough = [
        &few[..],
        &[("k", read("a", 5, 6)), ("k", unknown("b", 7, 8))],
    ]
    .concat();
    assert_eq!(rules_of(&enough, &limits), []);
}
