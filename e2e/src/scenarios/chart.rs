//! The life of a release: installed, upgraded, rolled back, uninstalled and installed again, for all
//! namespaces and for one, and no pod of a `KvCluster` is touched by it.
//!
//! The release of all other scenarios makes way for it meanwhile: two operators would fight.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    kvcluster::{Component, KvCluster, READY_MAX},
    namespace::Namespace,
    operator::Operator,
    wait,
    world::{RELEASE, World},
};

/// How soon an operator puts back what is missing, once it leads.
const SOON: Duration = Duration::from_secs(30);

/// What every cluster has one of that nobody misses.
const BUDGET: [&str; 2] = ["poddisruptionbudget", "demo-broker"];

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    world.helm(&["lint", "--strict", &world.chart()])?;
    world.uninstall()?;
    let done = for_all(world, namespace).and_then(|cluster| {
        for_one(world, namespace, &cluster)?;
        without_helm(world, namespace, &cluster)
    });
    done.and(world.install())
}

/// A release for all namespaces, with a cluster that lives through all of it.
fn for_all(world: &World, namespace: &Namespace) -> Result<Cluster> {
    install(world, "install", &[])?;
    let demo = KvCluster::applied(namespace, "demo", &world.basic()?)?;
    world.connect(namespace, "demo")?.put("kept", "yes")?;
    let mut cluster = Cluster {
        pods: all_pods(&demo)?,
        placement: demo.placement()?,
        available_since: available_since(&demo)?,
        demo,
    };
    let operators = Operator::of(world).runs()?;
    let values = [
        "logFormat=text",
        "concurrency=2",
        "replicas=2",
        "podLabels.team=storage",
    ];
    install(world, "upgrade", &values)?;
    ensure!(
        Operator::of(world).runs()? != operators,
        "the operator is the same, so nothing was upgraded"
    );
    cluster.is_looked_after(namespace, "upgraded")?;

    world.helm(&["rollback", RELEASE, "1", "--wait", "--timeout", "90s"])?;
    cluster.is_looked_after(namespace, "rolled back")?;
    let operators = Operator::of(world).runs()?.len();
    ensure!(
        operators == 1,
        "rolled back there are {operators} operators"
    );

    world.uninstall()?;
    let crd = world.kubectl().find(&["crd", "kvclusters.kvasir.dev"])?;
    ensure!(crd.is_some(), "the definition went with the release");
    ensure!(
        all_pods(&cluster.demo)? == cluster.pods,
        "pods went with it"
    );
    let mut client = world.connect(namespace, "demo")?;
    client.put("without-an-operator", "yes")?;
    ensure!(client.get("kept")?.as_deref() == Some("yes"));
    cluster.demo.patch(r#"{"brokers":{"replicas":3}}"#)?;

    install(world, "install", &[])?;
    cluster.demo.ready(READY_MAX)?;
    let brokers = cluster.demo.uids(Component::Broker)?;
    ensure!(brokers.len() == 3, "there are {} brokers", brokers.len());
    cluster.pods.extend(brokers);
    cluster.is_looked_after(namespace, "installed again")?;
    Ok(cluster)
}

/// A release for one namespace, which may not even look at nodes: it takes over the cluster, and does
/// nothing elsewhere.
fn for_one(world: &World, namespace: &Namespace, cluster: &Cluster) -> Result<()> {
    let elsewhere = namespace.another(world, "elsewhere")?;
    world.uninstall()?;
    let namespaces = format!("namespaces={{{}}}", namespace.name());
    install(world, "install", &[&namespaces, "watchNodes=false"])?;
    let roles = world.kubectl().list(&[
        "clusterroles,clusterrolebindings",
        "-l",
        "app.kubernetes.io/name=kvasir-operator",
    ])?;
    ensure!(
        roles.is_empty(),
        "it has rights on all namespaces: {roles:?}"
    );
    cluster.is_looked_after(namespace, "in a release for one namespace")?;
    let small = world.file("manifests/examples/minimal.yaml")?;
    elsewhere.kubectl().apply(&small)?;
    KvCluster::applied(namespace, "small", &small)?;
    let stranger = KvCluster::named(&elsewhere, "small").status()?;
    ensure!(stranger.is_null(), "elsewhere a cluster has {stranger}");
    Ok(())
}

/// The operator by the manifest for people without Helm.
fn without_helm(world: &World, namespace: &Namespace, cluster: &Cluster) -> Result<()> {
    world.uninstall()?;
    let manifest = world.file("manifests/operator.yaml")?;
    let manifest = manifest.replace(":0.1.0\n", &format!(":{}\n", world.tag()));
    let kubectl = world.kubectl();
    kubectl.apply_server_side(&manifest)?;
    let done = cluster.is_looked_after(namespace, "by the manifest");
    let of_all = ["\nkind: Namespace\n", "\nkind: CustomResourceDefinition\n"];
    let own: Vec<_> = manifest
        .split("\n---\n")
        .filter(|object| !of_all.iter().any(|kind| object.contains(kind)))
        .collect();
    kubectl.delete(&own.join("\n---\n"))?;
    done
}

/// A cluster that nothing is to happen to.
struct Cluster {
    demo: KvCluster,
    pods: BTreeMap<String, String>,
    placement: (u64, String),
    available_since: String,
}

impl Cluster {
    /// There is an operator at work, and it has restarted no pod.
    fn is_looked_after(&self, namespace: &Namespace, when: &str) -> Result<()> {
        let kubectl = namespace.kubectl();
        kubectl.run(&[&["delete"], &BUDGET[..]].concat())?;
        let what = format!("{when}: an operator is at work");
        wait::until_true(&what, SOON, || Ok(kubectl.find(&BUDGET)?.is_some()))?;
        self.demo.ready(READY_MAX)?;
        let pods = all_pods(&self.demo)?;
        ensure!(
            pods == self.pods,
            "{when}: pods were {:?} and are {pods:?}",
            self.pods
        );
        let placement = self.demo.placement()?;
        ensure!(placement == self.placement, "{when}: {placement:?}");
        let since = available_since(&self.demo)?;
        ensure!(
            since == self.available_since,
            "{when}: it says that it was away until {since}"
        );
        println!("{when}: an operator is at work, and no pod is another one");
        Ok(())
    }
}

/// Since when every key can be read and written, by its status.
fn available_since(demo: &KvCluster) -> Result<String> {
    let available = demo.until("Available", SOON, |available| available.holds)?;
    Ok(available.since)
}

fn all_pods(demo: &KvCluster) -> Result<BTreeMap<String, String>> {
    let mut pods = demo.uids(Component::Server)?;
    pods.extend(demo.uids(Component::Broker)?);
    Ok(pods)
}

/// Installs or upgrades the release with these values beside the image's tag.
fn install(world: &World, verb: &str, values: &[&str]) -> Result<()> {
    let (chart, tag) = (world.chart(), world.tag_value());
    let mut arguments = vec![verb, RELEASE, &chart, "--create-namespace", "--set", &tag];
    if verb == "upgrade" {
        arguments.retain(|argument| *argument != "--create-namespace");
    }
    for value in values {
        arguments.extend(["--set", value]);
    }
    arguments.extend(["--wait", "--timeout", "90s"]);
    world.helm(&arguments)
}
