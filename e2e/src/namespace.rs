//! A namespace for one scenario, in which only restricted pods may run.

use std::time::Duration;

use anyhow::Result;

use crate::{kubectl::Kubectl, wait, world::World};

/// How long a namespace may take to go.
const GONE_MAX: Duration = Duration::from_secs(90);

/// A namespace that belongs to one scenario.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    kubectl: Kubectl,
}

impl Namespace {
    /// Makes it; one left from a run before is removed first.
    pub(crate) fn make(world: &World, scenario: &str) -> Result<Self> {
        let name = format!("e2e-{}", scenario.replace('_', "-"));
        let namespace = Self {
            kubectl: world.kubectl().within(&name),
            name,
        };
        namespace.delete()?;
        namespace.kubectl.apply(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {}\n  labels:\n    \
             pod-security.kubernetes.io/enforce: restricted\n",
            namespace.name
        ))?;
        Ok(namespace)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `kubectl` in it.
    pub(crate) fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Removes it and waits until it is gone.
    pub(crate) fn delete(&self) -> Result<()> {
        let kubectl = &self.kubectl;
        kubectl.run(&[
            "delete",
            "namespace",
            &self.name,
            "--ignore-not-found",
            "--wait=false",
        ])?;
        wait::until_true(&format!("namespace {} goes", self.name), GONE_MAX, || {
            Ok(kubectl.find(&["namespace", &self.name])?.is_none())
        })
    }

    /// Prints what is in it: the cluster's status, pods, events and the ends of logs.
    pub(crate) fn show(&self) {
        for arguments in [
            &["get", "kvclusters", "-o", "yaml"][..],
            &[
                "get",
                "pods,statefulsets,deployments,services,pvc,configmaps",
                "-o",
                "wide",
            ],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &["describe", "pods"],
        ] {
            self.print(arguments);
        }
        let pods = self.kubectl.list(&["pods"]).unwrap_or_default();
        for pod in pods {
            let name = pod["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            self.print(&["logs", &name, "--all-containers", "--tail=40"]);
        }
    }

    fn print(&self, arguments: &[&str]) {
        println!("--- kubectl {}", arguments.join(" "));
        match self.kubectl.run(arguments) {
            Ok(text) => println!("{text}"),
            Err(error) => println!("{error:#}"),
        }
    }
}
