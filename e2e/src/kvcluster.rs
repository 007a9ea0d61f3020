//! One `KvCluster` as a scenario sees it: what it says of itself, and its pods.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{kubectl::Kubectl, namespace::Namespace, wait};

/// How long a small one may take from apply to ready.
pub(crate) const READY_MAX: Duration = Duration::from_mins(1);

/// A `KvCluster` by its name.
#[derive(Debug, Clone)]
pub(crate) struct KvCluster {
    kubectl: Kubectl,
    name: String,
}

/// Whose pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    Server,
    Broker,
}

impl Component {
    /// As labels have it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Broker => "broker",
        }
    }
}

/// Whether a pod may end its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Orderly,
    Killed,
}

/// A condition of a status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) holds: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// When it last began or ceased to hold.
    pub(crate) since: String,
}

impl KvCluster {
    /// The one of this name, whether it is there or not.
    pub(crate) fn named(namespace: &Namespace, name: &str) -> Self {
        Self {
            kubectl: namespace.kubectl().clone(),
            name: name.to_owned(),
        }
    }

    /// Applies YAML that has this one in it, and waits until it is ready.
    pub(crate) fn applied(namespace: &Namespace, name: &str, yaml: &str) -> Result<Self> {
        namespace.kubectl().apply(yaml)?;
        let cluster = Self::named(namespace, name);
        cluster.ready(READY_MAX)?;
        Ok(cluster)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The object.
    pub(crate) fn object(&self) -> Result<Value> {
        self.kubectl.get(&["kvcluster", &self.name])
    }

    /// Its status.
    pub(crate) fn status(&self) -> Result<Value> {
        Ok(self.object()?["status"].take())
    }

    /// Changes its spec by a merge patch.
    pub(crate) fn patch(&self, spec: &str) -> Result<()> {
        let patch = format!(r#"{{"spec":{spec}}}"#);
        self.kubectl.patch(&["kvcluster", &self.name], &patch)
    }

    /// Waits until it says that it is ready, for the spec as it is.
    pub(crate) fn ready(&self, limit: Duration) -> Result<()> {
        wait::until(&format!("KvCluster {} is ready", self.name), limit, || {
            let object = self.object()?;
            let is_current =
                object["status"]["observedGeneration"] == object["metadata"]["generation"];
            Ok(match condition(&object["status"], "Ready") {
                Some(ready) if ready.holds && is_current => Ok(()),
                Some(ready) => Err(ready.message),
                None => Err("it has no status yet".to_owned()),
            })
        })
    }

    /// Waits until one of its conditions is as it should be.
    pub(crate) fn until(
        &self,
        kind: &str,
        limit: Duration,
        should: impl Fn(&Condition) -> bool,
    ) -> Result<Condition> {
        let what = format!("KvCluster {}: condition {kind}", self.name);
        wait::until(&what, limit, || {
            let found = condition(&self.status()?, kind).unwrap_or_default();
            Ok(if should(&found) {
                Ok(found)
            } else {
                Err(format!("{found:?}"))
            })
        })
    }

    /// The label selector of its pods of this kind.
    fn selector(&self, component: Component) -> String {
        format!(
            "app.kubernetes.io/instance={},app.kubernetes.io/component={}",
            self.name,
            component.label()
        )
    }

    /// Its pods of this kind.
    pub(crate) fn pods(&self, component: Component) -> Result<Vec<Value>> {
        self.kubectl
            .list(&["pods", "-l", &self.selector(component)])
    }

    /// Names and UIDs of its pods of this kind.
    pub(crate) fn uids(&self, component: Component) -> Result<BTreeMap<String, String>> {
        let pods = self.pods(component)?;
        let text = |pod: &Value, field: &str| {
            let value = pod["metadata"][field].as_str();
            value.unwrap_or_default().to_owned()
        };
        let each = pods.iter().map(|pod| (text(pod, "name"), text(pod, "uid")));
        Ok(each.collect())
    }

    /// Deletes its pods of this kind, all at once.
    pub(crate) fn delete_pods(&self, component: Component, ending: Ending) -> Result<()> {
        let selector = self.selector(component);
        let mut arguments = vec!["delete", "pods", "-l", &selector, "--wait=false"];
        if ending == Ending::Killed {
            arguments.extend(["--grace-period=0", "--force"]);
        }
        self.kubectl.run(&arguments)?;
        Ok(())
    }

    /// Waits until there are as many pods of this kind as before, ready, and none of them is one of
    /// those.
    pub(crate) fn replaced(
        &self,
        component: Component,
        before: &BTreeMap<String, String>,
        limit: Duration,
    ) -> Result<()> {
        let what = format!("other {} pods are ready", component.label());
        wait::until(&what, limit, || {
            let pods = self.pods(component)?;
            let new = pods.iter().filter(|pod| {
                let uid = pod["metadata"]["uid"].as_str();
                before.values().all(|old| Some(old.as_str()) != uid)
                    && condition(&pod["status"], "Ready").is_some_and(|ready| ready.holds)
            });
            let count = new.count();
            Ok(if count == before.len() && pods.len() == before.len() {
                Ok(())
            } else {
                Err(format!("{count} of {} are", before.len()))
            })
        })
    }

    /// Names of the members on its disks.
    pub(crate) fn members(&self) -> Result<Vec<String>> {
        let status = self.status()?;
        let members = status["members"].as_array().into_iter().flatten();
        let ids = members.filter_map(|member| member["id"].as_str().map(str::to_owned));
        Ok(ids.collect())
    }

    /// Number of its placement, and the name of the cluster on its disks.
    pub(crate) fn placement(&self) -> Result<(u64, String)> {
        let status = self.status()?;
        let id = status["clusterId"].as_str().unwrap_or_default().to_owned();
        ensure!(!id.is_empty(), "{} has no cluster id", self.name);
        Ok((status["epoch"].as_u64().unwrap_or_default(), id))
    }
}

/// A condition in a status, of whatever kind of object.
pub(crate) fn condition(status: &Value, kind: &str) -> Option<Condition> {
    let mut all = status["conditions"].as_array().into_iter().flatten();
    let found = all.find(|condition| condition["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some(Condition {
        holds: found["status"] == "True",
        reason: text("reason"),
        message: text("message"),
        since: text("lastTransitionTime"),
    })
}
