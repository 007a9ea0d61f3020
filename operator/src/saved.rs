//! A decision made once more, from what was saved of a cluster: for reports of bugs.
//!
//! A directory has the objects as YAML or JSON, in any number of files, and beside them what servers
//! and brokers said: `POD.status.json`, and `POD.placement.json` of a server. Secrets are not needed.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use kube::{ResourceExt, core::PartialObjectMeta, runtime::reflector::Store};
use kvcore::placement::Placement;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    act::apply,
    crd::KvCluster,
    names::Component,
    observe::{
        caches::{Caches, Fill},
        copies::Copies,
        observe,
        prober::Reports,
    },
    observed::Observed,
    plan,
    reconcile::image,
    validate::{Validated, validate},
};

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Most files that are read.
const FILES_MAX: usize = 10_000;

/// Why no plan could be made.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// A file or the directory could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A limit.
    #[error("{}: {what}", path.display())]
    TooMuch {
        /// Which.
        path: PathBuf,
        /// What is too much, and the limit.
        what: String,
    },
    /// What a file has is not what its name or its kind says.
    #[error("{}: {why}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// There is no `KvCluster`, or several and none was named.
    #[error(
        "{0} KvClusters fit: save one with `kubectl get kvcluster NAME -o yaml`, or name one by \
         --cluster NAMESPACE/NAME"
    )]
    Clusters(usize),
    /// The `KvCluster` is not valid, so there is no plan.
    #[error("the KvCluster is not valid: {0}")]
    Invalid(#[from] crate::validate::Invalid),
    /// A look for differences failed.
    #[error("an object cannot be compared: {0}")]
    Compare(#[from] serde_json::Error),
}

/// What was saved.
#[derive(Debug, Default)]
struct Saved {
    objects: Vec<(PathBuf, Value)>,
    statuses: Vec<(PathBuf, String, Value)>,
    held: Vec<Placement>,
}

/// Reads a directory and explains what the operator would do, a line each.
///
/// `cluster` is `NAMESPACE/NAME`, where there are several; `image` stands in where neither the
/// `KvCluster` nor its servers name one.
pub fn explain(directory: &Path, cluster: Option<&str>, image: &str) -> Result<String, SavedError> {
    let saved = Saved::read(directory)?;
    let caches = saved.caches()?;
    let cluster = saved.cluster(cluster)?;
    let in_use = image::in_use(&cluster, &caches);
    let wanted = validate(&cluster, in_use.as_deref().unwrap_or(image))?;
    let reports = saved.reports(&caches)?;
    let mut observed = observe(&wanted, &caches, &reports);
    observed.held = saved.held;
    let mut text = format!(
        "cluster:   {}, generation {}\n",
        wanted.names, wanted.generation
    );
    write_rest(&mut text, &wanted, &observed)?;
    Ok(text)
}

fn write_rest(
    text: &mut String,
    wanted: &Validated,
    observed: &Observed,
) -> Result<(), SavedError> {
    let memory = "a string takes everything";
    for (&ordinal, pod) in &observed.servers {
        let pod_name = wanted.names.server_pod(ordinal);
        let said = match pod.heard.answer() {
            Some(status) if status.ready => format!("ready, epoch {}", status.epoch),
            Some(status) => status.reason.clone().unwrap_or_default(),
            None => "no answer was saved: counts as not asked yet".to_owned(),
        };
        writeln!(text, "server:    {pod_name}: {said}").expect(memory);
    }
    let plan = plan::plan(wanted, observed);
    if wanted.spec.paused {
        writeln!(text, "paused:    nothing of this is done").expect(memory);
    }
    for object in apply::pending(wanted, &observed.objects, &plan.objects)? {
        writeln!(text, "apply:     {object}").expect(memory);
    }
    write!(text, "{plan}").expect(memory);
    Ok(())
}

impl Saved {
    fn read(directory: &Path) -> Result<Self, SavedError> {
        let mut paths = Vec::new();
        let entries = fs::read_dir(directory).map_err(|source| read_error(directory, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| read_error(directory, source))?;
            paths.push(entry.path());
        }
        if paths.len() > FILES_MAX {
            return Err(SavedError::TooMuch {
                path: directory.to_owned(),
                what: format!("{} files, {FILES_MAX} are read at most", paths.len()),
            });
        }
        paths.sort();
        let mut saved = Self::default();
        for path in paths {
            saved.take(&path)?;
        }
        Ok(saved)
    }

    fn take(&mut self, path: &Path) -> Result<(), SavedError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(pod) = name.strip_suffix(".status.json") {
            let status = content(path, serde_json::from_str(&text(path)?))?;
            self.statuses
                .push((path.to_owned(), pod.to_owned(), status));
        } else if name.ends_with(".placement.json") {
            self.held
                .push(content(path, serde_json::from_str(&text(path)?))?);
        } else if [".yaml", ".yml", ".json"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            let text = text(path)?;
            for document in serde_yaml::Deserializer::from_str(&text) {
                self.add(path, content(path, Value::deserialize(document))?);
            }
        }
        Ok(())
    }

    /// Adds an object, or each of a list.
    fn add(&mut self, path: &Path, mut object: Value) {
        match object.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => {
                for item in items {
                    self.add(path, item);
                }
            }
            _ => self.objects.push((path.to_owned(), object)),
        }
    }

    /// All objects of a kind.
    fn of<K: DeserializeOwned>(&self, kind: &str) -> Result<Vec<K>, SavedError> {
        let all = self
            .objects
            .iter()
            .filter(|(_, object)| object["kind"] == kind);
        all.map(|(path, object)| content(path, serde_json::from_value(object.clone())))
            .collect()
    }

    fn caches(&self) -> Result<Caches, SavedError> {
        Ok(Caches {
            secrets: Copies::filled(self.of("Secret")?),
            accounts: Copies::filled(self.of("ServiceAccount")?),
            services: Copies::filled(self.of("Service")?),
            config_maps: Copies::filled(self.of("ConfigMap")?),
            stateful_sets: Copies::filled(self.of("StatefulSet")?),
            deployments: Copies::filled(self.of("Deployment")?),
            budgets: Copies::filled(self.of("PodDisruptionBudget")?),
            policies: Copies::filled(self.of("NetworkPolicy")?),
            claims: Copies::filled(self.of("PersistentVolumeClaim")?),
            pods: Copies::filled(self.of("Pod")?),
            nodes: Some(Store::filled(self.of::<PartialObjectMeta<_>>("Node")?)),
        })
    }

    fn cluster(&self, name: Option<&str>) -> Result<KvCluster, SavedError> {
        let mut all: Vec<KvCluster> = self.of("KvCluster")?;
        all.retain(|cluster| {
            let full = format!(
                "{}/{}",
                cluster.namespace().unwrap_or_default(),
                cluster.name_any()
            );
            name.is_none_or(|name| name == full)
        });
        let count = all.len();
        let only = all.pop().filter(|_| count == 1);
        only.ok_or(SavedError::Clusters(count))
    }

    fn reports(&self, caches: &Caches) -> Result<Reports, SavedError> {
        let reports = Reports::default();
        for (path, name, status) in &self.statuses {
            let pods = caches.pods.all().state();
            let Some(pod) = pods.iter().find(|pod| pod.name_any() == *name) else {
                let why = format!("no pod {name} was saved");
                return content(path, Err(why));
            };
            let uid = pod.uid().unwrap_or_default();
            let component = pod.labels().get("app.kubernetes.io/component");
            if component.map(String::as_str) == Some(Component::Server.as_str()) {
                let status = content(path, serde_json::from_value(status.clone()))?;
                reports.put_server(&uid, status);
            } else {
                let status = content(path, serde_json::from_value(status.clone()))?;
                reports.put_broker(&uid, status);
            }
        }
        Ok(reports)
    }
}

fn text(path: &Path) -> Result<String, SavedError> {
    let bytes = fs::metadata(path)
        .map_err(|source| read_error(path, source))?
        .len();
    if bytes > FILE_BYTES_MAX {
        return Err(SavedError::TooMuch {
            path: path.to_owned(),
            what: format!("{bytes} bytes, {FILE_BYTES_MAX} are read at most"),
        });
    }
    fs::read_to_string(path).map_err(|source| read_error(path, source))
}

fn read_error(path: &Path, source: std::io::Error) -> SavedError {
    SavedError::Read {
        path: path.to_owned(),
        source,
    }
}

fn content<T, E: ToString>(path: &Path, read: Result<T, E>) -> Result<T, SavedError> {
    read.map_err(|why| SavedError::Content {
        path: path.to_owned(),
        why: why.to_string(),
    })
}

#[cfg(test)]
mod tests;
