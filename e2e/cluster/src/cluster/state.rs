//! Whether a cluster is up, from the processes that it remembers.

use std::{thread, time::Instant};

use super::Topology;
use crate::{
    api::NodeReport,
    command::Command,
    error::{Error, Result},
    home::{Home, read_file, write_file},
    limits::{POLL, SETTLED_MAX},
    process,
    programs::Programs,
};

/// What is there of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Everything that should run does.
    Up(Topology),
    /// Some of it ended by itself.
    Half {
        /// What did.
        ended: Vec<String>,
    },
    /// All of it did, as when the machine was started again.
    Died,
    /// Nothing should run.
    Down,
}

impl State {
    pub(super) fn of(home: &Home) -> Result<Self> {
        let recorded = process::recorded(home)?;
        let alive = recorded
            .into_iter()
            .map(|(name, process)| (name, process.is_alive()));
        let topology = home.run_file("topology.json");
        if !topology.exists() {
            return Ok(Self::judge(alive.collect(), None));
        }
        let text = read_file(&topology)?;
        let read = serde_json::from_str(&text).map_err(|error| Error::Unreadable {
            what: topology.display().to_string(),
            reason: format!("{error}; `cargo xtask cluster down` clears it away"),
        });
        Ok(Self::judge(alive.collect(), Some(read?)))
    }

    /// The same, but something that others stop or start right now is given time to be stopped.
    pub(super) fn settled(home: &Home) -> Result<Self> {
        let until = Instant::now() + SETTLED_MAX;
        loop {
            let state = Self::of(home)?;
            if !matches!(state, Self::Half { .. }) || Instant::now() >= until {
                return Ok(state);
            }
            thread::sleep(POLL);
        }
    }

    fn judge(processes: Vec<(String, bool)>, topology: Option<Topology>) -> Self {
        let all = processes.len();
        let ended: Vec<String> = processes
            .into_iter()
            .filter(|(_, alive)| !alive)
            .map(|(name, _)| name)
            .collect();
        match topology {
            Some(topology) if all > 0 && ended.is_empty() => Self::Up(topology),
            None if all == 0 => Self::Down,
            _ if ended.len() == all => Self::Died,
            _ => Self::Half { ended },
        }
    }

    /// Remembers that a cluster is being started.
    pub(super) fn record(home: &Home, topology: Topology) -> Result<()> {
        let text = serde_json::to_string(&topology).expect("numbers can be written");
        write_file(&home.run_file("topology.json"), text)
    }
}

/// Deletes nodes that an earlier, larger cluster has left among the objects.
pub(super) fn forget_strangers(
    programs: &Programs,
    home: &Home,
    topology: Topology,
    before: &[NodeReport],
) -> Result<()> {
    let strangers = before
        .iter()
        .filter(|node| topology.node_named(&node.name).is_none());
    let strangers: Vec<&str> = strangers.map(|node| node.name.as_str()).collect();
    if strangers.is_empty() {
        return Ok(());
    }
    let kubectl = Command::new(&programs.kubectl).env("KUBECONFIG", home.kubeconfig());
    kubectl
        .args(["delete", "node", "--wait=false"])
        .args(strangers)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_up_while_all_that_should_run_does() {
        let judge = |alive: &[bool], topology| {
            let processes = alive
                .iter()
                .enumerate()
                .map(|(at, alive)| (format!("p{at}"), *alive));
            State::judge(processes.collect(), topology)
        };
        let topology = Some(Topology::default());
        assert_eq!(judge(&[], None), State::Down);
        assert_eq!(
            judge(&[true, true], topology),
            State::Up(Topology::default())
        );
        assert_eq!(judge(&[false, false], topology), State::Died);
        assert_eq!(
            judge(&[], topology),
            State::Died,
            "it died while it was being started"
        );
        let half = judge(&[true, false], topology);
        assert_eq!(
            half,
            State::Half {
                ended: vec!["p1".to_owned()]
            }
        );
        assert!(matches!(judge(&[true], None), State::Half { .. }));
    }
}
