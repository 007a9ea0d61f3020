//! JSON schemas of everything that the manifests are made of, without a download of their own: those
//! of Kubernetes come from the module that the local cluster is built from.
//!
//! They are strict: what is not in a schema is an error, where the API server drops it silently.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::command::Command;

/// The kinds of one Go module.
struct Source {
    /// Directory of the module that pins it.
    pin: &'static str,
    module: &'static str,
    file: &'static str,
}

const KUBERNETES: Source = Source {
    pin: "e2e/tools/kubernetes",
    module: "k8s.io/kubernetes",
    file: "api/openapi-spec/swagger.json",
};

const SERVICE_MONITOR: Source = Source {
    pin: "e2e/tools/prometheus-operator",
    module: "github.com/prometheus-operator/prometheus-operator",
    file: "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
};

/// What every object has beside what its definition says.
const METADATA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The file that all of Kubernetes' own definitions are in.
const DEFINITIONS: &str = "definitions.json";

/// How kubeconform finds a schema in the directory.
pub(super) const TEMPLATE: &str = "{{.ResourceKind}}_{{.Group}}_{{.ResourceAPIVersion}}.json";

/// Writes all of them into a directory; `definition` is the one of `KvCluster`, as YAML.
pub(super) fn write(root: &Path, definition: &str, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    let mut files = kubernetes(&serde_json::from_str(&KUBERNETES.text(root)?)?)?;
    files.extend(custom(&serde_yaml::from_str(definition)?)?);
    files.extend(custom(&serde_yaml::from_str(
        &SERVICE_MONITOR.text(root)?,
    )?)?);
    for (name, schema) in files {
        fs::write(directory.join(name), schema.to_string())?;
    }
    Ok(())
}

impl Source {
    fn text(&self, root: &Path) -> Result<String> {
        // Nothing is asked of anybody where the module is there already.
        let arguments = ["mod", "download", "-json", self.module];
        let told = Command::new(&root.join(self.pin), "go", &arguments).output()?;
        let told: Value = serde_json::from_str(&told).context("go printed no JSON")?;
        let place = told["Dir"].as_str().context("go names no directory")?;
        let file = PathBuf::from(place).join(self.file);
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    }
}

/// The files of Kubernetes' own kinds, by name: small ones, which point into a large one.
fn kubernetes(specification: &Value) -> Result<Vec<(String, Value)>> {
    let mut definitions = specification["definitions"].clone();
    let all = definitions
        .as_object_mut()
        .context("the specification has no definitions")?;
    let mut files = Vec::new();
    for (name, definition) in all.iter_mut() {
        close(definition);
        let kinds = definition["x-kubernetes-group-version-kind"].as_array();
        // Those of every group, such as DeleteOptions, are no objects.
        for kind in kinds.into_iter().flatten().filter(|_| !is_shared(name)) {
            let text = |field: &str| kind[field].as_str().unwrap_or_default();
            files.push((
                file_name(text("kind"), text("group"), text("version")),
                json!({"$ref": format!("{DEFINITIONS}#/definitions/{name}")}),
            ));
        }
    }
    // Numbers are read as well, though the specification speaks of texts alone.
    all.insert(
        "io.k8s.apimachinery.pkg.api.resource.Quantity".to_owned(),
        json!({"type": ["string", "number"]}),
    );
    all.insert(
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString".to_owned(),
        json!({"type": ["string", "integer"]}),
    );
    ensure!(!files.is_empty(), "the specification names no kinds");
    files.push((
        DEFINITIONS.to_owned(),
        json!({ "definitions": definitions }),
    ));
    Ok(files)
}

fn is_shared(name: &str) -> bool {
    name.starts_with("io.k8s.apimachinery.")
}

