//! A namespace for one scenario, in which only restricted pods may run.

use std::{cell::RefCell, rc::Rc, time::Duration};

use anyhow::Result;

use crate::{kubectl::Kubectl, wait, world::World};

/// What names of scenarios' namespaces begin with.
const PREFIX: &str = "e2e-";

/// How long a namespace may take to go.
const GONE_MAX: Duration = Duration::from_secs(90);

/// A namespace that belongs to one scenario.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    kubectl: Kubectl,
    /// Others that the scenario made; they go with this one.
    others: RefCell<Vec<Rc<Self>>>,
}

impl Namespace {
    /// Makes it; one left from a run before is removed first.
    pub(crate) fn make(world: &World, scenario: &str) -> Result<Self> {
        let name = format!("{PREFIX}{}", scenario.replace('_', "-"));
        let namespace = Self {
            kubectl: world.kubectl().within(&name),
            name,
            others: RefCell::default(),
        };
        namespace.begin_delete()?;
        namespace.wait_gone(GONE_MAX)?;
        namespace.remake()?;
        Ok(namespace)
    }

    /// Makes it, once it is gone.
    pub(crate) fn remake(&self) -> Result<()> {
        self.kubectl.apply(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {}\n  labels:\n    \
             pod-security.kubernetes.io/enforce: restricted\n",
            self.name
        ))
    }

    /// Has it enforce another Pod Security standard.
    pub(crate) fn enforce(&self, standard: &str) -> Result<()> {
        let label = format!("pod-security.kubernetes.io/enforce={standard}");
        let kubectl = &self.kubectl;
        kubectl.run(&["label", "--overwrite", "namespace", &self.name, &label])?;
        Ok(())
    }

    /// Makes one more for the same scenario.
    pub(crate) fn another(&self, world: &World, suffix: &str) -> Result<Rc<Self>> {
        let scenario = self.name.trim_start_matches(PREFIX);
        let other = Rc::new(Self::make(world, &format!("{scenario}-{suffix}"))?);
        self.others.borrow_mut().push(Rc::clone(&other));
        Ok(other)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `kubectl` in it.
    pub(crate) fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Has it removed, and what was made beside it, without waiting.
    pub(crate) fn begin_delete_all(&self) -> Result<()> {
        self.begin_delete()?;
        let others = self.others.borrow();
        others.iter().try_for_each(|other| other.begin_delete())
    }

    /// Waits until it is gone, and what was made beside it.
    pub(crate) fn wait_all_gone(&self) -> Result<()> {
        self.wait_gone(GONE_MAX)?;
        let others = self.others.borrow();
        others
            .iter()
            .try_for_each(|other| other.wait_gone(GONE_MAX))
    }

    /// Has it removed, without waiting.
    pub(crate) fn begin_delete(&self) -> Result<()> {
        self.kubectl.run(&[
            "delete",
            "namespace",
            &self.name,
            "--ignore-not-found",
            "--wait=false",
        ])?;
        Ok(())
    }

    /// Waits until it is gone.
    pub(crate) fn wait_gone(&self, limit: Duration) -> Result<()> {
        let kubectl = &self.kubectl;
        wait::until_true(&format!("namespace {} goes", self.name), limit, || {
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
        for other in self.others.borrow().iter() {
            println!("=== namespace {}", other.name);
            other.show();
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
