//! Throughput and memory by servers and keys: a table, beside nobody.

use std::{sync::Arc, time::Duration};

use anyhow::Result;

use crate::{
    Measured,
    document::Section,
    figures::{Samples, millis, whole},
    kvasir::{Cluster, Shape},
    load::{self, Kind, Plan},
    machine,
    settings::Settings,
};

const VALUE_BYTES: usize = 32;
const AT_ONCE: usize = 64;

/// Figures of one size of cluster with so many keys.
#[derive(Debug, Default)]
struct Figures {
    puts: Samples,
    put_p99: Samples,
    gets: Samples,
    get_p99: Samples,
    bytes: Samples,
}

/// Runs the bench.
pub(crate) fn run(settings: &Settings) -> Measured {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut rows = Vec::new();
    for &servers in settings.either(&[1, 4][..], &[1, 2, 4, 8]) {
        for &keys in settings.either(
            &[1_000, 10_000][..],
            &[10_000, 100_000, 1_000_000, 10_000_000],
        ) {
            let mut figures = Figures::default();
            // The largest takes minutes to fill: once has to do.
            let turns = if keys > 1_000_000 {
                1
            } else {
                settings.repeats
            };
            for turn in 1..=turns {
                eprintln!("{servers} servers, {keys} keys, turn {turn} of {turns}");
                runtime.block_on(measure(settings, servers, keys, &mut figures))?;
            }
            rows.push(vec![
                servers.to_string(),
                whole(keys as f64),
                figures.puts.shown(whole),
                figures.put_p99.shown(millis),
                figures.gets.shown(whole),
                figures.get_p99.shown(millis),
                figures.bytes.shown(whole),
            ]);
        }
    }
    let mut section = Section::new(
        "By servers and keys",
        &format!(
            "Servers of one machine, up to three copies, `--sync interval`, `--mode memory`, one \
             broker; values of {VALUE_BYTES} bytes, {AT_ONCE} requests at once. Bytes are the \
             resident memory of all servers, less that of empty ones, by keys: all copies \
             together. More servers on the same cores are not faster; what is to be seen is what \
             they cost."
        ),
    );
    section.table(
        &[
            "servers",
            "keys",
            "puts a second",
            "p99, ms",
            "gets a second",
            "p99, ms",
            "bytes a key",
        ],
        &rows,
    );
    Ok(section)
}

async fn measure(
    settings: &Settings,
    servers: u16,
    keys: u64,
    figures: &mut Figures,
) -> Result<()> {
    let shape = Shape {
        servers,
        copies: usize::from(servers).min(3),
        mode: "memory",
        sync: "interval",
    };
    let mut cluster = Cluster::start(settings, shape)?;
    let resident = |cluster: &Cluster| -> f64 {
        cluster
            .servers
            .iter()
            .map(|&server| machine::resident(server))
            .sum()
    };
    let empty = resident(&cluster);
    let value: Arc<str> = load::text(7, VALUE_BYTES).into();
    load::fill(&cluster.line, keys, &value).await?;
    figures
        .bytes
        .push((resident(&cluster) - empty) / keys as f64);
    for kind in [Kind::Put, Kind::Get] {
        let plan = Plan {
            kind,
            at_once: AT_ONCE,
            lasts: Duration::from_millis(settings.either(500, 3_000)),
            keys,
            value: Arc::clone(&value),
        };
        let load = load::line(&cluster.line, &plan).await?;
        let (rate, p99) = match kind {
            Kind::Put => (&mut figures.puts, &mut figures.put_p99),
            Kind::Get => (&mut figures.gets, &mut figures.get_p99),
        };
        rate.push(load.per_second());
        p99.push(load.quantile(0.99));
    }
    cluster.check()
}
