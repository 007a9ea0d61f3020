//! What a Service adds to the way to a broker: from a node by its address in the cluster, and from
//! outside by a node's port, each beside a connection to the pod itself.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{Effort, Measured};
use crate::{client::Client, namespace::Namespace, world::World};

/// Gets on one connection, one after the other.
const GETS: usize = 3_000;

/// Connections, each with one get.
const CONNECTIONS: usize = 200;

/// Not counted: whatever has to warm up.
const WARM: usize = 200;

pub(super) fn measure(world: &World, effort: Effort, measured: &mut Measured) -> Result<()> {
    let (cluster, namespace) = (world.cluster()?, Namespace::make(world, "figure-path")?);
    let kubectl = namespace.kubectl();
    let example = world.file("manifests/examples/basic.yaml")?;
    // One broker, so that all ways lead to it.
    kubectl.apply(&example.replace(
        "  brokers:\n    replicas: 2\n",
        "  brokers:\n    replicas: 1\n    service:\n      type: NodePort\n",
    ))?;
    World::wait_ready(&namespace, "demo", Duration::from_mins(2))?;
    let brokers = kubectl.list(&["pods", "-l", "app.kubernetes.io/component=broker"])?;
    ensure!(brokers.len() == 1, "there are {} brokers", brokers.len());
    let place = brokers[0]["spec"]["nodeName"].as_str().unwrap_or_default();
    let address = |text: &serde_json::Value| -> Result<SocketAddr> {
        let text = text.as_str().unwrap_or_default();
        format!("{text}:7600").parse().context("no address")
    };
    let pod = address(&brokers[0]["status"]["podIP"])?;
    let service = kubectl.get(&["service", "demo"])?;
    let service = address(&service["spec"]["clusterIP"])?;
    let mut others = cluster
        .topology()
        .nodes()
        .filter(|node| node.name() != place);
    let other = others.next().context("there is no other node")?;
    let port = world.node_port(&namespace, "demo")?.port();
    let port = SocketAddr::from((other.address(), port));
    let gets = effort.either(GETS / 5, GETS);
    let connections = effort.either(CONNECTIONS / 4, CONNECTIONS);
    Client::connect(pod)?.put("path", "v")?;
    for _ in 0..effort.repeats {
        for (name, way) in [("inside.pod", pod), ("inside.service", service)] {
            let way = cluster.within_network(other, || Way::measure(way, gets, connections))??;
            way.tell(name, measured);
        }
        for (name, way) in [("outside.pod", pod), ("outside.port", port)] {
            Way::measure(way, gets, connections)?.tell(name, measured);
        }
    }
    if !world.is_its_own() {
        super::remove(&namespace)?;
    }
    Ok(())
}

/// Microseconds by one way.
struct Way {
    gets: Vec<f64>,
    connections: Vec<f64>,
}

impl Way {
    fn measure(address: SocketAddr, gets: usize, connections: usize) -> Result<Self> {
        let mut client = Client::connect(address)?;
        for _ in 0..WARM {
            client.get("path")?;
        }
        let timed = |act: &mut dyn FnMut() -> Result<()>| -> Result<f64> {
            let began = Instant::now();
            act()?;
            Ok(began.elapsed().as_secs_f64() * 1e6)
        };
        let mut get = || client.get("path").map(drop);
        let gets: Result<Vec<f64>> = (0..gets).map(|_| timed(&mut get)).collect();
        let mut connect = || Client::connect(address)?.get("path").map(drop);
        let connections: Result<Vec<f64>> = (0..connections).map(|_| timed(&mut connect)).collect();
        Ok(Self {
            gets: gets?,
            connections: connections?,
        })
    }

    fn tell(mut self, name: &str, measured: &mut Measured) {
        measured.add(format!("{name}.p50_us"), quantile(&mut self.gets, 0.5));
        measured.add(format!("{name}.p99_us"), quantile(&mut self.gets, 0.99));
        let connect = quantile(&mut self.connections, 0.5);
        measured.add(format!("{name}.connect_us"), connect);
    }
}

/// The smallest sample that this share of all does not exceed; zero of none.
fn quantile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let below = samples.len().saturating_sub(1) as f64 * share;
    // A share of a length is no more than that.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as said"
    )]
    let at = below.round() as usize;
    samples.get(at).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let mut samples: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert!((quantile(&mut samples, 0.5) - 50.0).abs() < f64::EPSILON);
        assert!((quantile(&mut samples, 0.99) - 99.0).abs() < f64::EPSILON);
        assert!(quantile(&mut [], 0.5).abs() < f64::EPSILON);
    }
}
