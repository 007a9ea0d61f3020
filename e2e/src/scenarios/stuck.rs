//! Clusters whose pods cannot run: the status names the pod and the reason, and once the cause is gone
//! they become ready without anybody touching pods.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    kubectl::Kubectl,
    kvcluster::{KvCluster, READY_MAX},
    namespace::Namespace,
    wait,
    world::World,
};

/// How long it may take until the status says what is wrong.
const TOLD_MAX: Duration = Duration::from_secs(30);

/// The longest name.
const LONGEST: &str = "a-name-as-long-as-a-name-of-one-may-be-4";

/// One that is stuck.
struct Stuck {
    name: &'static str,
    /// What is added to `spec.servers`.
    servers: &'static str,
    /// What is added to `spec`.
    spec: &'static str,
    /// What the status has to say beside the pod's name.
    says: &'static str,
    cure: Cure,
}

/// How the cause goes away.
enum Cure {
    /// By another spec, with `IMAGE` for one that is there.
    Spec(&'static str),
    /// By something that was missing.
    Object(&'static str),
}

const STUCK: &[Stuck] = &[
    Stuck {
        name: "no-image",
        servers: "",
        spec: "image: registry.local/nobody-has-this:1, imagePullPolicy: IfNotPresent,",
        says: "registry.local/nobody-has-this:1",
        cure: Cure::Spec(r#"{"image":"IMAGE"}"#),
    },
    Stuck {
        name: "too-large",
        servers: "resources: { requests: { cpu: 1000 } },",
        spec: "",
        says: "Insufficient cpu",
        cure: Cure::Spec(r#"{"servers":{"resources":{"requests":{"cpu":"10m"}}}}"#),
    },
    Stuck {
        name: "no-node",
        servers: "nodeSelector: { nobody: has-this },",
        spec: "",
        says: "Unschedulable",
        cure: Cure::Spec(r#"{"servers":{"nodeSelector":null}}"#),
    },
    Stuck {
        name: "no-class",
        servers: "",
        spec: "",
        says: CLASS,
        cure: Cure::Object(LATE_CLASS),
    },
];

/// A storage class that is not there at first.
const CLASS: &str = "e2e-comes-late";

const LATE_CLASS: &str = "
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: e2e-comes-late }
volumeBindingMode: WaitForFirstConsumer
";

pub(super) fn run(_world: &World, namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    kubectl.run(&["delete", "storageclass", CLASS, "--ignore-not-found"])?;
    let done = all(namespace);
    kubectl.run(&["delete", "storageclass", CLASS, "--ignore-not-found"])?;
    done
}

fn all(namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let began = Instant::now();
    kubectl.apply(&at_the_limits())?;
    for stuck in STUCK {
        kubectl.apply(&stuck.yaml())?;
    }
    for stuck in STUCK {
        stuck.told(namespace, began)?;
    }
    // It had no image of its own to name, and it runs.
    let limits = KvCluster::named(namespace, LONGEST);
    limits.ready(READY_MAX)?;
    let image = limits.status()?["image"].take();
    let image = image.as_str().context("there is an image")?;
    for stuck in STUCK {
        stuck.cured(kubectl, namespace, image)?;
    }
    for stuck in STUCK {
        KvCluster::named(namespace, stuck.name).ready(READY_MAX)?;
        println!("{}: ready once its cause was gone", stuck.name);
    }
    too_much_to_carry(namespace)
}

impl Stuck {
    fn yaml(&self) -> String {
        let class = if matches!(self.cure, Cure::Object(_)) {
            format!("storageClassName: {CLASS},")
        } else {
            String::new()
        };
        cluster(self.name, self.spec, self.servers, &class)
    }

    /// The status names the pod and the reason in time.
    fn told(&self, namespace: &Namespace, began: Instant) -> Result<()> {
        let cluster = KvCluster::named(namespace, self.name);
        let pod = format!("{}-server-0", self.name);
        let limit = TOLD_MAX.saturating_sub(began.elapsed());
        let says = |text: &str| text.contains(&pod) && text.contains(self.says);
        let stalled = cluster.until("Stalled", limit, |stalled| {
            stalled.holds && says(&stalled.message)
        })?;
        println!("{}: {}", self.name, stalled.message);
        let members = cluster.status()?["members"].take();
        let mut members = members.as_array().into_iter().flatten();
        let reason = members.find(|member| member["pod"] == *pod);
        let reason = reason.and_then(|member| member["reason"].as_str());
        ensure!(
            reason.is_some_and(|reason| reason.contains(self.says)),
            "{pod} as a member has the reason {reason:?}"
        );
        Ok(())
    }

    fn cured(&self, kubectl: &Kubectl, namespace: &Namespace, image: &str) -> Result<()> {
        match self.cure {
            Cure::Spec(spec) => {
                KvCluster::named(namespace, self.name).patch(&spec.replace("IMAGE", image))
            }
            Cure::Object(yaml) => {
                let provisioner = default_provisioner(kubectl)?;
                kubectl.apply(&format!("{yaml}provisioner: {provisioner}\n"))
            }
        }
    }
}

/// One server and one broker.
fn cluster(name: &str, spec: &str, servers: &str, storage: &str) -> String {
    format!(
        "{{apiVersion: kvasir.dev/v1alpha1, kind: KvCluster, metadata: {{name: {name}}}, spec: {{{spec} \
         copies: 1, brokers: {{replicas: 1}}, servers: {{{servers} replicas: 1, \
         storage: {{{storage} size: 64Mi}}}}}}}}"
    )
}

/// Who makes volumes of the default class.
fn default_provisioner(kubectl: &Kubectl) -> Result<String> {
    let classes = kubectl.list(&["storageclasses"])?;
    let default = classes.iter().find(|class| {
        class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"
    });
    match default.and_then(|class| class["provisioner"].as_str()) {
        Some(provisioner) => Ok(provisioner.to_owned()),
        None => bail!("the cluster has no default storage class"),
    }
}

/// The longest name, as many tolerations, constraints, secrets and labels as may be.
fn at_the_limits() -> String {
    let (mut tolerations, mut constraints, mut secrets, mut labels) = Default::default();
    let push = |text: &mut String, each: String| text.push_str(&each);
    for number in 0..64 {
        push(
            &mut tolerations,
            format!("{{key: taint-{number}, operator: Exists}},"),
        );
    }
    for number in 0..16 {
        push(
            &mut constraints,
            format!(
                "{{maxSkew: 1, topologyKey: example.com/rack-{number}, whenUnsatisfiable: ScheduleAnyway}},"
            ),
        );
        push(&mut secrets, format!("{{name: secret-{number}}},"));
    }
    let (prefix, value) = ("p".repeat(63), "v".repeat(63));
    for number in 100..200 {
        let name = format!("{}{number}", "n".repeat(60));
        push(
            &mut labels,
            format!("{prefix}.example.com/{name}: {value},"),
        );
    }
    let pods = format!(
        "tolerations: [{tolerations}], topologySpreadConstraints: [{constraints}], \
         podMetadata: {{labels: {{{labels}}}, annotations: {{{labels}}}}},"
    );
    cluster(
        LONGEST,
        &format!("imagePullSecrets: [{secrets}],"),
        &pods,
        "",
    )
}

/// More annotations than Kubernetes takes for a pod: it says so, and what was refused, and with fewer
/// it goes on.
fn too_much_to_carry(namespace: &Namespace) -> Result<()> {
    let name = "too-much";
    // 256 KiB are taken.
    let mut annotations = String::new();
    for number in 0..5 {
        write!(annotations, "a{number}: {},", "x".repeat(60 * 1024))?;
    }
    let pods = format!("podMetadata: {{annotations: {{{annotations}}}}},");
    // `apply` would write all of it into an annotation of its own.
    namespace
        .kubectl()
        .apply_server_side(&cluster(name, "", &pods, ""))?;
    let too_much = KvCluster::named(namespace, name);
    let stalled = too_much.until("Stalled", TOLD_MAX, |stalled| {
        stalled.holds && stalled.message.contains("too-much-server")
    })?;
    println!("{name}: {}", stalled.message);
    too_much.patch(r#"{"servers":{"podMetadata":null}}"#)?;
    too_much.ready(READY_MAX)?;
    let stalled = wait::until("nothing is in the way", TOLD_MAX, || {
        let status = too_much.status()?;
        let stalled = crate::kvcluster::condition(&status, "Stalled");
        Ok(stalled
            .filter(|stalled| !stalled.holds)
            .ok_or_else(|| Value::to_string(&status["conditions"])))
    })?;
    ensure!(!stalled.holds);
    Ok(())
}
