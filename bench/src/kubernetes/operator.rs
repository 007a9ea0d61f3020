//! What the operator takes at rest.

use anyhow::Result;

use super::{Figures, WHERE};
use crate::{
    Measured,
    document::Section,
    figures::{Reach, Samples},
    settings::Settings,
};

/// MiB that the operator may take with one cluster, and with many.
const ONE_MEBIBYTES_MAX: f64 = 40.0;
const MANY_MEBIBYTES_MAX: f64 = 150.0;

/// Percent of a core that it may keep busy.
const PERCENT_MAX: f64 = 5.0;

/// How it is measured.
const HOW: &str = "The operator's process, once it has written nothing but its Lease for ten seconds, \
                   over a minute (with --quick ten seconds) each time: the most resident memory of \
                   looks a second apart, processor time, and its writes in the API server's log.";

const HEAD: [&str; 6] = [
    "",
    "MiB",
    "cores",
    "looks at clusters",
    "writes",
    "writes of its Lease",
];

/// Runs the bench with one cluster and with fakes.
pub(crate) fn run(settings: &Settings) -> Measured {
    let figures = Figures::measure(settings, "operator")?;
    let fakes = figures.of("fakes.clusters")?.median();
    let mut section = Section::new(
        "Kubernetes: the operator at rest",
        &format!(
            "{WHERE}. {HOW} The basic example alone; then {fakes:.0} more of its shape, whose pods are \
             fakes: Kubernetes calls them Ready, and nobody is at their addresses, so the operator asks \
             every one of them again and again."
        ),
    );
    let many = format!("and {fakes:.0} with fake pods");
    section.table(
        &HEAD,
        &[
            row("one cluster", "one", &figures)?,
            row(&many, "fakes", &figures)?,
        ],
    );
    tell(&mut section, &figures);
    let mut reaches = reaches("one cluster", "one", &figures, ONE_MEBIBYTES_MAX)?;
    reaches.extend(self::reaches(&many, "fakes", &figures, MANY_MEBIBYTES_MAX)?);
    section.reaches(&reaches);
    Ok(section)
}

/// Runs the bench with as many real clusters as fit.
pub(crate) fn run_many(settings: &Settings) -> Measured {
    let figures = Figures::measure(settings, "operator-many")?;
    let mut section = Section::new(
        "Kubernetes: as many real clusters as fit",
        &format!(
            "{WHERE}. Clusters of one server and one broker with hardly any wish for resources, ten \
             more at a time, until a batch is not Ready within three minutes or less than 1 GiB of \
             memory is left. {HOW}"
        ),
    );
    let count = figures.of("many.clusters")?.median();
    let name = format!("{count:.0} clusters");
    section.table(&HEAD, &[row(&name, "many", &figures)?]);
    section.say(&format!(
        "All of Kubernetes and of these clusters together took {} MiB, shared memory divided among who \
         shares it, and {} cores.",
        crate::figures::whole(figures.of("many.machine_mebibytes")?.median()),
        figures
            .of("many.machine_cores")?
            .shown(|cores| format!("{cores:.2}"))
    ));
    tell(&mut section, &figures);
    Ok(section)
}

fn row(title: &str, name: &str, figures: &Figures) -> Result<Vec<String>> {
    let of = |part: &str| figures.of(&format!("{name}.{part}"));
    let count = |samples: Samples| samples.shown(|count| format!("{count:.0}"));
    Ok(vec![
        title.to_owned(),
        of("mebibytes")?.shown(|mebibytes| format!("{mebibytes:.1}")),
        of("cores")?.shown(|cores| format!("{cores:.4}")),
        count(of("reconciles")?),
        count(of("writes")?),
        count(of("lease_writes")?),
    ])
}

fn reaches(title: &str, name: &str, figures: &Figures, mebibytes: f64) -> Result<Vec<Reach>> {
    let of = |part: &str| figures.of(&format!("{name}.{part}"));
    Ok(vec![
        Reach::within(
            format!("{title}, memory"),
            of("mebibytes")?,
            mebibytes,
            " MiB",
        ),
        Reach::within(
            format!("{title}, processor"),
            of("cores")?.times(100.0),
            PERCENT_MAX,
            " % of a core",
        ),
        Reach::within(
            format!("{title}, writes but of the Lease"),
            of("writes")?,
            0.0,
            "",
        ),
    ])
}

fn tell(section: &mut Section, figures: &Figures) {
    for note in &figures.notes {
        section.say(note);
    }
}
