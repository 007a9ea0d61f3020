//! Figures about the operator itself, for Prometheus.

use std::time::Instant;

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

/// The operator's figures; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    durations: Histogram,
    running: IntGauge,
    statuses: IntCounter,
    leads: IntGauge,
}

/// A reconciliation that is under way.
#[derive(Debug)]
pub struct Running(Instant);

impl Metrics {
    /// Figures that are all zero.
    #[expect(
        clippy::new_without_default,
        reason = "registering is work, not a default"
    )]
    pub fn new() -> Self {
        let registry = Registry::new();
        let reconciles = IntCounterVec::new(
            Opts::new(
                "kvasir_operator_reconciles_total",
                "Reconciliations that ended, by outcome.",
            ),
            &["outcome"],
        )
        .expect("the name is good");
        let durations = Histogram::with_opts(
            HistogramOpts::new(
                "kvasir_operator_reconcile_duration_seconds",
                "How long a reconciliation took.",
            )
            .buckets(prometheus::exponential_buckets(0.001, 4.0, 8).expect("they grow")),
        )
        .expect("the name is good");
        let running = gauge(
            "kvasir_operator_reconciles_running",
            "Reconciliations that are under way.",
        );
        let statuses = IntCounter::new(
            "kvasir_operator_status_writes_total",
            "Statuses that were written.",
        )
        .expect("the name is good");
        let leads = gauge(
            "kvasir_operator_leader",
            "1 while this operator is the one that acts.",
        );
        let all: [Box<dyn prometheus::core::Collector>; 5] = [
            Box::new(reconciles.clone()),
            Box::new(durations.clone()),
            Box::new(running.clone()),
            Box::new(statuses.clone()),
            Box::new(leads.clone()),
        ];
        for collector in all {
            registry
                .register(collector)
                .expect("each name is used once");
        }
        Self {
            registry,
            reconciles,
            durations,
            running,
            statuses,
            leads,
        }
    }

    /// A reconciliation begins.
    pub fn reconcile_began(&self) -> Running {
        self.running.inc();
        Running(Instant::now())
    }

    /// It ended so.
    #[expect(clippy::needless_pass_by_value, reason = "it ends once")]
    pub fn reconcile_ended(&self, running: Running, outcome: &str) {
        self.running.dec();
        self.durations.observe(running.0.elapsed().as_secs_f64());
        self.reconciles.with_label_values(&[outcome]).inc();
    }

    /// A status was written.
    pub fn status_written(&self) {
        self.statuses.inc();
    }

    /// Whether this operator acts.
    pub fn leads(&self, leads: bool) {
        self.leads.set(i64::from(leads));
    }

    /// As Prometheus reads them.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("memory takes everything");
        String::from_utf8(text).expect("the encoder writes UTF-8")
    }
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("the name is good")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_rendered() {
        let metrics = Metrics::new();
        let running = metrics.reconcile_began();
        metrics.reconcile_ended(running, "success");
        metrics.leads(true);
        let text = metrics.render();
        assert!(text.contains("kvasir_operator_reconciles_total{outcome=\"success\"} 1"));
        assert!(text.contains("kvasir_operator_leader 1"));
        assert!(text.contains("kvasir_operator_reconciles_running 0"));
    }
}
