//! What can go wrong, in words that say what to do.

use std::{io, path::PathBuf, time::Duration};

use crate::preflight::Problems;

/// Everything that can go wrong with a cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine lacks something, or something is in the way.
    #[error("this machine cannot run the cluster:\n{0}")]
    Machine(Problems),
    /// It runs already.
    #[error(
        "the cluster is up already, with {nodes} nodes: `cargo xtask cluster status` shows it, `cargo xtask cluster down` ends it"
    )]
    AlreadyUp {
        /// How many it has.
        nodes: u8,
    },
    /// Some of its processes run and some ended.
    #[error(
        "the cluster is half up; ended without being asked to: {ended} (logs are in {logs}). `cargo xtask cluster down` ends the rest"
    )]
    HalfUp {
        /// Which processes ended.
        ended: String,
        /// Where to read why.
        logs: PathBuf,
    },
    /// Nothing runs.
    #[error("no cluster is up: `cargo xtask cluster up` starts one")]
    NotUp,
    /// Such a node there is not.
    #[error("there is no node {number}: nodes are counted from 1 to {last}")]
    NoSuchNode {
        /// What was asked for.
        number: u8,
        /// The highest there is.
        last: u8,
    },
    /// The node has no power.
    #[error("{node} is powered off: `cargo xtask cluster node start {number}` starts it")]
    NodeOff {
        /// Its name.
        node: String,
        /// Its number.
        number: u8,
    },
    /// A number of zones that makes no sense.
    #[error("{zones} zones for {nodes} nodes: at least one, and at most one a node")]
    Zones {
        /// Zones asked for.
        zones: u8,
        /// Nodes asked for.
        nodes: u8,
    },
    /// There is no module of this name among the tools.
    #[error("there is no tool `{name}`: {known}")]
    NoSuchTool {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The programs of a module could not be built.
    #[error("building {module} failed ({status}); the whole output is in {log}, its end:\n{said}")]
    Build {
        /// The module's name.
        module: String,
        /// How Go ended.
        status: String,
        /// Where all of its output is.
        log: PathBuf,
        /// The end of it.
        said: String,
    },
    /// A command of the system failed.
    #[error("`{command}` failed ({status}): {said}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it said last.
        said: String,
    },
    /// Something was waited for and did not come.
    #[error("waited {} s for {what}; last seen: {seen}", limit.as_secs())]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        limit: Duration,
        /// What was there instead.
        seen: String,
    },
    /// A daemon ended as soon as it was started.
    #[error("{name} ended at once; {log} ends with:\n{said}")]
    Ended {
        /// Its name.
        name: String,
        /// Its log.
        log: PathBuf,
        /// The end of the log.
        said: String,
    },
    /// What was asked for cannot be done, for the reason given.
    #[error("{0}")]
    Refused(String),
    /// An answer that cannot be understood.
    #[error("cannot read {what}: {reason}")]
    Unreadable {
        /// What was read.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Keys or certificates could not be made.
    #[error("cannot make the certificate of {name}: {reason}")]
    Certificate {
        /// Whose.
        name: String,
        /// Why.
        reason: rcgen::Error,
    },
    /// The system refused.
    #[error("cannot {doing}: {reason}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why it failed.
        reason: io::Error,
    },
}

/// What functions here return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was tried when the system refused it.
pub(crate) trait Doing<T> {
    /// `doing` continues "cannot …".
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::Io {
            doing: doing(),
            reason: error.into(),
        })
    }
}
