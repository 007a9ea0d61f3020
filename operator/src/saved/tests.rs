//! Saved clusters, written by a test and explained.

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::core::ObjectMeta;
use serde_json::json;

use super::*;
use crate::fixtures;

fn pod(ordinal: i32) -> Pod {
    let names = fixtures::validated().names;
    Pod {
        metadata: ObjectMeta {
            name: Some(names.server_pod(ordinal)),
            namespace: Some(names.namespace.clone()),
            uid: Some(format!("uid-{ordinal}")),
            labels: Some(names.labels(Component::Server)),
            ..ObjectMeta::default()
        },
        status: Some(PodStatus {
            pod_ip: Some(format!("10.1.0.{ordinal}")),
            ..PodStatus::default()
        }),
        ..Pod::default()
    }
}

fn typed(kind: &str, object: &impl serde::Serialize) -> Value {
    let mut object = json!(object);
    object["kind"] = kind.into();
    object
}

/// A cluster of three pods, two of whose answers were saved.
fn saved() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        fs::write(directory.path().join(name), text).expect("it is written");
    };
    let pods: Vec<_> = (0..3).map(|ordinal| typed("Pod", &pod(ordinal))).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": pods});
    let cluster = typed("KvCluster", &fixtures::cluster());
    let yaml = |value: &Value| serde_yaml::to_string(value).expect("YAML");
    write(
        "all.yaml",
        &format!("{}---\n{}", yaml(&cluster), yaml(&list)),
    );
    for ordinal in 0..2 {
        let name = format!(
            "{}.status.json",
            fixtures::validated().names.server_pod(ordinal)
        );
        write(&name, &json!(fixtures::blank(ordinal)).to_string());
    }
    write("notes.txt", "not read");
    directory
}

#[test]
fn a_plan_is_made_from_files_and_says_what_it_waits_for() {
    let directory = saved();
    let text = explain(directory.path(), None, "registry.local/kvasir:1").expect("a plan");
    for part in [
        "cluster:   shop/carts, generation 4",
        "server:    carts-server-2: no answer was saved",
        "apply:     StatefulSet carts-server",
        "placement: keep what is recorded",
        "carts-server-2",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn with_the_last_answer_the_first_placement_is_made() {
    let directory = saved();
    let status = json!(fixtures::blank(2)).to_string();
    fs::write(directory.path().join("carts-server-2.status.json"), status).expect("written");
    let text = explain(directory.path(), Some("shop/carts"), "i").expect("a plan");
    assert!(text.contains("record epoch 1"), "{text}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let directory = saved();
    let wrong = explain(directory.path(), Some("shop/other"), "i").expect_err("none fits");
    assert!(wrong.to_string().starts_with("0 KvClusters fit"), "{wrong}");
    for (name, text, why) in [
        ("nobody.status.json", "{}", "no pod nobody"),
        ("carts-server-0.placement.json", "{}", "missing field"),
        ("broken.yaml", "a: [", "broken.yaml"),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("written");
        let error = explain(directory.path(), None, "i").expect_err("it is wrong");
        assert!(error.to_string().contains(why), "{error}");
        fs::remove_file(path).expect("removed");
    }
    let missing =
        explain(&directory.path().join("missing"), None, "i").expect_err("it is not there");
    assert!(missing.to_string().contains("missing"), "{missing}");
}
