//! Durable puts and gets of a cluster of three, through one broker, beside etcd.

mod etcd;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Result;

use self::etcd::{Etcd, Reads};
use crate::{
    Measured,
    document::Section,
    figures::{Load, Reach, Samples, millis, whole},
    kvasir::{Cluster, Shape},
    load::{self, Kind, Plan},
    machine,
    settings::Settings,
};

const VALUE_BYTES: usize = 256;

/// Who was loaded with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    KvasirPut,
    EtcdPut,
    KvasirGet,
    EtcdLinearizable,
    EtcdSerializable,
}

impl Side {
    const ALL: [Self; 5] = [
        Self::KvasirPut,
        Self::EtcdPut,
        Self::KvasirGet,
        Self::EtcdLinearizable,
        Self::EtcdSerializable,
    ];

    fn words(self) -> [&'static str; 2] {
        match self {
            Self::KvasirPut => ["put", "Kvasir"],
            Self::EtcdPut => ["put", "etcd"],
            Self::KvasirGet => ["get", "Kvasir, 2 of 3 copies"],
            Self::EtcdLinearizable => ["get", "etcd, linearizable"],
            Self::EtcdSerializable => ["get", "etcd, serializable"],
        }
    }
}

/// Figures of one side.
#[derive(Debug, Default)]
struct Figures {
    per_second: Samples,
    p50: Samples,
    p99: Samples,
    /// Processor time of the load itself, as a share of all cores.
    load: Samples,
}

impl Figures {
    fn push(&mut self, load: &Load, own_share: f64) {
        self.per_second.push(load.per_second());
        self.p50.push(load.quantile(0.5));
        self.p99.push(load.quantile(0.99));
        self.load.push(own_share);
    }
}

type Table = BTreeMap<(usize, Side), Figures>;

/// Runs the bench.
pub(crate) fn run(settings: &Settings) -> Measured {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let table = runtime.block_on(measure(settings))?;
    Ok(report(&table))
}

async fn measure(settings: &Settings) -> Result<Table> {
    let shape = Shape {
        servers: 3,
        copies: 3,
        mode: "memory",
        sync: "always",
    };
    let mut etcd = Etcd::start(settings).await?;
    let mut kvasir = Cluster::start(settings, shape)?;
    let value: Arc<str> = load::text(1, VALUE_BYTES).into();
    let keys = settings.either(1_000, 10_000);
    load::fill(&kvasir.line, keys, &value).await?;
    etcd.fill(keys, &value).await?;
    let lasts = Duration::from_millis(settings.either(600, 5_000));
    let counts: &[usize] = settings.either(&[1, 64], &[1, 16, 64, 256]);
    let mut table = Table::new();
    for &at_once in counts {
        for turn in 1..=settings.repeats {
            eprintln!("{at_once} at once, turn {turn} of {}", settings.repeats);
            for side in Side::ALL {
                let kind = match side {
                    Side::KvasirPut | Side::EtcdPut => Kind::Put,
                    _ => Kind::Get,
                };
                let plan = Plan {
                    kind,
                    at_once,
                    lasts,
                    keys,
                    value: Arc::clone(&value),
                };
                let before = machine::own_seconds();
                let load = match side {
                    Side::KvasirPut | Side::KvasirGet => load::line(&kvasir.line, &plan).await?,
                    Side::EtcdSerializable => etcd.load(&plan, Reads::Serializable).await?,
                    _ => etcd.load(&plan, Reads::Linearizable).await?,
                };
                let cores = std::thread::available_parallelism()?.get() as f64;
                let own = machine::own_seconds() - before;
                let figures = table.entry((at_once, side)).or_default();
                figures.push(&load, own / lasts.as_secs_f64() / cores);
            }
        }
        kvasir.check()?;
    }
    Ok(table)
}

fn report(table: &Table) -> Section {
    let mut section = Section::new(
        "A quorum of three, beside etcd",
        &format!(
            "Three servers, three copies, `--sync always`, one broker; three members of etcd with \
             its fsync on, asked at their leader; all on one machine and one file system. Values \
             of {VALUE_BYTES} bytes, keys that exist. Requests at once share at most 16 \
             connections on either side; the next goes out when one is answered (closed loop). \
             Kvasir's gets ask two of three copies, which sees every write that was acknowledged \
             or read before; etcd's linearizable ones promise that and one order of all \
             operations for all clients, serializable ones neither. Puts differ likewise: etcd \
             orders all of them and numbers them, which compare-and-set and watches build on; \
             Kvasir orders those of one key by clock, and the last one wins. \"Load\" is the \
             share of the machine that making the load took: the line protocol for one side, gRPC \
             (the crate etcd-client) for the other."
        ),
    );
    let rows = table.iter().map(|((at_once, side), figures)| {
        let [kind, who] = side.words();
        vec![
            kind.to_owned(),
            at_once.to_string(),
            who.to_owned(),
            figures.per_second.shown(whole),
            figures.p50.shown(millis),
            figures.p99.shown(millis),
            format!("{:.0} %", figures.load.median() * 100.0),
        ]
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|row| row[0] == "get");
    section.table(
        &["", "at once", "", "a second", "p50, ms", "p99, ms", "load"],
        &rows,
    );
    let mut reaches = Vec::new();
    let pairs = [
        ("puts", Side::KvasirPut, Side::EtcdPut),
        (
            "gets, beside linearizable ones",
            Side::KvasirGet,
            Side::EtcdLinearizable,
        ),
        (
            "gets, beside serializable ones",
            Side::KvasirGet,
            Side::EtcdSerializable,
        ),
    ];
    for (what, ours, theirs) in pairs {
        if let (Some(ours), Some(theirs)) = (table.get(&(64, ours)), table.get(&(64, theirs))) {
            let rate = ours.per_second.over(&theirs.per_second);
            reaches.push(Reach::at_least(
                format!("{what} a second, 64 at once"),
                rate,
                5.0,
            ));
            let p99 = ours.p99.over(&theirs.p99);
            reaches.push(Reach::at_most(format!("{what}, p99, 64 at once"), p99, 1.0));
        }
    }
    section.reaches(&reaches);
    section
}
