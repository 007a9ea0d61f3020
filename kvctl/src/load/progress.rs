//! How far a load has come, beside its input, so that it can go on.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{LoadOptions, LoadSummary, input::Mark};

/// How often progress is written: what is done twice after a crash is at most this much.
const INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Saved {
    /// What is being loaded.
    of: Identity,
    /// What of it is done.
    done: Mark,
    /// Lines that were no record.
    rejected: u64,
}

/// Tells loads apart: where this differs, nothing is gone on with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Identity {
    /// Bytes of the input.
    size: u64,
    /// When the input was last changed, in nanoseconds since 1970.
    modified: u128,
    /// `--key`
    key_field: Option<String>,
    /// `--overwrite`
    overwrite: bool,
}

/// The progress of one load; nothing is kept of what is no file.
#[derive(Debug)]
pub(super) struct Progress {
    kept: Option<Kept>,
    saved: Saved,
    resumed: bool,
}

#[derive(Debug)]
struct Kept {
    file: PathBuf,
    written: Instant,
}

impl Progress {
    pub(super) fn open(input: Option<&Path>, options: &LoadOptions) -> Result<Self> {
        let mut of = Identity {
            size: 0,
            modified: 0,
            key_field: options.key_field.clone(),
            overwrite: options.overwrite,
        };
        let mut kept = None;
        let mut found = None;
        if let Some(input) = input {
            let metadata = fs::metadata(input)?;
            let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH);
            of.size = metadata.len();
            of.modified = modified.unwrap_or_default().as_nanos();
            let mut name = input.as_os_str().to_owned();
            name.push(".progress.json");
            let file = PathBuf::from(name);
            found = fs::read(&file)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok())
                .filter(|found: &Saved| !options.restart && found.of == of);
            kept = Some(Kept {
                file,
                written: Instant::now(),
            });
        }
        let fresh = Saved {
            of,
            done: Mark::default(),
            rejected: 0,
        };
        Ok(Self {
            kept,
            resumed: found.is_some(),
            saved: found.unwrap_or(fresh),
        })
    }

    /// Where an earlier load of the same input was interrupted.
    pub(super) fn resume_at(&self) -> Option<Mark> {
        (self.resumed && self.saved.done.offset > 0).then_some(self.saved.done)
    }

    /// Lines that the earlier load rejected.
    pub(super) fn rejected(&self) -> u64 {
        self.saved.rejected
    }

    /// Forgets the earlier load.
    pub(super) fn begin_again(&mut self) {
        self.resumed = false;
        self.saved.done = Mark::default();
        self.saved.rejected = 0;
    }

    /// Notes that everything before the mark is done.
    pub(super) fn keep(&mut self, done: Mark, summary: LoadSummary) {
        let is_due = |kept: &Kept| kept.written.elapsed() >= INTERVAL;
        if done.offset > self.saved.done.offset && self.kept.as_ref().is_some_and(is_due) {
            self.write(done, summary);
        }
    }

    fn write(&mut self, done: Mark, summary: LoadSummary) {
        let Some(kept) = &mut self.kept else { return };
        kept.written = Instant::now();
        self.saved.done = done;
        self.saved.rejected = summary.resumed_rejected + summary.rejected;
        let temporary = kept.file.with_extension("json.new");
        let written = serde_json::to_vec(&self.saved)
            .map_err(std::io::Error::other)
            .and_then(|text| fs::write(&temporary, text))
            .and_then(|()| fs::rename(&temporary, &kept.file));
        if let Err(error) = written {
            let file = kept.file.display();
            eprintln!(
                "cannot keep the progress in {file}: {error}; an interrupted load would begin again"
            );
            self.kept = None;
        }
    }

    /// The load ended; one that the cluster stopped is gone on with from the mark.
    pub(super) fn finish(mut self, done: Mark, summary: LoadSummary) -> Result<()> {
        if summary.failed > 0 {
            self.write(done, summary);
            return Ok(());
        }
        match self.kept {
            Some(Kept { file, .. }) if file.exists() => {
                fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
            }
            _ => Ok(()),
        }
    }
}
