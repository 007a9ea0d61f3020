//! What a run took: counts, throughput, latencies in an HDR histogram.

use std::{collections::BTreeMap, time::Duration};

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::{BenchOptions, workload::Kind};

/// How one operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    NotFound,
    NotDone,
    Unknown,
}

/// Collects what happens.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    kinds: BTreeMap<Kind, Figures>,
    elapsed: Duration,
    unsent: u64,
}

#[derive(Debug, Clone)]
struct Figures {
    /// Microseconds, three significant digits, up to a minute.
    latency: Histogram<u64>,
    not_found: u64,
    not_done: u64,
    unknown: u64,
}

const LATENCY_MICROS_MAX: u64 = 60_000_000;

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            kinds: BTreeMap::new(),
            elapsed: Duration::ZERO,
            unsent: 0,
        }
    }

    pub(super) fn record(&mut self, kind: Kind, ended: Ended, took: Duration) {
        let figures = self.kinds.entry(kind).or_insert_with(|| Figures {
            latency: Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3).expect("valid bounds"),
            not_found: 0,
            not_done: 0,
            unknown: 0,
        });
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        figures.latency.saturating_record(micros.max(1));
        match ended {
            Ended::Done => {}
            Ended::NotFound => figures.not_found += 1,
            Ended::NotDone => figures.not_done += 1,
            Ended::Unknown => figures.unknown += 1,
        }
    }

    pub(super) fn finish(&mut self, elapsed: Duration, unsent: u64) {
        self.elapsed = elapsed;
        self.unsent = unsent;
    }

    pub(super) fn report(&self, options: &BenchOptions, given_up: Option<String>) -> Report {
        let seconds = self.elapsed.as_secs_f64();
        let rows = self.kinds.iter().map(|(kind, figures)| Row {
            operation: kind.name(),
            count: figures.latency.len(),
            per_second: figures.latency.len() as f64 / seconds.max(0.001),
            not_found: figures.not_found,
            not_done: figures.not_done,
            unknown: figures.unknown,
            p50_micros: figures.latency.value_at_quantile(0.5),
            p99_micros: figures.latency.value_at_quantile(0.99),
            p999_micros: figures.latency.value_at_quantile(0.999),
            max_micros: figures.latency.max(),
        });
        Report {
            seconds,
            rate: options.rate,
            unsent: self.unsent,
            given_up,
            operations: rows.collect(),
        }
    }
}

/// What a run took.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How long it ran.
    pub seconds: f64,
    /// Operations that were due each second; `null` in a closed loop.
    pub rate: Option<f64>,
    /// Operations that were due and not sent, because too many waited for their answer or there was
    /// no broker.
    pub unsent: u64,
    /// Why it ended before its time; `null` where it did not.
    pub given_up: Option<String>,
    /// Figures by operation.
    pub operations: Vec<Row>,
}

/// Figures of one kind of operation.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Which kind.
    pub operation: &'static str,
    /// How many were answered.
    pub count: u64,
    /// The same by the second.
    pub per_second: f64,
    /// Of these, for keys without a value.
    pub not_found: u64,
    /// Of these, certainly not carried out.
    pub not_done: u64,
    /// Of these, with an unknown outcome.
    pub unknown: u64,
    /// Half were answered within this.
    pub p50_micros: u64,
    /// 99 % were answered within this.
    pub p99_micros: u64,
    /// 99.9 % were answered within this.
    pub p999_micros: u64,
    /// The slowest.
    pub max_micros: u64,
}

impl Report {
    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header([
            "OPERATION",
            "COUNT",
            "PER SECOND",
            "NOT FOUND",
            "NOT DONE",
            "UNKNOWN",
            "P50",
            "P99",
            "P99.9",
            "MAX",
        ]);
        for row in &self.operations {
            table.add_row([
                row.operation.to_owned(),
                row.count.to_string(),
                format!("{:.0}", row.per_second),
                row.not_found.to_string(),
                row.not_done.to_string(),
                row.unknown.to_string(),
                millis(row.p50_micros),
                millis(row.p99_micros),
                millis(row.p999_micros),
                millis(row.max_micros),
            ]);
        }
        for column in 1..10 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let unsent = match self.unsent {
            0 => String::new(),
            unsent => format!("; {unsent} were due and not sent"),
        };
        let how = match self.rate {
            Some(rate) => format!("open loop, {rate} operations a second due"),
            None => "closed loop".to_owned(),
        };
        format!("{how}; {:.1} s{unsent}\n\n{table}", self.seconds)
    }
}

fn millis(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1000.0)
}
