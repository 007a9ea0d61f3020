//! What a Service adds to the way to a broker.

use super::{Figures, WHERE};
use crate::{
    Measured,
    document::Section,
    figures::{Samples, millis},
    settings::Settings,
};

/// Titles, names, and whose way each is beside.
const WAYS: [(&str, &str, &str); 4] = [
    ("from a node: the pod itself", "inside.pod", "inside.pod"),
    ("from a node: the Service", "inside.service", "inside.pod"),
    ("from outside: the pod itself", "outside.pod", "outside.pod"),
    ("from outside: a NodePort", "outside.port", "outside.pod"),
];

/// Runs the bench.
pub(crate) fn run(settings: &Settings) -> Measured {
    let figures = Figures::measure(settings, "service-path")?;
    let mut section = Section::new(
        "Kubernetes: the way by a Service",
        &format!(
            "{WHERE}. GET of one key by one client, one after the other on one connection, and GET with \
             a connection of its own; three servers, one broker on another node. From a node the Service \
             is reached by its address in the cluster; from outside by the port of a node that the broker \
             is not on. Milliseconds; in turns; what is added is taken turn by turn."
        ),
    );
    let mut rows = Vec::new();
    for (title, name, beside) in WAYS {
        let of = |name: &str, part: &str| figures.of(&format!("{name}.{part}"));
        let cell = |samples: &Samples| samples.shown(millis);
        let (median, connect) = (of(name, "p50_us")?, of(name, "connect_us")?);
        let added = |samples: &Samples, part: &str| -> anyhow::Result<String> {
            if name == beside {
                return Ok("–".to_owned());
            }
            Ok(samples.less(&of(beside, part)?).shown(millis))
        };
        rows.push(vec![
            title.to_owned(),
            cell(&median),
            added(&median, "p50_us")?,
            cell(&of(name, "p99_us")?),
            cell(&connect),
            added(&connect, "connect_us")?,
        ]);
    }
    section.table(
        &[
            "",
            "median",
            "added",
            "p99",
            "with a connection, median",
            "added",
        ],
        &rows,
    );
    Ok(section)
}
