//! The reference of `KvCluster`, as Markdown made from the schema.

use std::fmt::Write as _;

use serde_json::Value;

/// Fields below which only their own description is told: they are Kubernetes' own, and documented
/// there.
const KUBERNETES: &[&str] = &[
    "affinity",
    "conditions",
    "imagePullSecrets",
    "resources",
    "tolerations",
    "topologySpreadConstraints",
];

/// The page.
pub(super) fn text(definition: &Value) -> String {
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut page = String::from(
        "# KvCluster\n\n\
         Written by `cargo xtask generate` from the definition; `kubectl explain kvcluster.spec` tells the\n\
         same. API version `kvasir.dev/v1alpha1`, short name `kv`.\n",
    );
    for part in ["spec", "status"] {
        let _ = writeln!(
            page,
            "\n## {part}\n\n| field | type | default | what |\n|---|---|---|---|"
        );
        rows(part, &schema["properties"][part], &mut page);
    }
    page.push_str("\n## Rules\n\nThe API server refuses what breaks one of these.\n\n");
    rules("", schema, &mut page);
    page
}

fn rows(path: &str, schema: &Value, page: &mut String) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let default = match &field["default"] {
            Value::Null | Value::Object(_) => String::new(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let what = field["description"].as_str().unwrap_or_default();
        let what = what
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace('|', "\\|");
        let _ = writeln!(page, "| `{path}` | {} | {default} | {what} |", kind(field));
        if KUBERNETES.contains(&name.as_str()) {
            continue;
        }
        rows(&path, field, page);
        rows(&format!("{path}[]"), &field["items"], page);
    }
}

fn kind(field: &Value) -> String {
    let values = field["enum"].as_array().into_iter().flatten();
    let values: Vec<_> = values
        .filter_map(Value::as_str)
        .map(|value| format!("`{value}`"))
        .collect();
    if !values.is_empty() {
        return values.join(" or ");
    }
    if field["x-kubernetes-int-or-string"] == true {
        return "amount".to_owned();
    }
    let kind = field["type"].as_str().unwrap_or("object");
    let range = match (field["minimum"].as_f64(), field["maximum"].as_f64()) {
        (Some(min), Some(max)) => format!(" {min} to {max}"),
        _ => String::new(),
    };
    format!("{kind}{range}")
}

fn rules(path: &str, schema: &Value, page: &mut String) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let message = rule["message"].as_str().unwrap_or_default();
        let place = if path.is_empty() { "the whole" } else { path };
        let _ = writeln!(page, "- {place}: {message}");
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        rules(&path, field, page);
    }
}
