//! `--history`: every operation as a line of JSON, for a checker that knows nothing of this program.
//!
//! Times are those of the system's monotonic clock, so that the histories of several processes of
//! one machine can be read together. Operations are written when they end; those that have not
//! ended when the history is closed are written then, as unknown.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde_json::Value;

use super::{report::Ended, workload::Kind};

/// Values with more bytes are written as a beginning, their length and a checksum.
const WHOLE_MAX: usize = 256;

/// Bytes of that beginning; whose value it is stands in it.
const BEGINNING: usize = 64;

/// A history being written.
#[derive(Debug)]
pub(super) struct History {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: BufWriter<File>,
    open: HashMap<u64, Line>,
    next: u64,
    /// Nothing may be sent any more that would be missing here.
    is_closed: bool,
    /// The first write that failed; nothing is written after it.
    failed: Option<std::io::Error>,
}

/// An operation that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun(u64);

/// One operation, as it stands in the file.
#[derive(Debug, Serialize)]
struct Line {
    client: usize,
    operation: &'static str,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    start: u64,
    end: u64,
    outcome: &'static str,
    /// What a get that is done has read; `null` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<Value>,
    /// Whether a delete that is done found a value. One that found none has written nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<bool>,
}

impl History {
    /// Begins a new file; one that is there is replaced.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            inner: Mutex::new(Inner {
                file: BufWriter::with_capacity(1 << 20, file),
                open: HashMap::new(),
                next: 0,
                is_closed: false,
                failed: None,
            }),
        })
    }

    /// An operation is about to be sent; `None` once the history is closed.
    pub(super) fn begin(
        &self,
        client: usize,
        kind: Kind,
        key: &str,
        value: Option<&str>,
    ) -> Option<Begun> {
        let line = Line {
            client,
            operation: kind.name(),
            key: key.to_owned(),
            value: value.map(|value| written(value.to_owned())),
            start: now(),
            end: 0,
            outcome: "unknown",
            read: None,
            found: None,
        };
        let mut inner = self.inner.lock();
        if inner.is_closed {
            return None;
        }
        let number = inner.next;
        inner.next += 1;
        inner.open.insert(number, line);
        Some(Begun(number))
    }

    /// It has ended; `read` is the notation's text of the value that a get has read.
    pub(super) fn end(&self, begun: Begun, ended: Ended, read: Option<&str>) {
        let end = now();
        let mut inner = self.inner.lock();
        let Some(mut line) = inner.open.remove(&begun.0) else {
            return;
        };
        line.end = end;
        line.outcome = match ended {
            Ended::Done | Ended::NotFound => "done",
            Ended::NotDone => "not_done",
            Ended::Unknown => "unknown",
        };
        match (line.operation, ended) {
            ("get", Ended::Done) => line.read = read.map(|text| written(plain(text)).into()),
            ("get", Ended::NotFound) => line.read = Some(Value::Null),
            ("delete", Ended::Done) => line.found = Some(true),
            ("delete", Ended::NotFound) => line.found = Some(false),
            _ => {}
        }
        inner.write(&line);
    }

    /// Writes what has not ended, as unknown, and everything to the file.
    pub(super) fn close(&self) -> Result<()> {
        let end = now();
        let mut inner = self.inner.lock();
        inner.is_closed = true;
        let mut open: Vec<_> = std::mem::take(&mut inner.open).into_iter().collect();
        open.sort_unstable_by_key(|&(number, _)| number);
        for (_, mut line) in open {
            line.end = end;
            inner.write(&line);
        }
        let flushed = match inner.failed.take() {
            Some(error) => Err(error),
            None => inner.file.flush(),
        };
        flushed.with_context(|| format!("{} is not whole", self.path.display()))
    }
}

impl Inner {
    fn write(&mut self, line: &Line) {
        if self.failed.is_some() {
            return;
        }
        let written = serde_json::to_writer(&mut self.file, line)
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"));
        self.failed = written.err();
    }
}

/// A value of the history, the same for nobody else: whose it is, then letters that follow from it.
pub(super) fn value(run: u64, client: usize, sequence: u64, bytes: usize) -> String {
    let mut text = format!("{run:016x}-{client}-{sequence}-");
    let whose = text.len();
    let mut state = run ^ sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    while text.len() < bytes {
        // Sixteen letters a step of a Weyl sequence, mixed: shifted or exchanged pieces show.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let _ = write!(
            text,
            "{:016x}",
            (state ^ (state >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
        );
    }
    text.truncate(bytes.max(whose));
    text
}

/// The text inside a value's quotes; what is no text in quotes, as it came.
fn plain(text: &str) -> String {
    serde_json::from_str(text).unwrap_or_else(|_| text.to_owned())
}

/// How a value stands in the history.
fn written(text: String) -> String {
    if text.len() <= WHOLE_MAX {
        return text;
    }
    let beginning = text.floor_char_boundary(BEGINNING);
    // FNV-1a, 64 bits: simple enough for others to make again.
    let sum = text.bytes().fold(0xCBF2_9CE4_8422_2325u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    format!("{}...{}:{sum:016x}", &text[..beginning], text.len())
}

/// Nanoseconds of the system's monotonic clock, the same for every process.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_only_one_of_its_kind_and_as_long_as_asked() {
        let (one, other) = (value(7, 1, 2, 100), value(7, 1, 3, 100));
        assert_eq!((one.len(), other.len()), (100, 100));
        assert_ne!(one, other);
        assert!(one.starts_with("0000000000000007-1-2-"), "{one}");
        assert_eq!(value(7, 1, 2, 0), "0000000000000007-1-2-");
        assert_eq!(value(7, 1, 2, 100), one, "made again");
    }

    #[test]
    fn a_long_value_is_written_with_length_and_checksum() {
        let long = value(7, 1, 2, 1000);
        let line = written(long.clone());
        assert!(line.starts_with("0000000000000007-1-2-"), "{line}");
        assert!(line.contains("...1000:"), "{line}");
        let mut altered = long.into_bytes();
        altered[999] ^= 1;
        let altered = String::from_utf8(altered).expect("still letters");
        assert_ne!(written(altered), line);
        assert_eq!(written("short".to_owned()), "short");
    }

    #[test]
    fn a_closed_history_has_every_operation_also_those_that_did_not_end() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("history.ndjson");
        let history = History::create(&path).expect("writable");
        let begin = |client, kind, value| history.begin(client, kind, "k", value);
        let put = begin(1, Kind::Put, Some("v")).expect("open");
        let get = begin(2, Kind::Get, None).expect("open");
        let delete = begin(3, Kind::Delete, None).expect("open");
        begin(4, Kind::Put, Some("w")).expect("open");
        history.end(get, Ended::Done, Some("\"v\""));
        history.end(put, Ended::Done, None);
        history.end(delete, Ended::NotFound, None);
        history.close().expect("written");
        assert!(begin(5, Kind::Get, None).is_none(), "closed");
        let text = std::fs::read_to_string(&path).expect("it is there");
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let seen: Vec<_> = lines
            .iter()
            .map(|line| (line["client"].as_u64(), line["outcome"].as_str()))
            .collect();
        let expected = [(2, "done"), (1, "done"), (3, "done"), (4, "unknown")];
        assert_eq!(
            seen,
            expected.map(|(client, how)| (Some(client), Some(how)))
        );
        assert_eq!(lines[0]["read"], "v");
        assert_eq!(lines[2]["found"], false);
        assert!(lines[0]["start"].as_u64() <= lines[0]["end"].as_u64());
    }
}
