//! `KvCluster`s of one name in two namespaces, and of two names in one, never meet.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    kubectl::Kubectl,
    kvcluster::{KvCluster, READY_MAX},
    namespace::Namespace,
    wait,
    world::World,
};

/// How long a refusal may take to be told.
const TOLD_MAX: Duration = Duration::from_secs(30);

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let elsewhere = namespace.another(world, "elsewhere")?;
    let places = [
        (namespace, "demo"),
        (&elsewhere, "demo"),
        (namespace, "other"),
    ];
    for (place, name) in places {
        place.kubectl().apply(&small(name))?;
    }
    let mut ids = BTreeSet::new();
    for (place, name) in places {
        let cluster = KvCluster::named(place, name);
        cluster.ready(READY_MAX)?;
        ids.insert(cluster.placement()?.1);
    }
    ensure!(ids.len() == places.len(), "cluster ids: {ids:?}");
    for (number, (place, name)) in places.into_iter().enumerate() {
        let mut client = world.connect(place, name)?;
        client.put("same-key", &format!("value-{number}"))?;
        client.put(&format!("own-key-{number}"), "here")?;
    }
    for (number, (place, name)) in places.into_iter().enumerate() {
        let mut client = world.connect(place, name)?;
        let value = client.get("same-key")?;
        ensure!(
            value == Some(format!("value-{number}")),
            "{} {name}: {value:?}",
            place.name()
        );
        for other in (0..places.len()).filter(|&other| other != number) {
            let value = client.get(&format!("own-key-{other}"))?;
            ensure!(value.is_none(), "a key of cluster {other} is in {number}");
        }
    }
    a_broker_of_one_at_the_servers_of_the_other(namespace, &elsewhere)?;
    a_disk_of_one_at_a_server_of_the_other(namespace)
}

fn small(name: &str) -> String {
    format!(
        r"
apiVersion: kvasir.dev/v1alpha1
kind: KvCluster
metadata: {{ name: {name} }}
spec:
  copies: 1
  servers: {{ replicas: 1, storage: {{ size: 256Mi }} }}
  brokers: {{ replicas: 1, service: {{ type: NodePort }} }}
"
    )
}

/// A broker with the secret of one cluster, led to the servers of another: it gets nothing from them.
fn a_broker_of_one_at_the_servers_of_the_other(
    namespace: &Namespace,
    elsewhere: &Namespace,
) -> Result<()> {
    let kubectl = namespace.kubectl();
    let demo = KvCluster::named(namespace, "demo");
    let image = demo.status()?["image"].take();
    let image = image.as_str().context("there is an image")?;
    let servers = format!("demo-servers.{}.svc", elsewhere.name());
    kubectl.apply(&format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {{ name: lost }}
data: {{ servers: "{servers} 7400\n" }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: lost }}
spec:
  automountServiceAccountToken: false
  securityContext: {{ runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {{ type: RuntimeDefault }} }}
  containers:
  - name: broker
    image: {image}
    imagePullPolicy: IfNotPresent
    command: [/usr/bin/broker, --servers=/seeds/servers, --no-bootstrap, --serve-only, "--line=0.0.0.0:7600", "--http=0.0.0.0:8080"]
    env: [{{ name: KVASIR_SECRET_FILE, value: /secret/secret }}]
    securityContext: {{ allowPrivilegeEscalation: false, capabilities: {{ drop: [ALL] }} }}
    volumeMounts: [{{ name: seeds, mountPath: /seeds }}, {{ name: secret, mountPath: /secret }}]
  volumes:
  - {{ name: seeds, configMap: {{ name: lost }} }}
  - {{ name: secret, secret: {{ secretName: demo-secret, defaultMode: 288 }} }}
"#
    ))?;
    let said = wait::until("the servers' refusal is told", TOLD_MAX, || {
        let log = kubectl.run(&["logs", "lost"]).unwrap_or_default();
        let mut lines = log.lines();
        let refusal = lines.find(|line| line.contains(&servers) && line.contains("secret"));
        Ok(refusal.map(str::to_owned).ok_or(log))
    })?;
    println!("a broker that was led astray: {said}");
    let path = format!(
        "/api/v1/namespaces/{}/pods/lost:8080/proxy/status",
        namespace.name()
    );
    let status: Value = serde_json::from_str(&kubectl.run(&["get", "--raw", &path])?)?;
    ensure!(
        status["ready"] == false && status["cluster"].is_null(),
        "it has become a broker of the other cluster: {status}"
    );
    kubectl.run(&["delete", "pod", "lost", "--wait=false"])?;
    Ok(())
}

/// The volume of one cluster's server is put where another's was. The other says whose it is, and does
/// not take it for its own.
fn a_disk_of_one_at_a_server_of_the_other(namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let (demo, other) = (
        KvCluster::named(namespace, "demo"),
        KvCluster::named(namespace, "other"),
    );
    let (_, theirs) = other.placement()?;
    kubectl.run(&["delete", "kvcluster", other.name(), "--timeout=60s"])?;
    wait::until_true("its server is gone", READY_MAX, || {
        Ok(kubectl.find(&["pod", "other-server-0"])?.is_none())
    })?;
    let volume = give_volume(
        kubectl,
        "data-other-server-0",
        "data-demo-server-0",
        namespace,
    )?;
    kubectl.run(&["delete", "pvc", "data-demo-server-0", "--wait=false"])?;
    kubectl.run(&["delete", "pod", "demo-server-0", "--wait=false"])?;
    let what = "demo tells of a disk that is not its own";
    let told = wait::until(what, READY_MAX, || {
        let status = demo.status()?;
        let mut operations = status["operations"].as_array().into_iter().flatten();
        let told = operations.find(|operation| {
            let message = operation["message"].as_str().unwrap_or_default();
            operation["member"] == "demo-server-0" && message.contains(&theirs)
        });
        Ok(told
            .cloned()
            .ok_or_else(|| format!("it says {}", status["conditions"])))
    })?;
    println!("another's disk: {}", told["message"]);
    demo.until("Stalled", TOLD_MAX, |stalled| {
        stalled.holds && stalled.message.contains(&theirs)
    })?;
    demo.until("Ready", TOLD_MAX, |ready| !ready.holds)?;
    let (_, id) = demo.placement()?;
    ensure!(id != theirs, "demo has become the other cluster");
    reclaim(kubectl, &volume, "Delete")
}

/// Makes the volume of one claim that of another, which is not there yet or about to be made anew.
fn give_volume(kubectl: &Kubectl, from: &str, to: &str, namespace: &Namespace) -> Result<String> {
    let claim = kubectl.get(&["pvc", from])?;
    let volume = claim["spec"]["volumeName"].as_str();
    let volume = volume.context("the claim has a volume")?;
    reclaim(kubectl, volume, "Retain")?;
    kubectl.run(&["delete", "pvc", from, "--timeout=30s"])?;
    let reference = format!(
        r#"{{"spec":{{"claimRef":{{"namespace":"{}","name":"{to}","uid":null,"resourceVersion":null}}}}}}"#,
        namespace.name()
    );
    kubectl.patch(&["pv", volume], &reference)?;
    Ok(volume.to_owned())
}

/// What becomes of a volume without a claim.
fn reclaim(kubectl: &Kubectl, volume: &str, policy: &str) -> Result<()> {
    let patch = format!(r#"{{"spec":{{"persistentVolumeReclaimPolicy":"{policy}"}}}}"#);
    kubectl.patch(&["pv", volume], &patch)
}
