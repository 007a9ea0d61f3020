//! What can be done to one node of a cluster that is up.

use std::{fs, os::fd::AsFd as _, panic, path::Path, thread};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Cluster, wait_nodes};
use crate::{
    error::{Doing, Error, Result},
    images, node,
    topology::NodeNumber,
};

impl Cluster {
    /// Whether the node has power.
    pub fn is_on(&self, node: NodeNumber) -> bool {
        node::is_on(self.home(), node)
    }

    /// Cuts the node's power, as [`Cluster::power_off`] does, and leaves it at that.
    pub fn stop_node(&self, node: NodeNumber) -> Result<()> {
        node::end(self.home(), node)
    }

    /// Gives the node power, and waits until it is Ready.
    pub fn start_node(&self, node: NodeNumber) -> Result<()> {
        if self.is_on(node) {
            return Ok(());
        }
        let Self { inner } = self;
        let before = self.api().nodes()?;
        node::begin(&inner.home, &inner.programs, inner.topology, node)?;
        node::prepare(&inner.home, node)?;
        node::admit(&inner.home, node)?;
        wait_nodes(&self.api(), &[node], &before)
    }

    /// The command line that runs these words inside the node, in all its namespaces.
    pub fn enter_words(&self, node: NodeNumber) -> Result<Vec<String>> {
        let pid = node::init(self.home(), node)?.pid;
        let words = format!("nsenter --all --target {pid} --");
        Ok(words.split(' ').map(str::to_owned).collect())
    }

    /// Does something on a thread whose sockets are in the node's network: there, Services have
    /// addresses.
    pub fn within_network<T: Send>(
        &self,
        node: NodeNumber,
        act: impl FnOnce() -> T + Send,
    ) -> Result<T> {
        let pid = node::init(self.home(), node)?.pid;
        let place = format!("/proc/{pid}/ns/net");
        let network = fs::File::open(&place).doing(|| format!("open {place}"))?;
        let moved = || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .doing(|| format!("enter the network of {node}"))?;
            Ok(act())
        };
        thread::scope(|scope| {
            let ended = scope.spawn(moved).join();
            ended.unwrap_or_else(|panicked| panic::resume_unwind(panicked))
        })
    }

    /// Runs a command inside the node, at most half a minute, and returns what it wrote.
    pub fn run_in(&self, node: NodeNumber, words: &[&str]) -> Result<String> {
        node::command(self.home(), node, words)?.output()
    }

    /// Brings archives of images to every node, now and whenever one starts. Each archive takes the
    /// place of an earlier one of the same file name; what a node has already it is not given again.
    ///
    /// Pods use such images with `imagePullPolicy: IfNotPresent` or `Never`.
    pub fn load_images(&self, archives: &[impl AsRef<Path>]) -> Result<()> {
        for archive in archives {
            let archive = archive.as_ref();
            if !archive.is_file() {
                let what = format!("there is no file {}", archive.display());
                return Err(Error::Refused(what));
            }
            images::keep(self.home(), archive)?;
        }
        let on = self.topology().nodes().filter(|node| self.is_on(*node));
        super::on_each(on, |node| images::import_missing(self.home(), node))
    }

    /// The same for one archive.
    pub fn load_image(&self, archive: &Path) -> Result<()> {
        self.load_images(&[archive])
    }
}
