//! From apply to Ready.

use super::{Figures, WHERE};
use crate::{Measured, document::Section, figures::Reach, settings::Settings};

/// Seconds that it may take.
const SECONDS_MAX: f64 = 20.0;

/// Runs the bench.
pub(crate) fn run(settings: &Settings) -> Measured {
    let figures = Figures::measure(settings, "kubernetes-ready")?;
    let seconds = figures.of("seconds")?;
    let mut section = Section::new(
        "Kubernetes: from apply to Ready",
        &format!(
            "{WHERE}. `kubectl apply` of `manifests/examples/basic.yaml`, three servers and two \
             brokers, until its condition Ready is true; a namespace of its own each time, with \
             volumes made anew."
        ),
    );
    section.table(
        &["", "seconds"],
        &[vec![
            "apply to Ready".to_owned(),
            seconds.shown(|seconds| format!("{seconds:.1}")),
        ]],
    );
    section.reaches(&[Reach::within("apply to Ready", seconds, SECONDS_MAX, " s")]);
    Ok(section)
}
