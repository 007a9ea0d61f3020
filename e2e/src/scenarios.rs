//! The scenarios, in the order in which they run.

mod basic;
mod delete;
mod idle;
mod node_lost;
mod operator_killed;
mod pod_killed;
mod refused;
mod rolled;
mod unlabelled;

use anyhow::Result;

use crate::{namespace::Namespace, world::World};

/// What a scenario needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Any cluster.
    Kubernetes,
    /// Nodes that can be broken.
    Nodes,
}

/// Something that a user would see, tried.
pub(crate) struct Scenario {
    /// Its name, in snake case.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) what: &'static str,
    /// Whether it is part of the smoke test.
    pub(crate) smoke: bool,
    /// What it needs.
    pub(crate) needs: Needs,
    /// Tries it.
    pub(crate) run: fn(&World, &Namespace) -> Result<()>,
}

/// All of them.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "basic",
        what: "the basic example is ready within a minute; a client in a pod and one outside put and get",
        smoke: true,
        needs: Needs::Kubernetes,
        run: basic::run,
    },
    Scenario {
        name: "pod_killed",
        what: "a server pod is killed under load: no acknowledged write is lost",
        smoke: true,
        needs: Needs::Kubernetes,
        run: pod_killed::run,
    },
    Scenario {
        name: "delete",
        what: "a deleted KvCluster leaves its claims, a new one of its name takes the data up; with Delete nothing stays",
        smoke: true,
        needs: Needs::Kubernetes,
        run: delete::run,
    },
    Scenario {
        name: "refused",
        what: "the API server refuses what cannot be, and says what to do",
        smoke: true,
        needs: Needs::Kubernetes,
        run: refused::run,
    },
    Scenario {
        name: "node_lost",
        what: "a node loses power: clients of a broker elsewhere go on within a second, and nothing is lost",
        smoke: false,
        needs: Needs::Nodes,
        run: node_lost::run,
    },
    Scenario {
        name: "operator_killed",
        what: "the operator is killed ten times during a first apply: the end is the same",
        smoke: false,
        needs: Needs::Kubernetes,
        run: operator_killed::run,
    },
    Scenario {
        name: "rolled",
        what: "another limit of memory: servers are replaced one at a time under load, and no write fails",
        smoke: false,
        needs: Needs::Kubernetes,
        run: rolled::run,
    },
    Scenario {
        name: "unlabelled",
        what: "every object loses the label it is found by: it is found all the same, and given it back",
        smoke: false,
        needs: Needs::Kubernetes,
        run: unlabelled::run,
    },
    Scenario {
        name: "idle",
        what: "nothing is written while nothing changes",
        smoke: false,
        needs: Needs::Kubernetes,
        run: idle::run,
    },
];
