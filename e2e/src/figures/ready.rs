//! How long it takes from apply until a cluster is Ready, its images being there.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Effort, Measured};
use crate::{namespace::Namespace, world::World};

/// How long it may take before it counts as broken.
const READY_MAX: Duration = Duration::from_mins(2);

pub(super) fn measure(world: &World, effort: Effort, measured: &mut Measured) -> Result<()> {
    let example = world.file("manifests/examples/basic.yaml")?;
    for _ in 0..effort.repeats {
        let namespace = Namespace::make(world, "figure-ready")?;
        let began = Instant::now();
        namespace.kubectl().apply(&example)?;
        World::wait_ready(&namespace, "demo", READY_MAX)?;
        measured.add("seconds", began.elapsed().as_secs_f64());
        super::remove(&namespace)?;
    }
    Ok(())
}
