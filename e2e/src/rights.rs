//! What the operator asked the API server for, held against what its roles grant.
//!
//! The local provider's API server writes requests down. A right that was not asked for is one too
//! many, and a request that was refused for want of a right is one too few.

mod audit;
mod compared;
mod grants;

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _};

use anyhow::{Context, Result, ensure};
use kvasir_cluster::Home;

use crate::{kubectl::Kubectl, world::OPERATOR_NAMESPACE};
pub(crate) use audit::Request;
use compared::Comparison;

/// A verb on a kind of objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    /// The API group; empty for the first one.
    pub(crate) group: String,
    /// Name in the plural, with `/status` or whatever else is behind it.
    pub(crate) resource: String,
    /// What is done.
    pub(crate) verb: String,
}

/// Whether a right that was not used is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unused {
    /// Everything that the operator does was tried.
    Fails,
    /// Only a part was tried.
    IsShown,
}

/// How far the log of requests had been written at some moment.
#[derive(Debug)]
pub(crate) struct Since {
    home: Home,
    /// Bytes of each file, by its number: a file that is put aside gets another name.
    written: BTreeMap<u64, u64>,
}

impl Since {
    /// From now on.
    pub(crate) fn now(home: &Home) -> Result<Self> {
        let mut written = BTreeMap::new();
        for path in home.audit_logs()? {
            let there = fs::metadata(&path)?;
            written.insert(there.ino(), there.len());
        }
        Ok(Self {
            home: home.clone(),
            written,
        })
    }

    /// What operators asked for since then, in order.
    pub(crate) fn requests(&self) -> Result<Vec<Request>> {
        let mut requests = Vec::new();
        for path in self.home.audit_logs()? {
            let file = fs::metadata(&path)?.ino();
            let text =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let skip = self.written.get(&file).copied().unwrap_or(0);
            let skip = usize::try_from(skip)?.min(text.len());
            let text = String::from_utf8_lossy(&text[skip..]);
            requests.extend(text.lines().filter_map(audit::request));
        }
        Ok(requests)
    }

    /// Prints what was used of what is granted; an error where something was refused or, if the run
    /// was a whole one, not used.
    pub(crate) fn check(&self, kubectl: &Kubectl, unused: Unused) -> Result<()> {
        let ours = "app.kubernetes.io/name=kvasir-operator";
        let roles = kubectl.list(&["clusterroles,roles", "-l", ours, "--all-namespaces"])?;
        let accounts = kubectl
            .within(OPERATOR_NAMESPACE)
            .list(&["serviceaccounts", "-l", ours])?;
        let living = accounts
            .iter()
            .filter_map(|account| account["metadata"]["uid"].as_str());
        let living: Vec<&str> = living.collect();
        let requests = self.requests()?;
        ensure!(
            !requests.is_empty(),
            "the API server wrote down no request of the operator"
        );
        let compared = Comparison::of(&grants::granted(&roles)?, &requests, &living);
        println!("\n{compared}");
        compared.judge(unused)
    }
}
