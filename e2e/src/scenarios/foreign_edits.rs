//! Somebody changes, adds to and deletes what the operator has made.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    kubectl::Kubectl,
    kvcluster::{Component, KvCluster, READY_MAX},
    namespace::Namespace,
    wait,
    world::World,
};

/// How soon it is as it was.
const SOON: Duration = Duration::from_secs(10);

/// Who changes it.
const SOMEBODY: &str = "--field-manager=somebody";

/// A change: the object, a JSON patch's operation, and where it shows.
struct Edit {
    object: &'static str,
    operation: &'static str,
    path: &'static str,
    value: &'static str,
}

const fn edit(
    object: &'static str,
    operation: &'static str,
    path: &'static str,
    value: &'static str,
) -> Edit {
    Edit {
        object,
        operation,
        path,
        value,
    }
}

/// What is the operator's, and put back.
const PUT_BACK: &[Edit] = &[
    edit(
        "statefulset/demo-server",
        "replace",
        "/spec/template/spec/containers/0/args/5",
        r#""--sync=never""#,
    ),
    edit("statefulset/demo-server", "replace", "/spec/replicas", "2"),
    edit(
        "statefulset/demo-server",
        "replace",
        "/spec/updateStrategy",
        r#"{"type":"RollingUpdate"}"#,
    ),
    edit(
        "deployment/demo-broker",
        "replace",
        "/spec/template/spec/containers/0/args/3",
        r#""--drain=0""#,
    ),
    edit("deployment/demo-broker", "replace", "/spec/replicas", "1"),
    edit(
        "service/demo-servers",
        "replace",
        "/spec/ports/1/port",
        "7499",
    ),
    edit("service/demo", "replace", "/spec/ports/0/port", "7601"),
    edit(
        "service/demo",
        "add",
        "/spec/selector/somebody",
        r#""was-here""#,
    ),
    edit("networkpolicy/demo-server", "add", "/spec/ingress/-", "{}"),
    edit(
        "service/demo",
        "replace",
        "/spec/ports/0/targetPort",
        r#""http""#,
    ),
    edit(
        "service/demo",
        "replace",
        "/spec/selector/app.kubernetes.io~1component",
        r#""server""#,
    ),
    edit(
        "service/demo-servers",
        "replace",
        "/spec/publishNotReadyAddresses",
        "false",
    ),
    edit(
        "service/demo-servers",
        "replace",
        "/metadata/labels/app.kubernetes.io~1part-of",
        r#""other""#,
    ),
    edit(
        "poddisruptionbudget/demo-server",
        "replace",
        "/spec/maxUnavailable",
        "3",
    ),
    edit(
        "poddisruptionbudget/demo-broker",
        "remove",
        "/metadata/labels/app.kubernetes.io~1managed-by",
        "",
    ),
    edit(
        "networkpolicy/demo-server",
        "remove",
        "/spec/ingress/0/from",
        "",
    ),
    edit(
        "networkpolicy/demo-broker",
        "replace",
        "/spec/podSelector/matchLabels/app.kubernetes.io~1component",
        r#""server""#,
    ),
    edit(
        "serviceaccount/demo-server",
        "replace",
        "/automountServiceAccountToken",
        "true",
    ),
    edit(
        "configmap/demo-seeds",
        "replace",
        "/data/servers",
        r#""elsewhere 7400\n""#,
    ),
];

/// What is somebody's own, and stays.
const STAYS: &[Edit] = &[
    edit(
        "service/demo",
        "add",
        "/metadata/labels/somebody",
        r#""was-here""#,
    ),
    edit(
        "service/demo",
        "add",
        "/metadata/annotations/somebody",
        r#""was here""#,
    ),
    edit(
        "service/demo",
        "add",
        "/spec/ports/-",
        r#"{"name":"extra","port":9999,"targetPort":7600}"#,
    ),
    edit(
        "service/demo",
        "add",
        "/spec/sessionAffinity",
        r#""ClientIP""#,
    ),
    edit(
        "statefulset/demo-server",
        "add",
        "/metadata/annotations/somebody",
        r#""was here""#,
    ),
    edit(
        "deployment/demo-broker",
        "add",
        "/spec/minReadySeconds",
        "1",
    ),
    edit(
        "poddisruptionbudget/demo-server",
        "add",
        "/metadata/labels/somebody",
        r#""was-here""#,
    ),
    edit(
        "serviceaccount/demo-broker",
        "add",
        "/metadata/labels/somebody",
        r#""was-here""#,
    ),
];

