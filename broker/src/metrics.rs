//! The broker's figures for Prometheus.

use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
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
    operations: IntCounterVec,
    seconds: HistogramVec,
    hedged: IntCounter,
}

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
            operations,
            seconds,
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
        let ended = match outcome {
            Outcome::Done(_) => "done",
            Outcome::NotDone(_) => "not_done",
            Outcome::Unknown(_) => "unknown",
        };
        self.operations
            .with_label_values(&[kind.label(), ended])
            .inc();
        self.seconds
            .with_label_values(&[kind.label()])
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
