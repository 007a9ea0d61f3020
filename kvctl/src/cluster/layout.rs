//! Where a local cluster's files and ports are.

use std::path::{Path, PathBuf};

/// The data directory unless one is given.
pub const DATA_DIR_DEFAULT: &str = "kvasir-data";

/// First port unless one is given: the trie server's own default.
pub const PORT_BASE_DEFAULT: u16 = 7400;

/// Highest first port that leaves room for all others.
pub const PORT_BASE_MAX: u16 = u16::MAX - HTTP_OFFSET - crate::limits::BROKERS_MAX;

const LINE_OFFSET: u16 = 200;
const HTTP_OFFSET: u16 = 680;

const _: () = assert!(2 * crate::limits::SERVERS_MAX <= LINE_OFFSET);
const _: () = assert!(LINE_OFFSET + crate::limits::BROKERS_MAX <= HTTP_OFFSET);

/// The files of one local cluster.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The cluster in this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The cluster's secret.
    pub fn secret(&self) -> PathBuf {
        self.root.join("secret")
    }

    /// What runs where.
    pub fn state(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    /// Held while the state is being changed.
    pub fn state_lock(&self) -> PathBuf {
        self.root.join("cluster.lock")
    }

    /// The data of server `number`, from 1.
    pub fn server(&self, number: u16) -> PathBuf {
        self.root.join(format!("server-{number}"))
    }

    /// The list of servers in the form that `broker -s` reads.
    pub fn server_file(&self) -> PathBuf {
        self.root.join("servers.txt")
    }

    /// What a process says.
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }
}

/// The ports of one local cluster, all derived from the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    base: u16,
}

impl Ports {
    /// Ports from `base` on, at most [`PORT_BASE_MAX`].
    pub fn new(base: u16) -> Self {
        Self { base }
    }

    /// Peer port of server `number`, from 1.
    pub fn peer(self, number: u16) -> u16 {
        self.base + 2 * (number - 1)
    }

    /// Admin port of server `number`, from 1.
    pub fn admin(self, number: u16) -> u16 {
        self.peer(number) + 1
    }

    /// Line protocol port of broker `number`, from 1; 7600 for the first by default.
    pub fn line(self, number: u16) -> u16 {
        self.base + LINE_OFFSET + number - 1
    }

    /// HTTP port of broker `number`, from 1; 8080 for the first by default.
    pub fn http(self, number: u16) -> u16 {
        self.base + HTTP_OFFSET + number - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_ports_are_the_documented_ones_and_none_is_used_twice() {
        let ports = Ports::new(PORT_BASE_DEFAULT);
        assert_eq!((ports.peer(1), ports.admin(1)), (7400, 7401));
        assert_eq!((ports.line(1), ports.http(1)), (7600, 8080));
        let ports = Ports::new(PORT_BASE_MAX);
        let servers =
            (1..=crate::limits::SERVERS_MAX).flat_map(|n| [ports.peer(n), ports.admin(n)]);
        let brokers = (1..=crate::limits::BROKERS_MAX).flat_map(|n| [ports.line(n), ports.http(n)]);
        let mut all: Vec<_> = servers.chain(brokers).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
