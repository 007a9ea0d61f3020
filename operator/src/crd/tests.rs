//! What the definition holds, and what a stored resource reads as.

use super::*;

/// The schema of the one version, as JSON.
fn schema() -> serde_json::Value {
    let definition = serde_json::to_value(definition()).expect("it is JSON");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

#[test]
fn an_empty_spec_is_three_servers_with_three_copies_and_two_brokers() {
    let spec: KvClusterSpec = serde_json::from_str("{}").expect("every field has a default");
    assert_eq!(spec, KvClusterSpec::default());
    assert_eq!(spec.copies, 3);
    assert_eq!((spec.servers.replicas, spec.brokers.replicas), (3, 2));
    assert_eq!(
        spec.servers.storage.retention_policy,
        RetentionPolicy::Retain
    );
}

#[test]
fn every_field_says_what_it_is_for() {
    fn walk(path: &str, schema: &serde_json::Value, missing: &mut Vec<String>) {
        let properties = schema["properties"].as_object();
        for (name, field) in properties.into_iter().flatten() {
            let path = format!("{path}.{name}");
            if field["description"].as_str().is_none_or(str::is_empty) {
                missing.push(path.clone());
            }
            walk(&path, field, missing);
        }
        if schema["items"].is_object() {
            walk(&format!("{path}[]"), &schema["items"], missing);
        }
    }
    let mut missing = Vec::new();
    walk("spec", &schema()["properties"]["spec"], &mut missing);
    walk("status", &schema()["properties"]["status"], &mut missing);
    assert!(missing.is_empty(), "without a description: {missing:?}");
}

#[test]
fn defaults_stand_in_the_schema() {
    let spec = &schema()["properties"]["spec"]["properties"];
    assert_eq!(spec["copies"]["default"], 3);
    assert_eq!(spec["consistency"]["default"], "Eventual");
    assert_eq!(spec["servers"]["properties"]["replicas"]["default"], 3);
    assert_eq!(
        spec["servers"]["properties"]["storage"]["properties"]["size"]["default"],
        "10Gi"
    );
    assert_eq!(spec["repair"]["properties"]["after"]["default"], "300s");
}

#[test]
fn the_scale_subresource_and_the_columns_are_there() {
    let definition = serde_json::to_value(definition()).expect("it is JSON");
    let version = &definition["spec"]["versions"][0];
    assert_eq!(
        version["subresources"]["scale"]["specReplicasPath"],
        ".spec.servers.replicas"
    );
    let columns = version["additionalPrinterColumns"]
        .as_array()
        .expect("columns");
    let of = |wide: bool| -> Vec<_> {
        let shown = columns
            .iter()
            .filter(|column| (column["priority"] == 1) == wide);
        shown
            .map(|column| column["name"].as_str().expect("a name"))
            .collect()
    };
    assert_eq!(of(false), ["Ready", "Copies", "Short", "Epoch", "Age"]);
    assert_eq!(of(true), ["Brokers", "Moving", "Image"]);
}

#[test]
fn no_format_is_one_that_kubernetes_does_not_know() {
    let text = serde_json::to_string(&definition()).expect("it is JSON");
    assert!(!text.contains("uint"), "the API server warns of it");
}

/// `kubectl apply` keeps the whole definition in an annotation of 256 KiB at most.
#[test]
fn the_definition_fits_an_annotation() {
    let bytes = serde_json::to_vec(&definition()).expect("it is JSON").len();
    assert!(bytes < 200 * 1024, "the definition has {bytes} bytes");
}

#[test]
fn rules_of_the_definition_tell_what_to_do() {
    let text = serde_json::to_string(&schema()).expect("it is JSON");
    for part in [
        "raise servers.replicas or lower copies",
        "cannot shrink",
        "storage.mode cannot change",
        "be set or be unset",
        "not built yet",
    ] {
        assert!(text.contains(part), "no rule says: {part}");
    }
}
