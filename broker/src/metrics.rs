//! The broker's figures for Prometheus.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};

use crate::machine::Outcome;

/// What kind of operation is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value read.
    Get,
    /// A presence check.
    Presence,
    /// A write.
    Put,
    /// A delete.
    Delete,
    /// A page of a scan.
    Scan,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    const ALL: [Self; 5] = [
        Self::Get,
        Self::Presence,
        Self::Put,
        Self::Delete,
        Self::Scan,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Presence => "presence",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Scan => "scan",
        }
    }
}

/// Counters and histograms of one broker.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// In the order of [`Kind::ALL`]: looking a label up takes longer than counting.
    kinds: [Operations; Kind::ALL.len()],
    hedged: IntCounter,
}

/// The figures of one kind of operation.
#[derive(Debug)]
struct Operations {
    /// In the order of [`OUTCOMES`].
    ended: [IntCounter; OUTCOMES.len()],
    seconds: Histogram,
}

const OUTCOMES: [&str; 3] = ["done", "not_done", "unknown"];

impl Metrics {
    pub(crate) fn new() -> Self {
        let operations = IntCounterVec::new(
            Opts::new(
                "kvasir_broker_operations_total",
                "Operations ended, by kind and outcome.",
            ),
            &["operation", "outcome"],
        )
        .expect("a valid name");
        let buckets = prometheus::exponential_buckets(0.0001, 2.0, 17).expect("valid buckets");
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "kvasir_broker_operation_duration_seconds",
                "Time from the start of an operation to its outcome.",
            )
            .buckets(buckets),
            &["operation"],
        )
        .expect("a valid name");
        let hedged = IntCounter::new(
            "kvasir_broker_hedged_reads_total",
            "Reads that asked more members because answers were slow.",
        )
        .expect("a valid name");
        let registry = Registry::new();
        registry
            .register(Box::new(operations.clone()))
            .expect("registered once");
        registry
            .register(Box::new(seconds.clone()))
            .expect("registered once");
        registry
            .register(Box::new(hedged.clone()))
            .expect("registered once");
        Self {
            registry,
            kinds: Kind::ALL.map(|kind| Operations {
                ended: OUTCOMES
                    .map(|outcome| operations.with_label_values(&[kind.label(), outcome])),
                seconds: seconds.with_label_values(&[kind.label()]),
            }),
            hedged,
        }
    }

    pub(crate) fn observe<T>(
        &self,
        kind: Kind,
        outcome: &Outcome<T>,
        took: Duration,
        was_hedged: bool,
    ) {
        let [done, not_done, unknown] = &self.kinds[kind as usize].ended;
        let ended = match outcome {
            Outcome::Done(_) => done,
            Outcome::NotDone(_) => not_done,
            Outcome::Unknown(_) => unknown,
        };
        ended.inc();
        self.kinds[kind as usize]
            .seconds
            .observe(took.as_secs_f64());
        if was_hedged {
            self.hedged.inc();
        }
    }

    /// The figures in Prometheus' text format.
    pub fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}
