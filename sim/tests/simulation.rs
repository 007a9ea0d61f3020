//! The simulation itself: a seed goes the same way each time, and a handful of seeds keeps every
//! promise. `cargo xtask sim` runs thousands.

use indicatif::ProgressBar;
use sim::{
    hunt::{Hunt, run_caught},
    plan::Plan,
    shrink::shrink,
};

#[test]
fn a_seed_goes_the_same_way_again() {
    for seed in 1..=20 {
        let plan = Plan::draw(seed);
        let (first, second) = (run_caught(&plan), run_caught(&plan));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.violation, second.violation, "seed {seed}");
        assert!(first.operations > 0, "seed {seed} asks for nothing");
    }
}

#[test]
fn some_seeds_keep_every_promise() {
    let hunt = Hunt {
        first: 100_000,
        seeds: 60,
        time: None,
        threads: 2,
        failures_max: 1,
    };
    let hunted = hunt.run(&ProgressBar::hidden(), &|| {});
    assert_eq!(hunted.failures, []);
    assert_eq!(hunted.runs, 60);
}

#[test]
fn steps_left_out_stay_out() {
    let plan = Plan::draw(7);
    let numbers = plan.numbers();
    let kept: Vec<_> = numbers.iter().copied().step_by(3).collect();
    assert_eq!(plan.only(&kept).numbers(), kept);
    assert_eq!(run_caught(&plan.only(&[])).violation, None);
}

#[cfg(feature = "planted")]
#[test]
fn a_failure_shrinks_to_one_of_its_kind() {
    use kvcore::planted::{Bug, plant};
    plant(Some(Bug::DeleteWithoutVersion));
    let failing = (1..100).find_map(|seed| {
        let plan = Plan::draw(seed);
        run_caught(&plan).violation.map(|found| (plan, found))
    });
    let (plan, found) = failing.expect("this bug is found by most seeds");
    let kind = found.kind;
    let shrunk = shrink(&plan, found);
    assert!(shrunk.numbers.len() < plan.numbers().len() / 2);
    let again = run_caught(&plan.only(&shrunk.numbers)).violation;
    assert_eq!(again.map(|found| found.kind), Some(kind));
    plant(None);
}

/// Without a planted bug there is nothing to shrink: a plan that does not fail stays whole.
#[test]
fn what_does_not_fail_does_not_shrink() {
    use sim::checker::{Kind, Violation};
    let plan = Plan::draw(3).only(&[1, 2]);
    let claimed = Violation {
        at_us: 0,
        kind: Kind::Lost,
        what: String::new(),
    };
    assert_eq!(shrink(&plan, claimed).numbers, plan.numbers());
}