/// What is deleted, and made again.
const DELETED: &[&str] = &[
    "service/demo",
    "service/demo-servers",
    "poddisruptionbudget/demo-server",
    "networkpolicy/demo-server",
    "serviceaccount/demo-server",
    "serviceaccount/demo-broker",
    "configmap/demo-seeds",
    "secret/demo-secret",
    "deployment/demo-broker",
];

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let demo = KvCluster::applied(namespace, "demo", &world.basic()?)?;
    world.connect(namespace, "demo")?.put("kept", "yes")?;
    let servers = demo.uids(Component::Server)?;
    added(kubectl)?;
    changed(kubectl)?;
    demo.ready(READY_MAX)?;
    for edit in STAYS {
        let now = value_at(kubectl, edit)?;
        let wanted: Value = serde_json::from_str(edit.value)?;
        ensure!(
            covers(&now, &wanted),
            "{}: {} is {now} now, {wanted} was taken away",
            edit.object,
            edit.path
        );
    }
    // The third went with the edit of replicas.
    let now = demo.uids(Component::Server)?;
    for pod in ["demo-server-0", "demo-server-1"] {
        ensure!(now.get(pod) == servers.get(pod), "{pod} was restarted");
    }
    deleted(kubectl)?;
    orphaned(&demo, kubectl)?;
    demo.ready(READY_MAX)?;
    let kept = world.connect(namespace, "demo")?.get("kept")?;
    ensure!(kept.as_deref() == Some("yes"), "the data is {kept:?}");
    Ok(())
}

/// Adds what is somebody's own.
fn added(kubectl: &Kubectl) -> Result<()> {
    STAYS
        .iter()
        .try_for_each(|edit| apply(kubectl, edit).map(|_| ()))
}

/// Changes everything that is the operator's, and waits until it is as it was.
fn changed(kubectl: &Kubectl) -> Result<()> {
    let mut before = Vec::new();
    for edit in PUT_BACK {
        let was = value_at(kubectl, edit)?;
        let patched = apply(kubectl, edit)?;
        let now = patched.pointer(edit.path).cloned().unwrap_or_default();
        ensure!(
            now != was,
            "{}: {} is {was} already",
            edit.object,
            edit.path
        );
        before.push(was);
    }
    for (edit, was) in PUT_BACK.iter().zip(before) {
        let what = format!("{}: {} is put back", edit.object, edit.path);
        wait::until(&what, SOON, || {
            let now = value_at(kubectl, edit)?;
            Ok(if now == was {
                Ok(())
            } else {
                Err(format!("it is {now}, and was {was}"))
            })
        })?;
    }
    Ok(())
}

/// Deletes objects, one of each kind at least, and waits until there are others.
fn deleted(kubectl: &Kubectl) -> Result<()> {
    let mut before = BTreeMap::new();
    for object in DELETED {
        let there = kubectl.get(&[object])?;
        before.insert(object, there["metadata"]["uid"].clone());
    }
    let arguments = [&["delete", "--wait=false"], DELETED].concat();
    kubectl.run(&arguments)?;
    for (object, uid) in before {
        is_another(kubectl, object, &uid)?;
    }
    Ok(())
}

/// The StatefulSet alone goes, its pods stay: they are the new one's.
fn orphaned(demo: &KvCluster, kubectl: &Kubectl) -> Result<()> {
    let object = "statefulset/demo-server";
    demo.ready(READY_MAX)?;
    let servers = demo.uids(Component::Server)?;
    let uid = kubectl.get(&[object])?["metadata"]["uid"].take();
    kubectl.run(&["delete", object, "--cascade=orphan", "--wait=false"])?;
    is_another(kubectl, object, &uid)?;
    demo.ready(READY_MAX)?;
    let now = demo.uids(Component::Server)?;
    ensure!(now == servers, "pods were {servers:?} and are {now:?}");
    Ok(())
}

fn is_another(kubectl: &Kubectl, object: &str, before: &Value) -> Result<()> {
    wait::until_true(&format!("{object} is made again"), SOON, || {
        let now = kubectl.find(&[object])?;
        Ok(now.is_some_and(|now| now["metadata"]["uid"] != *before))
    })
}

/// Makes the change; the object as it is right after.
fn apply(kubectl: &Kubectl, edit: &Edit) -> Result<Value> {
    let Edit {
        object,
        operation,
        path,
        value,
    } = edit;
    let value = if value.is_empty() {
        String::new()
    } else {
        format!(r#","value":{value}"#)
    };
    let patch = format!(r#"[{{"op":"{operation}","path":"{path}"{value}}}]"#);
    let arguments = ["patch", object, "--type=json", "--patch", &patch, SOMEBODY];
    let text = kubectl.run(&[&arguments[..], &["-o", "json"]].concat())?;
    serde_json::from_str(&text).context("kubectl printed no JSON")
}

/// What an object has there; the whole list where something is added to one.
fn value_at(kubectl: &Kubectl, edit: &Edit) -> Result<Value> {
    let object = kubectl.get(&[edit.object])?;
    let path = edit.path.trim_end_matches("/-");
    Ok(object.pointer(path).cloned().unwrap_or_default())
}

/// Whether it is this, or has all of it in it: the API server fills in the rest.
fn covers(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Array(there), wanted) => there.iter().any(|there| covers(there, wanted)),
        (Value::Object(there), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| there.get(key) == Some(wanted)),
        (there, wanted) => there == wanted,
    }
}