/// The files of the kind that a `CustomResourceDefinition` defines, one a version.
fn custom(definition: &Value) -> Result<Vec<(String, Value)>> {
    let spec = &definition["spec"];
    let (kind, group) = (spec["names"]["kind"].as_str(), spec["group"].as_str());
    let (kind, group) = kind.zip(group).context("it is no definition of a kind")?;
    let mut files = Vec::new();
    for version in spec["versions"].as_array().into_iter().flatten() {
        let mut schema = version["schema"]["openAPIV3Schema"].clone();
        let properties = schema["properties"]
            .as_object_mut()
            .context("the definition has no fields")?;
        properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
        properties.insert("kind".to_owned(), json!({"type": "string"}));
        let metadata = json!({"$ref": format!("{DEFINITIONS}#/definitions/{METADATA}")});
        properties.insert("metadata".to_owned(), metadata);
        close(&mut schema);
        let version = version["name"].as_str().unwrap_or_default();
        files.push((file_name(kind, group, version), schema));
    }
    ensure!(!files.is_empty(), "the definition has no version");
    Ok(files)
}

/// As kubeconform asks for it: where there is no group, it takes the version for one.
fn file_name(kind: &str, group: &str, version: &str) -> String {
    let group = if group.is_empty() { version } else { group };
    format!("{}_{group}_{version}.json", kind.to_lowercase())
}

/// Allows no field that is not listed, here and everywhere below.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if is_listing(fields) {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            if fields.get("x-kubernetes-int-or-string") == Some(&json!(true)) {
                fields.remove("anyOf");
                fields.insert("type".to_owned(), json!(["string", "number"]));
            } else if fields.get("nullable") == Some(&json!(true))
                && let Some(Value::String(one)) = fields.get("type").cloned()
            {
                fields.insert("type".to_owned(), json!([one, "null"]));
            }
        }
        Value::Array(all) => all.iter_mut().for_each(close),
        _ => {}
    }
}

/// Whether it is a schema that lists its fields, rather than a list of fields of which one is named
/// `properties`: that one has more than objects in it.
fn is_listing(fields: &Map<String, Value>) -> bool {
    let lists = fields.get("properties").is_some_and(|properties| {
        let mut all = properties.as_object().into_iter().flat_map(Map::values);
        properties.is_object() && all.all(Value::is_object)
    });
    let is_open = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    lists && !is_open && !fields.contains_key("additionalProperties")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_not_listed_is_allowed() {
        let mut schema = json!({
            "properties": {
                "inner": {"properties": {"a": {"type": "string"}}},
                "open": {"properties": {}, "x-kubernetes-preserve-unknown-fields": true},
                "map": {"additionalProperties": {"type": "string"}},
                "properties": {"type": "object"},
                "size": {"x-kubernetes-int-or-string": true, "anyOf": []},
                "none": {"type": "integer", "nullable": true},
            },
        });
        close(&mut schema);
        assert_eq!(schema["additionalProperties"], false);
        let fields = &schema["properties"];
        assert!(fields.get("additionalProperties").is_none(), "{fields}");
        assert_eq!(fields["inner"]["additionalProperties"], false);
        assert!(fields["open"].get("additionalProperties").is_none());
        assert!(fields["map"]["additionalProperties"].is_object());
        assert_eq!(
            fields["size"],
            json!({"type": ["string", "number"], "x-kubernetes-int-or-string": true})
        );
        assert_eq!(fields["none"]["type"], json!(["integer", "null"]));
    }

    #[test]
    fn kinds_are_found_under_the_names_that_are_asked_for() {
        let kind = |group: &str| json!([{"group": group, "kind": "One", "version": "v1"}]);
        let specification = json!({"definitions": {
            "io.k8s.api.One": {"x-kubernetes-group-version-kind": kind("")},
            "io.k8s.api.Other": {"x-kubernetes-group-version-kind": kind("apps")},
            "io.k8s.apimachinery.All": {"x-kubernetes-group-version-kind": kind("apps")},
        }});
        let files = kubernetes(&specification).expect("it has definitions");
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["one_v1_v1.json", "one_apps_v1.json", DEFINITIONS]);
    }
}
