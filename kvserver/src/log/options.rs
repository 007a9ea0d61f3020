//! How a log is opened and committed to.

use std::fmt;

/// How to open a log.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// A segment that has reached this many bytes is sealed; between
    /// [`LogOptions::SEGMENT_BYTES_MIN`] and [`LogOptions::SEGMENT_BYTES_MAX`].
    pub segment_bytes: u32,
    /// Whether opening hands out payloads and chunk bytes, or only what describes them.
    pub load_values: bool,
    /// Names the log if the directory holds none yet, and finds the records of one that has lost
    /// every head: unique, and the same for one directory each time.
    pub log_id: u128,
    /// A sealed segment with at least this share of live bytes, in percent, is no victim.
    pub victim_live_percent: u8,
    /// While less than this share of the whole log, in percent, is garbage, only segments without
    /// any live byte are victims.
    pub garbage_percent: u8,
    /// A place that [`super::Log::head`] once gave, the highest that anybody relies on. What is
    /// appended lies at or above it, and a log that ends before it has lost what was durable.
    pub reaches: LogPlace,
}

impl LogOptions {
    /// Smallest segment, in bytes; small ones are for tests.
    pub const SEGMENT_BYTES_MIN: u32 = 4 * 1024;

    /// Largest segment, in bytes: offsets are 32 bits, and the batch that fills a segment may
    /// begin one byte before this.
    pub const SEGMENT_BYTES_MAX: u32 = 3 * 1024 * 1024 * 1024;
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            load_values: false,
            log_id: uuid::Uuid::new_v4().as_u128(),
            victim_live_percent: 50,
            garbage_percent: 20,
            reaches: LogPlace::START,
        }
    }
}

/// Whether a commit waits until its batch is durable.
///
/// The store's `--sync` modes map to it: `always` commits with [`SyncNow::Yes`] before it
/// acknowledges; `interval` commits with [`SyncNow::No`] and calls [`super::Log::sync`] every so
/// often; `never` only commits with [`SyncNow::No`]. Copies made by compaction, and chunks whose
/// record has not come, are [`SyncNow::Later`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncNow {
    /// The batch is durable when the commit returns.
    Yes,
    /// The batch is handed to the operating system; a crash of the machine may lose it, though it
    /// is acknowledged. From then on the log has to doubt itself after a crash.
    No,
    /// The same for a batch that nobody is promised yet: whatever makes it matter is committed
    /// with [`SyncNow::Yes`] later. Losing it is no reason for doubt.
    Later,
}

/// Number of a segment; grows by one with each, and no number is used twice in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u32);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where one whole log record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The segment it lies in.
    pub segment: SegmentId,
    /// Its first byte in the segment's file.
    pub offset: u32,
    /// Its bytes, header included.
    pub length: u32,
}

const _: () = assert!(size_of::<Location>() == 12);

/// A place in a log. Of two records, the one that was appended later begins at the higher place:
/// the numbers of segments only grow, a segment grows at its end, and what compaction moves is
/// appended like anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPlace {
    /// The segment.
    pub segment: SegmentId,
    /// Bytes from the start of its file.
    pub offset: u32,
}

impl LogPlace {
    /// Below everything: no segment has the number zero.
    pub const START: Self = Self {
        segment: SegmentId(0),
        offset: 0,
    };
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} of segment {}", self.offset, self.segment)
    }
}

impl Location {
    /// Where the record begins.
    pub fn place(self) -> LogPlace {
        LogPlace {
            segment: self.segment,
            offset: self.offset,
        }
    }
}
