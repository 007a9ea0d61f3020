//! Searches through all states of a model, and says what came of it.

use std::{
    fmt::Debug,
    hash::Hash,
    time::{Duration, Instant},
};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// When a search ends before it has seen everything.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// States after which it stops; those that are equal count once each time they are met.
    pub states: usize,
    /// Threads that search. With one alone, the way that is found is a shortest one, or one step
    /// longer.
    pub threads: usize,
}

/// What a search found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Different states.
    pub states: usize,
    /// Steps to the farthest of them.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// What does not hold, with the way there.
    pub failure: Option<Failure>,
    /// What should be possible and never was.
    pub impossible: Vec<&'static str>,
    /// Whether all there is was searched.
    pub is_complete: bool,
}

/// Something that does not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What should have held.
    pub property: &'static str,
    /// The steps that lead to where it does not.
    pub steps: Vec<String>,
}

impl Outcome {
    /// Whether everything was searched, everything holds, and what should be possible is.
    pub fn is_good(&self) -> bool {
        self.is_complete && self.failure.is_none() && self.impossible.is_empty()
    }
}

/// Searches breadth first, until something does not hold or all states are seen.
pub fn search<M>(model: M, limits: Limits, progress: impl Fn(usize, Duration)) -> Outcome
where
    M: Model + Send + Sync + 'static,
    M::State: Debug + Clone + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Debug + Clone + PartialEq,
{
    let began = Instant::now();
    let checker = model
        .checker()
        .threads(limits.threads)
        .target_state_count(limits.states)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs();
    let checker = follow(checker, began, progress);
    let mut found = checker.discoveries();
    let properties = checker.model().properties();
    let mut failure = None;
    let mut impossible = Vec::new();
    for property in &properties {
        let path = found.remove(property.name);
        match property.expectation {
            Expectation::Sometimes if path.is_none() => impossible.push(property.name),
            Expectation::Sometimes => {}
            Expectation::Always | Expectation::Eventually => {
                failure = failure.or(path.map(|path| Failure {
                    property: property.name,
                    steps: path
                        .into_actions()
                        .iter()
                        .map(|step| format!("{step:?}"))
                        .collect(),
                }));
            }
        }
    }
    Outcome {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: began.elapsed(),
        failure,
        impossible,
        is_complete: checker.state_count() < limits.states,
    }
}

/// Waits for the search, and tells of it now and then.
fn follow<M: Model, C: Checker<M>>(
    mut checker: C,
    began: Instant,
    progress: impl Fn(usize, Duration),
) -> C {
    for handle in checker.handles() {
        while !handle.is_finished() {
            progress(checker.unique_state_count(), began.elapsed());
            std::thread::sleep(Duration::from_millis(5));
        }
        handle.join().expect("a search does not panic");
    }
    checker
}
