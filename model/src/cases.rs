//! Everything that can be searched through, by name.

use std::time::Duration;

use crate::{
    authors::{self, Authors},
    moves::{self, Moves},
    retries::{self, Retries, Rule},
    search::{Limits, Outcome, search},
    sweeps::{self, Sweeps},
};

/// One search.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name in tables; of a planted bug, the bug's.
    pub name: String,
    model: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Moves(Moves),
    Authors(Authors),
    Sweeps(Sweeps),
    Retries(Retries),
}

impl From<Moves> for Case {
    fn from(model: Moves) -> Self {
        let name = model
            .bug
            .map_or(model.name.to_owned(), |bug| format!("{bug:?}"));
        let model = Kind::Moves(model);
        Self { name, model }
    }
}

impl From<Authors> for Case {
    fn from(model: Authors) -> Self {
        let name = model
            .bug
            .map_or(model.name.to_owned(), |bug| format!("{bug:?}"));
        let model = Kind::Authors(model);
        Self { name, model }
    }
}

impl From<Sweeps> for Case {
    fn from(model: Sweeps) -> Self {
        let name = model
            .bug
            .map_or(model.moves.name.to_owned(), |bug| format!("{bug:?}"));
        let model = Kind::Sweeps(model);
        Self { name, model }
    }
}

impl From<Retries> for Case {
    fn from(model: Retries) -> Self {
        let name = match model.rule {
            Rule::Proven => model.moves.name.to_owned(),
            rule => format!("{rule:?}"),
        };
        let model = Kind::Retries(model);
        Self { name, model }
    }
}

impl Case {
    /// Searches through it.
    pub fn search(self, limits: Limits, progress: impl Fn(usize, Duration)) -> Outcome {
        match self.model {
            Kind::Moves(model) => search(model, limits, progress),
            Kind::Authors(model) => search(model, limits, progress),
            Kind::Sweeps(model) => search(model, limits, progress),
            Kind::Retries(model) => search(model, limits, progress),
        }
    }
}

/// What every test run searches through, and finds nothing wrong with.
pub fn small() -> Vec<Case> {
    let moves = moves::configurations::small().into_iter();
    let endings = moves::configurations::endings().into_iter();
    let moves = moves.chain(endings).map(Case::from);
    let authors = authors::small_ones().into_iter().map(Case::from);
    let sweeps = sweeps::small_ones().into_iter().map(Case::from);
    let retries = retries::small_ones().into_iter().map(Case::from);
    moves.chain(authors).chain(sweeps).chain(retries).collect()
}

/// What takes longer.
pub fn large() -> Vec<Case> {
    let moves = moves::configurations::large().into_iter().map(Case::from);
    let authors = authors::large_ones().into_iter().map(Case::from);
    let sweeps = sweeps::large_ones().into_iter().map(Case::from);
    let retries = retries::large_ones().into_iter().map(Case::from);
    moves.chain(authors).chain(sweeps).chain(retries).collect()
}

/// Every planted bug, where it shows.
pub fn bugs() -> Vec<Case> {
    let moves = moves::bug::Bug::ALL.map(moves::shown::showing);
    let authors = authors::Bug::ALL.map(authors::showing);
    let sweeps = sweeps::Bug::ALL.map(sweeps::shown::showing);
    let moves = moves.into_iter().map(Case::from);
    let authors = authors.into_iter().map(Case::from);
    let sweeps = sweeps.into_iter().map(Case::from);
    let retries = Rule::WRONG.map(retries::showing);
    let retries = retries.into_iter().map(Case::from);
    moves.chain(authors).chain(sweeps).chain(retries).collect()
}
