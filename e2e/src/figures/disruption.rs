//! What clients see when a server pod, a broker pod or a node dies under a stream of writes.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use kvasir_cluster::NodeNumber;
use serde_json::Value;

use super::{
    Effort, Measured,
    stream::{self, Route, Seen},
};
use crate::{
    namespace::Namespace,
    wait,
    world::{OPERATOR_NAMESPACE, World},
};

/// Clients of each of the two brokers.
const CLIENTS: usize = 10;

/// Each of the twenty writes so often: 1,000 writes a second.
const PAUSE: Duration = Duration::from_millis(20);

/// How long all is well at first.
const BEFORE: Duration = Duration::from_secs(3);

/// How long it goes on after a pod died.
const AFTER_POD: Duration = Duration::from_secs(10);

/// How long after a node: Kubernetes notices after some 20 s, and only then sends nobody there.
const AFTER_NODE: Duration = Duration::from_secs(40);

/// How long everything may take to be as it was.
const READY_MAX: Duration = Duration::from_mins(3);

/// What dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Server,
    Broker,
    Node,
}

pub(super) fn measure(world: &World, effort: Effort, measured: &mut Measured) -> Result<()> {
    let namespace = Namespace::make(world, "figure-disruption")?;
    namespace.kubectl().apply(&world.basic()?)?;
    for _ in 0..effort.repeats {
        for victim in [Victim::Server, Victim::Broker, Victim::Node] {
            turn(world, &namespace, victim, measured)?;
        }
    }
    if !world.is_its_own() {
        super::remove(&namespace)?;
    }
    Ok(())
}

/// Who is there before a turn.
struct Scene {
    /// The broker that dies, or whose node does.
    dying: Value,
    /// The other one.
    staying: Value,
    /// A server on another node than the staying broker's.
    server: String,
    node: NodeNumber,
}

impl Scene {
    fn look(world: &World, namespace: &Namespace) -> Result<Self> {
        let kubectl = namespace.kubectl();
        let component = |name: &str| {
            let selector = format!("app.kubernetes.io/component={name}");
            kubectl.list(&["pods", "-l", &selector])
        };
        let (mut brokers, servers) = (component("broker")?, component("server")?);
        brokers.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        ensure!(brokers.len() == 2, "there are {} brokers", brokers.len());
        let operators = world.kubectl().within(OPERATOR_NAMESPACE).list(&["pods"])?;
        let operators: BTreeSet<String> = operators.iter().map(node_of).collect();
        // An operator that dies with them is another figure.
        brokers.sort_by_key(|broker| operators.contains(&node_of(broker)));
        let [dying, staying] = <[Value; 2]>::try_from(brokers)
            .ok()
            .context("two brokers")?;
        let place = node_of(&dying);
        ensure!(
            place != node_of(&staying) && !operators.contains(&place),
            "both brokers, or a broker and the operator, are on {place}"
        );
        let server = servers.iter().find(|server| node_of(server) == place);
        let server = server.with_context(|| format!("no server is on {place}"))?;
        let node = world.cluster()?.topology().node_named(&place);
        Ok(Self {
            server: name_of(server),
            node: node.with_context(|| format!("{place} is no node"))?,
            dying,
            staying,
        })
    }

    /// Clients of each broker; all connect anew by the port of a node that stays.
    fn routes(&self, world: &World, namespace: &Namespace) -> Result<(Vec<Route>, Vec<Route>)> {
        let port = world.node_port(namespace, "demo")?.port();
        let node = world
            .cluster()?
            .topology()
            .node_named(&node_of(&self.staying));
        let node = node.context("the staying broker has no node")?;
        let again = SocketAddr::from((node.address(), port));
        let routes = |broker: &Value| -> Result<Vec<Route>> {
            let address = broker["status"]["podIP"].as_str().unwrap_or_default();
            let first = format!("{address}:7600").parse();
            let first = first.context("a broker has no address")?;
            Ok(vec![Route { first, again }; CLIENTS])
        };
        Ok((routes(&self.dying)?, routes(&self.staying)?))
    }
}

fn turn(
    world: &World,
    namespace: &Namespace,
    victim: Victim,
    measured: &mut Measured,
) -> Result<()> {
    World::wait_ready(namespace, "demo", READY_MAX)?;
    let scene = Scene::look(world, namespace)?;
    let (dying, staying) = scene.routes(world, namespace)?;
    let all = [&dying[..], &staying[..]].concat();
    let (broken, seen) = stream::run(&all, PAUSE, || {
        thread::sleep(BEFORE);
        let began = Instant::now();
        let broken = strike(world, namespace, &scene, victim);
        let lasts = match victim {
            Victim::Node => AFTER_NODE,
            _ => AFTER_POD,
        };
        thread::sleep(lasts.saturating_sub(began.elapsed()));
        broken
    });
    let (dying, staying) = seen.split_at(CLIENTS);
    let name = format!("{victim:?}").to_lowercase();
    // Where only a server dies, all brokers stay.
    if victim == Victim::Server {
        tell(measured, &format!("{name}.staying"), &Seen::of(&seen));
    } else {
        tell(measured, &format!("{name}.staying"), &Seen::of(staying));
        tell(measured, &format!("{name}.again"), &Seen::of(dying));
    }
    if let Some(off) = broken? {
        off.mend()?;
        let (kubectl, name) = (world.kubectl(), scene.node.name());
        wait::until_true("the node is back", READY_MAX, || {
            let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
            Ok(kubectl.run(&["get", "node", &name, "--output", path])? == "True")
        })?;
    }
    let pods = &[
        "wait",
        "pods",
        "--all",
        "--for=condition=Ready",
        "--timeout=180s",
    ];
    namespace.kubectl().run(pods)?;
    Ok(())
}

fn strike(
    world: &World,
    namespace: &Namespace,
    scene: &Scene,
    victim: Victim,
) -> Result<Option<kvasir_cluster::Fault>> {
    let cluster = world.cluster()?;
    let pod = match victim {
        Victim::Node => return Ok(Some(cluster.power_off(scene.node)?)),
        Victim::Server => scene.server.clone(),
        Victim::Broker => name_of(&scene.dying),
    };
    // Without a word: neither it nor its clients are told. Then another pod takes its place.
    cluster.kill_pod(namespace.name(), &pod)?;
    let delete = ["delete", "pod", &pod, "--grace-period=0", "--force"];
    namespace
        .kubectl()
        .run(&[&delete[..], &["--wait=false"]].concat())?;
    Ok(None)
}

fn tell(measured: &mut Measured, name: &str, seen: &Seen) {
    measured.add(format!("{name}.acknowledged"), seen.acknowledged as f64);
    measured.add(format!("{name}.failed"), seen.failed as f64);
    measured.add(format!("{name}.gap_ms"), seen.gap.as_secs_f64() * 1000.0);
}

fn node_of(pod: &Value) -> String {
    let node = pod["spec"]["nodeName"].as_str();
    node.unwrap_or_default().to_owned()
}

fn name_of(pod: &Value) -> String {
    let name = pod["metadata"]["name"].as_str();
    name.unwrap_or_default().to_owned()
}
