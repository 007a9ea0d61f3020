//! What the operator takes at rest: with one real cluster, and with many whose pods are fakes, so that
//! none of their servers answers.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{Effort, Measured, clusters, fakes::Fakes};
use crate::{
    namespace::Namespace,
    rights::Since,
    wait,
    world::{OPERATOR_NAMESPACE, World},
};

/// How long it may take until the operator writes nothing.
const REST_MAX: Duration = Duration::from_mins(6);

/// For how long nothing is written by an operator at rest.
const QUIET: Duration = Duration::from_secs(10);

/// Pause between two looks at memory.
const LOOK: Duration = Duration::from_secs(1);

/// How many clusters are faked.
const FAKES: u32 = 200;

pub(super) fn measure(world: &World, effort: Effort, measured: &mut Measured) -> Result<()> {
    let real = Namespace::make(world, "figure-real")?;
    let example = world.file("manifests/examples/basic.yaml")?;
    real.kubectl().apply(&example)?;
    World::wait_ready(&real, "demo", Duration::from_mins(2))?;
    at_rest(world, effort, "one", measured)?;
    let namespace = Namespace::make(world, "figure-fakes")?;
    let count = effort.either(FAKES / 10, FAKES);
    let fakes = Fakes::begin(world, count)?;
    let began = Instant::now();
    fakes.apply(&namespace)?;
    clusters::wait_running(&namespace, fakes.pods(), Duration::from_mins(15))?;
    measured.add("fakes.running_seconds", began.elapsed().as_secs_f64());
    measured.add("fakes.clusters", f64::from(count));
    at_rest(world, effort, "fakes", measured)?;
    if !world.is_its_own() {
        super::remove(&namespace)?;
        fakes.remove()?;
        super::remove(&real)?;
    }
    Ok(())
}

/// Waits until the operator rests, and measures it then, as often as is asked for.
pub(super) fn at_rest(
    world: &World,
    effort: Effort,
    name: &str,
    measured: &mut Measured,
) -> Result<()> {
    let cluster = world.cluster()?;
    settle(world)?;
    let pod = operator(world)?;
    let over = effort.either(Duration::from_secs(10), Duration::from_mins(1));
    for _ in 0..effort.repeats {
        let since = Since::now(cluster.home())?;
        let looked = reconciles(world, &pod)?;
        let (began, before) = (Instant::now(), cluster.pod_usage(OPERATOR_NAMESPACE, &pod)?);
        let mut most = before.mebibytes;
        while began.elapsed() < over {
            thread::sleep(LOOK);
            let now = cluster.pod_usage(OPERATOR_NAMESPACE, &pod)?;
            most = most.max(now.mebibytes);
        }
        let (took, after) = (
            began.elapsed(),
            cluster.pod_usage(OPERATOR_NAMESPACE, &pod)?,
        );
        let cores = (after.seconds - before.seconds) / took.as_secs_f64();
        measured.add(format!("{name}.mebibytes"), most);
        measured.add(format!("{name}.cores"), cores);
        let looked = reconciles(world, &pod)? - looked;
        measured.add(format!("{name}.reconciles"), looked);
        let requests = since.requests()?;
        let (leases, others): (Vec<_>, Vec<_>) = requests
            .iter()
            .filter(|request| request.is_write())
            .partition(|request| request.right.resource == "leases");
        measured.add(format!("{name}.writes"), others.len() as f64);
        measured.add(format!("{name}.lease_writes"), leases.len() as f64);
        for write in others.iter().take(5) {
            measured.note(format!("{name}: at rest, {} {}", write.right, write.object));
        }
    }
    Ok(())
}

/// Waits until the operator has written nothing but its Lease for a while.
fn settle(world: &World) -> Result<()> {
    let home = world.cluster()?.home();
    let mut since = Since::now(home)?;
    let mut quiet = Instant::now();
    wait::until("the operator comes to rest", REST_MAX, || {
        thread::sleep(LOOK);
        let requests = since.requests()?;
        let written = requests
            .iter()
            .rev()
            .find(|request| request.is_write() && request.right.resource != "leases");
        if let Some(written) = written {
            let lacks = format!("it wrote: {} {}", written.right, written.object);
            (since, quiet) = (Since::now(home)?, Instant::now());
            return Ok(Err(lacks));
        }
        Ok(if quiet.elapsed() >= QUIET {
            Ok(())
        } else {
            Err("it wrote something lately".to_owned())
        })
    })
}

/// How often the operator has looked at a cluster, by its own account.
fn reconciles(world: &World, pod: &str) -> Result<f64> {
    let path = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod}:8081/proxy/metrics");
    let text = world.kubectl().run(&["get", "--raw", &path])?;
    let counts = text
        .lines()
        .filter(|line| line.starts_with("kvasir_operator_reconciles_total{"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    Ok(counts.sum())
}

/// The operator's pod.
fn operator(world: &World) -> Result<String> {
    let kubectl = world.kubectl().within(OPERATOR_NAMESPACE);
    let pods = kubectl.list(&[
        "pods",
        "-l",
        "app.kubernetes.io/name=kvasir-operator",
        "--field-selector=status.phase=Running",
    ])?;
    let name = pods
        .iter()
        .find_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned));
    name.context("the operator has no pod")
}
