//! What clients see when a pod or a node dies.

use super::{Figures, WHERE};
use crate::{
    Measured,
    document::Section,
    figures::{Reach, whole},
    settings::Settings,
};

/// Titles and names.
const ROWS: [(&str, &str); 5] = [
    ("a server pod: all clients", "server.staying"),
    (
        "a broker pod: clients of the other broker",
        "broker.staying",
    ),
    ("a broker pod: clients that connect anew", "broker.again"),
    ("a node: clients of the other broker", "node.staying"),
    ("a node: clients that connect anew", "node.again"),
];

/// How long clients whose broker is there may be without an answer, in milliseconds.
const GAP_MILLIS_MAX: f64 = 1_000.0;

/// Runs the bench.
pub(crate) fn run(settings: &Settings) -> Measured {
    let figures = Figures::measure(settings, "disruption")?;
    let mut section = Section::new(
        "Kubernetes: when something dies",
        &format!(
            "{WHERE}. Three servers with three copies, two brokers; twenty clients, ten of each broker, \
             write 50 times a second each, whether the last write was answered or not: 1,000 writes a \
             second. After three seconds the processes of a pod are killed and the pod deleted, or a \
             node with a server and a broker loses its power; a pod is followed for 10 s, a node for \
             40 s. A client whose connection breaks, or has no answer for 1 s, connects anew by the \
             NodePort of a node that stays, with a timeout of 500 ms, again and again; what is on its way \
             then, or due meanwhile, counts as failed. A gap is the longest time that any of these \
             clients was without an acknowledgement."
        ),
    );
    let mut rows = Vec::new();
    for (title, name) in ROWS {
        let of = |part: &str| figures.of(&format!("{name}.{part}"));
        rows.push(vec![
            title.to_owned(),
            of("acknowledged")?.shown(whole),
            of("failed")?.shown(whole),
            of("gap_ms")?.shown(whole),
        ]);
    }
    section.table(
        &[
            "who dies, who writes",
            "acknowledged",
            "failed",
            "longest gap, ms",
        ],
        &rows,
    );
    let stays = ROWS.iter().filter(|(_, name)| name.ends_with(".staying"));
    let mut reaches = Vec::new();
    for (title, name) in stays {
        let gap = figures.of(&format!("{name}.gap_ms"))?;
        reaches.push(Reach::within(
            format!("{title}, longest gap"),
            gap,
            GAP_MILLIS_MAX,
            " ms",
        ));
    }
    section.reaches(&reaches);
    Ok(section)
}
