//! The scenarios, in the order in which they run.

mod all_servers_deleted;
mod basic;
mod brokers_scaled;
mod chart;
mod config_map_deleted;
mod delete;
mod documented;
mod examples;
mod foreign_edits;
mod idle;
mod many_broken;
mod namespace_deleted;
mod node_lost;
mod operator_killed;
mod operator_restarted;
mod paused;
mod pod_killed;
mod refused;
mod rolled;
mod stuck;
mod two_clusters;
mod unlabelled;

use anyhow::Result;

use crate::{namespace::Namespace, world::World};

/// What a scenario needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Any cluster.
    Kubernetes,
    /// Nodes of this machine, that can be broken and given images.
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
    Scenario {
        name: "all_servers_deleted",
        what: "all server pods are deleted at once, also by force: everything is back from the disks",
        smoke: false,
        needs: Needs::Kubernetes,
        run: all_servers_deleted::run,
    },
    Scenario {
        name: "brokers_scaled",
        what: "brokers become more and fewer under load: no request fails",
        smoke: false,
        needs: Needs::Kubernetes,
        run: brokers_scaled::run,
    },
    Scenario {
        name: "foreign_edits",
        what: "what somebody changes or deletes of the operator's is put back, what somebody adds stays",
        smoke: false,
        needs: Needs::Kubernetes,
        run: foreign_edits::run,
    },
    Scenario {
        name: "paused",
        what: "nothing is written to while spec.paused is set, and all is mended once it is not",
        smoke: false,
        needs: Needs::Kubernetes,
        run: paused::run,
    },
    Scenario {
        name: "config_map_deleted",
        what: "a lost placement is rebuilt from the servers: at rest, under load, without an operator",
        smoke: false,
        needs: Needs::Kubernetes,
        run: config_map_deleted::run,
    },
    Scenario {
        name: "two_clusters",
        what: "clusters of one name in two namespaces, and of two names in one, do not meet",
        smoke: false,
        needs: Needs::Kubernetes,
        run: two_clusters::run,
    },
    Scenario {
        name: "examples",
        what: "every example is applied as it stands, becomes ready and stores a value",
        smoke: false,
        needs: Needs::Kubernetes,
        run: examples::run,
    },
    Scenario {
        name: "stuck",
        what: "pods that cannot run are named with the reason, and run once the cause is gone",
        smoke: false,
        needs: Needs::Kubernetes,
        run: stuck::run,
    },
    Scenario {
        name: "namespace_deleted",
        what: "a namespace goes while a cluster comes up in it",
        smoke: false,
        needs: Needs::Kubernetes,
        run: namespace_deleted::run,
    },
    Scenario {
        name: "many_broken",
        what: "fifty clusters that cannot be carried out do not hold up a good one",
        smoke: false,
        needs: Needs::Kubernetes,
        run: many_broken::run,
    },
    Scenario {
        name: "operator_restarted",
        what: "an operator starts where several clusters are, looks after each and restarts no pod",
        smoke: false,
        needs: Needs::Kubernetes,
        run: operator_restarted::run,
    },
    Scenario {
        name: "chart",
        what: "a release is installed, upgraded, rolled back, uninstalled and installed again, and no pod is touched",
        smoke: false,
        needs: Needs::Kubernetes,
        run: chart::run,
    },
    Scenario {
        name: "documented",
        what: "the commands of docs/kubernetes.md do what the page says",
        smoke: false,
        needs: Needs::Nodes,
        run: documented::run,
    },
];
