//! How far a load has come, beside its input, so that it can go on.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{LoadOptions, input::Mark};

/// How often progress is written: what is done twice after a crash is at most this much.
const INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Saved {
    /// Bytes of the input, to notice that it is another one.
    size: u64,
    /// When the input was last changed, in nanoseconds since 1970.
    modified: u128,
    /// Bytes of it that are done.
    offset: u64,
    /// Lines of it that are done.
    lines: u64,
}

/// The progress of one load; nothing is kept of standard input.
#[derive(Debug)]
pub(super) struct Progress {
    file: Option<PathBuf>,
    saved: Saved,
    resumed: bool,
    written: Instant,
}

impl Progress {
    pub(super) fn open(input: Option<&Path>, options: &LoadOptions) -> Result<Self> {
        let written = Instant::now();
        let none = Saved {
            size: 0,
            modified: 0,
            offset: 0,
            lines: 0,
        };
        let Some(input) = input else {
            return Ok(Self {
                file: None,
                saved: none,
                resumed: false,
                written,
            });
        };
        let metadata = fs::metadata(input)?;
        let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH);
        let fresh = Saved {
            size: metadata.len(),
            modified: modified.unwrap_or_default().as_nanos(),
            ..none
        };
        let mut name = input.as_os_str().to_owned();
        name.push(".progress.json");
        let file = PathBuf::from(name);
        let found: Option<Saved> = fs::read(&file)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let same = found.filter(|found| {
            !options.restart && found.size == fresh.size && found.modified == fresh.modified
        });
        let resumed = same.is_some();
        Ok(Self {
            file: Some(file),
            saved: same.unwrap_or(fresh),
            resumed,
            written,
        })
    }

    /// Where an earlier load of the same input was interrupted: bytes and lines done.
    pub(super) fn resume_at(&self) -> Option<(u64, u64)> {
        self.resumed
            .then_some((self.saved.offset, self.saved.lines))
    }

    /// Notes that everything before the mark is done.
    pub(super) fn keep(&mut self, done: Mark) -> Result<()> {
        if self.written.elapsed() < INTERVAL || done.offset <= self.saved.offset {
            return Ok(());
        }
        self.written = Instant::now();
        self.saved.offset = done.offset;
        self.saved.lines = done.lines;
        let Some(file) = &self.file else {
            return Ok(());
        };
        let temporary = file.with_extension("json.new");
        fs::write(&temporary, serde_json::to_vec(&self.saved)?)
            .and_then(|()| fs::rename(&temporary, file))
            .with_context(|| format!("cannot keep the progress in {}", file.display()))
    }

    /// The load came to its end; only one that stored everything needs no second try.
    pub(super) fn finish(self, is_done: bool) -> Result<()> {
        match self.file {
            Some(file) if is_done && file.exists() => {
                fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
            }
            _ => Ok(()),
        }
    }
}
