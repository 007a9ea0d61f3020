//! Fifty clusters that cannot be carried out do not hold up one that can.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    kvcluster::{KvCluster, condition},
    namespace::Namespace,
    operator::Operator,
    wait,
    world::World,
};

/// How many.
const BROKEN: usize = 50;

/// How long it may take until each of them says what is wrong.
const TOLD_MAX: Duration = Duration::from_secs(45);

/// How long a good one may take: no longer than one that is alone.
const READY_MAX: Duration = Duration::from_secs(20);

/// What refuses them.
const QUOTA: &str = "
apiVersion: v1
kind: ResourceQuota
metadata: { name: no-servers }
spec: { hard: { count/statefulsets.apps: 0 } }
";

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let operator = Operator::of(world);
    let runs = operator.runs()?;
    let good = namespace.another(world, "good")?;
    namespace.kubectl().apply(QUOTA)?;
    wait::until_true("the quota counts", TOLD_MAX, || {
        let quota = namespace.kubectl().get(&["resourcequota", "no-servers"])?;
        Ok(quota["status"]["used"].is_object())
    })?;
    let mut all = String::new();
    for number in 0..BROKEN {
        // Nothing runs where the servers are refused but brokers, and these would be for nothing.
        write!(
            all,
            "---\n{{apiVersion: kvasir.dev/v1alpha1, kind: KvCluster, metadata: {{name: broken-{number}}}, \
             spec: {{brokers: {{replicas: 0}}}}}}\n"
        )?;
    }
    namespace.kubectl().apply(&all)?;
    wait::until("each says what is wrong", TOLD_MAX, || {
        let clusters = namespace.kubectl().list(&["kvclusters"])?;
        let told = clusters.iter().filter(|cluster| {
            condition(&cluster["status"], "Stalled")
                .is_some_and(|stalled| stalled.holds && stalled.message.contains("no-servers"))
        });
        let told = told.count();
        Ok(if told == BROKEN {
            Ok(())
        } else {
            Err(format!("{told} of {BROKEN} do"))
        })
    })?;
    let began = Instant::now();
    good.kubectl()
        .apply(&world.file("manifests/examples/basic.yaml")?)?;
    KvCluster::named(&good, "demo").ready(READY_MAX)?;
    println!(
        "beside {BROKEN} broken ones a good one is ready after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let servers = namespace.kubectl().list(&["statefulsets"])?;
    ensure!(servers.is_empty(), "{} were not refused", servers.len());
    operator.ran_on(&runs)
}
