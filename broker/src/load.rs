//! Loading a file of entries into the cluster.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use kvcore::{
    key::Key,
    notation,
    value::{Content, Value},
};
use tokio::sync::mpsc;

use crate::{
    limits::{LINE_BYTES_MAX, LOAD_BYTES_MAX, LOAD_IN_FLIGHT},
    machine::{Failure, Outcome},
    shell::{Added, Broker},
};

/// Broken lines and failures that are reported one by one; the rest is only counted.
const REPORTS_MAX: u64 = 20;

/// How a file is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Whether keys that have a value get the file's.
    pub overwrite: bool,
    /// Entries on their way at once.
    pub in_flight: usize,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            overwrite: false,
            in_flight: LOAD_IN_FLIGHT,
        }
    }
}

/// What became of the file's lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadSummary {
    /// Entries stored.
    pub stored: u64,
    /// Entries whose key had a value, which was left alone.
    pub existed: u64,
    /// Lines that are no entries.
    pub bad_lines: u64,
    /// Entries that were not stored, or not certainly.
    pub failed: u64,
}

impl fmt::Display for LoadSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} stored, {} existed, {} bad lines, {} failed",
            self.stored, self.existed, self.bad_lines, self.failed
        )
    }
}

/// One line of the file.
struct Line {
    number: usize,
    bytes: usize,
    entry: Result<(Key, Content), String>,
}

/// Loads the entries of `file`, one a line; blank lines and lines that begin with `#` do not
/// count. Broken lines are reported and skipped.
pub async fn load(broker: &Broker, file: &Path, options: LoadOptions) -> io::Result<LoadSummary> {
    let name = file.display().to_string();
    let opened = File::open(file)
        .map_err(|error| io::Error::new(error.kind(), format!("data file {name}: {error}")))?;
    let (sender, mut lines) = mpsc::channel(16);
    let reader = tokio::task::spawn_blocking(move || read(BufReader::new(opened), &sender));
    let mut summary = LoadSummary::default();
    let mut under_way = FuturesUnordered::new();
    let mut bytes_under_way = 0;
    loop {
        let has_room = under_way.len() < options.in_flight.max(1)
            && (bytes_under_way < LOAD_BYTES_MAX || under_way.is_empty());
        tokio::select! {
            Some((number, bytes, stored)) = under_way.next() => {
                bytes_under_way -= bytes;
                summary.count(&name, number, stored);
            }
            line = lines.recv(), if has_room => match line {
                None => break,
                Some(line) => match line.entry {
                    Err(why) => summary.bad_line(&name, line.number, &why),
                    Ok((key, content)) => {
                        bytes_under_way += line.bytes;
                        under_way.push(async move {
                            let stored = store(broker, key, content, options.overwrite).await;
                            (line.number, line.bytes, stored)
                        });
                    }
                },
            },
        }
    }
    while let Some((number, _, stored)) = under_way.next().await {
        summary.count(&name, number, stored);
    }
    reader.await.map_err(io::Error::other)??;
    Ok(summary)
}

async fn store(broker: &Broker, key: Key, content: Content, overwrite: bool) -> Outcome<Added> {
    let value = Value {
        content,
        expires_at: None,
    };
    if !overwrite {
        return broker.add(key, &value).await;
    }
    match broker.put(key, &value).await {
        Outcome::Done(_) => Outcome::Done(Added::Stored),
        Outcome::NotDone(failure) => Outcome::NotDone(failure),
        Outcome::Unknown(failure) => Outcome::Unknown(failure),
    }
}

impl LoadSummary {
    fn count(&mut self, file: &str, line: usize, stored: Outcome<Added>) {
        match stored {
            Outcome::Done(Added::Stored) => self.stored += 1,
            Outcome::Done(Added::Exists) => self.existed += 1,
            Outcome::NotDone(failure) => self.fail(file, line, "not stored", &failure),
            Outcome::Unknown(failure) => self.fail(file, line, "perhaps not stored", &failure),
        }
    }

    fn fail(&mut self, file: &str, line: usize, what: &str, failure: &Failure) {
        self.failed += 1;
        report(self.failed, || format!("{file}:{line}: {what}: {failure}"));
    }

    fn bad_line(&mut self, file: &str, line: usize, why: &str) {
        self.bad_lines += 1;
        report(self.bad_lines, || format!("{file}:{line}, {why}"));
    }
}

/// Says what went wrong, as long as it is not too often.
fn report(count: u64, line: impl FnOnce() -> String) {
    match count {
        ..REPORTS_MAX => tracing::warn!("{}", line()),
        REPORTS_MAX => tracing::warn!("{}; more are only counted", line()),
        _ => {}
    }
}

/// Reads lines on a thread of its own; stops when nobody wants them any more.
fn read(mut input: impl BufRead, lines: &mpsc::Sender<Line>) -> io::Result<()> {
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        // One byte beyond the limit shows that a line is too long.
        let limit = LINE_BYTES_MAX as u64 + 1;
        if io::Read::take(&mut input, limit).read_until(b'\n', &mut text)? == 0 {
            break;
        }
        let entry = if text.len() > LINE_BYTES_MAX {
            input.skip_until(b'\n')?;
            Some(Err(format!(
                "column 1: expected at most {LINE_BYTES_MAX} bytes, found more"
            )))
        } else {
            parse(&text, number)
        };
        let bytes = text.len();
        if text.capacity() > 1 << 20 {
            text = Vec::new();
        }
        let Some(entry) = entry else { continue };
        let line = Line {
            number,
            bytes,
            entry,
        };
        if lines.blocking_send(line).is_err() {
            break;
        }
    }
    Ok(())
}

/// `None` for a line that says nothing.
fn parse(line: &[u8], number: usize) -> Option<Result<(Key, Content), String>> {
    let line = line
        .strip_prefix(b"\xEF\xBB\xBF")
        .filter(|_| number == 1)
        .unwrap_or(line);
    let line = line.trim_ascii_end();
    if line.trim_ascii_start().is_empty() || line.trim_ascii_start().starts_with(b"#") {
        return None;
    }
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => {
            let before = String::from_utf8_lossy(&line[..error.valid_up_to()]);
            let column = before.chars().count() + 1;
            return Some(Err(format!(
                "column {column}: expected UTF-8 text, found other bytes"
            )));
        }
    };
    Some(notation::parse_entry(text, number).map_err(|error| {
        format!(
            "column {}: expected {}, found {}",
            error.column, error.expected, error.found
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_entries_blanks_or_errors() {
        assert!(parse(b" \r\n", 1).is_none());
        assert!(parse(b"# comment\n", 1).is_none());
        assert!(
            parse(b"\xEF\xBB\xBF\"a\" : 1\r\n", 1)
                .expect("an entry")
                .is_ok()
        );
        for (line, expected) in [
            (&b"\"a\" 1\n"[..], "column 5: expected `:`, found `1`"),
            (
                b"\"a\" : \xFF\n",
                "column 7: expected UTF-8 text, found other bytes",
            ),
            (
                b"a : 1",
                "column 1: expected a key in quotes, found `a : 1`",
            ),
        ] {
            assert_eq!(parse(line, 3).expect("an error").unwrap_err(), expected);
        }
    }
}
