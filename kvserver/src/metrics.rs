//! The server's figures for Prometheus.

use std::time::Duration;

use kvcore::{
    status::MemberStatus,
    wire::{Reply, Request},
};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::{log::disk::Disk, server::Failed, store::Store, writer_thread::WriterThread};

/// Counters and histograms of one member; gauges are set when they are asked for.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// In the order of [`RequestKind::ALL`]: looking a label up takes longer than counting.
    kinds: [Requests; RequestKind::ALL.len()],
    gauges: Gauges,
}

/// The figures of one kind of request.
#[derive(Debug)]
struct Requests {
    /// In the order of [`RESULTS`].
    ended: [IntCounter; RESULTS.len()],
    seconds: Histogram,
}

const RESULTS: [&str; 4] = ["done", "superseded", "refused", "uncertain"];

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Ping,
    FetchPlacement,
    Adopt,
    Get,
    GetVersion,
    GetChunk,
    Put,
    PutChunk,
    Scan,
    Digests,
    Buckets,
    Versions,
}

impl RequestKind {
    /// Every kind, in the order of their numbers.
    const ALL: [Self; 12] = [
        Self::Ping,
        Self::FetchPlacement,
        Self::Adopt,
        Self::Get,
        Self::GetVersion,
        Self::GetChunk,
        Self::Put,
        Self::PutChunk,
        Self::Scan,
        Self::Digests,
        Self::Buckets,
        Self::Versions,
    ];

    /// The kind of a request.
    pub(crate) fn of(request: &Request) -> Self {
        match request {
            Request::Ping => Self::Ping,
            Request::FetchPlacement => Self::FetchPlacement,
            Request::Adopt(_) => Self::Adopt,
            Request::Get { .. } => Self::Get,
            Request::GetVersion { .. } => Self::GetVersion,
            Request::GetChunk { .. } => Self::GetChunk,
            Request::Put { .. } => Self::Put,
            Request::PutChunk { .. } => Self::PutChunk,
            Request::Scan { .. } => Self::Scan,
            Request::Digests { .. } => Self::Digests,
            Request::Buckets { .. } => Self::Buckets,
            Request::Versions { .. } => Self::Versions,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::FetchPlacement => "fetch_placement",
            Self::Adopt => "adopt",
            Self::Get => "get",
            Self::GetVersion => "get_version",
            Self::GetChunk => "get_chunk",
            Self::Put => "put",
            Self::PutChunk => "put_chunk",
            Self::Scan => "scan",
            Self::Digests => "digests",
            Self::Buckets => "buckets",
            Self::Versions => "versions",
        }
    }
}

#[derive(Debug)]
struct Gauges {
    keys: IntGauge,
    tombstones: IntGauge,
    memory: IntGauge,
    log: IntGauge,
    log_live: IntGauge,
    segments: IntGauge,
    fsyncs: IntGauge,
    commits: IntGauge,
    appended: IntGauge,
    slots: IntGauge,
    unsynced: IntGauge,
    damaged: IntGauge,
    damage_met: IntGauge,
    behind: IntGauge,
    epoch: IntGauge,
    ready: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new(
                "kvasir_server_requests_total",
                "Peer requests, by kind and result.",
            ),
            &["request", "result"],
        )
        .expect("a valid name");
        let buckets = prometheus::exponential_buckets(0.000_01, 2.0, 20).expect("valid buckets");
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "kvasir_server_request_duration_seconds",
                "Time from a request's arrival to its reply.",
            )
            .buckets(buckets),
            &["request"],
        )
        .expect("a valid name");
        registry
            .register(Box::new(requests.clone()))
            .expect("registered once");
        registry
            .register(Box::new(seconds.clone()))
            .expect("registered once");
        let gauges = Gauges::new(&registry);
        Self {
            registry,
            kinds: RequestKind::ALL.map(|kind| Requests {
                ended: RESULTS.map(|result| requests.with_label_values(&[kind.label(), result])),
                seconds: seconds.with_label_values(&[kind.label()]),
            }),
            gauges,
        }
    }

    pub(crate) fn observe(&self, kind: RequestKind, reply: &Result<Reply, Failed>, took: Duration) {
        let [done, superseded, refused, uncertain] = &self.kinds[kind as usize].ended;
        let ended = match reply {
            Ok(Reply::Refused(_)) | Err(Failed::Refused(_)) => refused,
            Ok(Reply::Uncertain(_)) | Err(Failed::Lost(_)) => uncertain,
            Ok(Reply::Superseded { .. }) => superseded,
            Ok(_) => done,
        };
        ended.inc();
        self.kinds[kind as usize]
            .seconds
            .observe(took.as_secs_f64());
    }

    /// The figures in Prometheus' text format.
    pub(crate) fn render<D: Disk>(
        &self,
        store: &Store<D>,
        writer: &WriterThread,
        status: &MemberStatus,
    ) -> String {
        let (gauges, log) = (&self.gauges, writer.stats());
        let set = |gauge: &IntGauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&gauges.keys, store.keys());
        set(&gauges.tombstones, store.tombstones());
        set(&gauges.memory, store.memory_bytes());
        set(&gauges.log, log.bytes);
        set(&gauges.log_live, log.live_bytes);
        set(&gauges.segments, log.segments as u64);
        set(&gauges.fsyncs, log.fsyncs);
        set(&gauges.commits, log.commits);
        set(&gauges.appended, log.appended_bytes);
        set(&gauges.slots, u64::from(status.slots));
        set(&gauges.unsynced, u64::from(status.slots_unsynced));
        set(&gauges.damaged, u64::from(status.slots_damaged));
        set(&gauges.damage_met, status.damage_met);
        set(&gauges.behind, u64::from(status.slots_behind));
        set(&gauges.epoch, status.epoch.0);
        set(&gauges.ready, u64::from(status.ready));
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}

impl Gauges {
    fn new(registry: &Registry) -> Self {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help).expect("a valid name");
            registry
                .register(Box::new(gauge.clone()))
                .expect("registered once");
            gauge
        };
        Self {
            keys: gauge("kvasir_server_keys", "Keys with a value."),
            tombstones: gauge("kvasir_server_tombstones", "Deleted keys still remembered."),
            memory: gauge(
                "kvasir_server_memory_bytes",
                "Memory of tries, digests and values.",
            ),
            log: gauge("kvasir_server_log_bytes", "Size of the log."),
            log_live: gauge(
                "kvasir_server_log_live_bytes",
                "Bytes of the log still needed.",
            ),
            segments: gauge("kvasir_server_log_segments", "Segments of the log."),
            fsyncs: gauge("kvasir_server_fsyncs", "Syncs of the log since the start."),
            commits: gauge("kvasir_server_commits", "Group commits since the start."),
            appended: gauge(
                "kvasir_server_appended_bytes",
                "Bytes appended since the start.",
            ),
            slots: gauge("kvasir_server_slots", "Slots this member holds."),
            unsynced: gauge(
                "kvasir_server_slots_unsynced",
                "Slots that count in no quorum yet.",
            ),
            damaged: gauge(
                "kvasir_server_slots_damaged",
                "Slots whose data is damaged.",
            ),
            damage_met: gauge(
                "kvasir_server_damage_met",
                "Times damage was met in the log since the start.",
            ),
            behind: gauge(
                "kvasir_server_slots_behind",
                "Slots that differ from another copy.",
            ),
            epoch: gauge("kvasir_server_epoch", "Epoch of the placement in force."),
            ready: gauge(
                "kvasir_server_ready",
                "1 when the member has caught up and serves.",
            ),
        }
    }
}
