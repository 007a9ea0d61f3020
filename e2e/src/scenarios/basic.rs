//! Apply the basic example, wait, put and get.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::{namespace::Namespace, world::World};

/// How long it may take from apply to ready.
const READY_MAX: Duration = Duration::from_mins(1);

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let began = Instant::now();
    kubectl.apply(&world.file("manifests/examples/basic.yaml")?)?;
    World::wait_ready(namespace, "demo", READY_MAX)?;
    println!("ready after {:.1} s", began.elapsed().as_secs_f64());
    let cluster = kubectl.get(&["kvcluster", "demo"])?;
    let status = &cluster["status"];
    ensure!(status["ready"] == "3/3", "ready: {}", status["ready"]);
    ensure!(
        status["readyBrokers"] == 2,
        "brokers: {}",
        status["readyBrokers"]
    );
    ensure!(
        status["slots"]["satisfied"] == 1024,
        "slots: {}",
        status["slots"]
    );
    let zones: std::collections::BTreeSet<_> = status["members"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|member| member["zone"].as_str())
        .collect();
    ensure!(zones.len() == 3, "members are in zones {zones:?}");
    in_a_pod(namespace)?;
    kubectl.patch(
        &["kvcluster", "demo"],
        r#"{"spec":{"brokers":{"service":{"type":"NodePort"}}}}"#,
    )?;
    let mut client = world.connect(namespace, "demo")?;
    ensure!(
        client.get("hello")?.as_deref() == Some("world"),
        "what the pod put is not there"
    );
    client.put("from-outside", "yes")?;
    ensure!(client.get("from-outside")?.as_deref() == Some("yes"));
    Ok(())
}

/// A pod of the same image, as any other program's in the cluster would, by the Service's name.
fn in_a_pod(namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let cluster = kubectl.get(&["kvcluster", "demo"])?;
    let image = cluster["status"]["image"].as_str().unwrap_or_default();
    kubectl.apply(&format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{ name: client }}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {{ runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{ type: RuntimeDefault }} }}
  containers:
  - name: client
    image: {image}
    imagePullPolicy: IfNotPresent
    command: [/usr/bin/kvctl, put, --broker, "demo:7600", hello, '"world"']
    securityContext: {{ allowPrivilegeEscalation: false, capabilities: {{ drop: [ALL] }} }}
"#
    ))?;
    crate::wait::until(
        "a client in a pod stores a value",
        Duration::from_secs(30),
        || {
            let pod = kubectl.get(&["pod", "client"])?;
            Ok(match pod["status"]["phase"].as_str() {
                Some("Succeeded") => Ok(()),
                Some("Failed") => anyhow::bail!("{}", kubectl.run(&["logs", "client"])?),
                phase => Err(format!("it is {}", phase.unwrap_or("not there"))),
            })
        },
    )
}
