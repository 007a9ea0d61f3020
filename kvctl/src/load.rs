//! `kvctl load`: a file of records into the cluster, however large the file.
//!
//! Records are sent pipelined over a few connections, bounded in number and bytes. Bad lines are
//! reported with number and reason, and kept in a reject file. Progress is kept beside the input,
//! so that an interrupted load goes on where it was.

pub mod input;
mod progress;
mod reject;
mod send;

use std::{io::IsTerminal, path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use self::{
    input::{Input, Line},
    progress::Progress,
    reject::Rejects,
    send::{Sender, Sent},
};
use crate::client::Client;

/// Connections of one load.
const CONNECTIONS: usize = 4;

/// What is loaded and how.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The file; `None` is standard input.
    pub file: Option<PathBuf>,
    /// The field that holds the key, where lines are plain objects.
    pub key_field: Option<String>,
    /// Replace keys that have a value.
    pub overwrite: bool,
    /// Begin again instead of going on.
    pub restart: bool,
    /// Where rejected lines go; `None` is beside the input.
    pub rejects: Option<PathBuf>,
    /// No progress bar.
    pub quiet: bool,
}

/// What a load did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadSummary {
    /// Records stored.
    pub stored: u64,
    /// Records left alone since their keys have a value.
    pub existed: u64,
    /// Lines that are no record.
    pub rejected: u64,
    /// Records that the cluster did not take.
    pub failed: u64,
    /// Lines skipped because an earlier, interrupted load did them.
    pub resumed: u64,
}

impl LoadSummary {
    /// Whether every line was a record that is now stored.
    pub fn is_clean(&self) -> bool {
        self.rejected == 0 && self.failed == 0
    }
}

/// Loads; the summary says how it went.
pub async fn load(broker: &str, options: LoadOptions) -> Result<LoadSummary> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(broker).await?);
    }
    let mut input = Input::open(options.file.as_deref(), options.key_field.clone())?;
    let mut progress = Progress::open(options.file.as_deref(), &options)?;
    let mut summary = LoadSummary::default();
    if let Some((offset, lines)) = progress.resume_at() {
        input.skip_to(offset, lines)?;
        summary.resumed = lines;
        eprintln!("going on at line {} (--restart begins again)", lines + 1);
    }
    let mut rejects = Rejects::new(options.file.as_deref(), options.rejects.clone());
    let bar = bar(&input, options.quiet);
    let began = Instant::now();
    let mut sender = Sender::new(clients, options.overwrite);
    loop {
        let line = input.next_line().context("cannot read the input")?;
        let Some(line) = line else { break };
        match line {
            Line::Blank { end } => sender.skip(end),
            Line::Bad {
                number,
                reason,
                text,
                end,
            } => {
                bar.suspend(|| eprintln!("line {number}: {reason}"));
                rejects.keep(&text)?;
                summary.rejected += 1;
                sender.skip(end);
            }
            Line::Record(record) => {
                for sent in sender.send(record).await {
                    count(&mut summary, &mut rejects, &bar, sent)?;
                }
            }
        }
        bar.set_position(input.offset());
        bar.set_message(message(&summary));
        progress.keep(sender.done_up_to())?;
    }
    for sent in sender.finish().await {
        count(&mut summary, &mut rejects, &bar, sent)?;
    }
    bar.finish_and_clear();
    progress.finish(summary.failed == 0)?;
    report(&summary, &rejects, began.elapsed().as_secs_f64());
    Ok(summary)
}

fn count(
    summary: &mut LoadSummary,
    rejects: &mut Rejects,
    bar: &ProgressBar,
    sent: Sent,
) -> Result<()> {
    match sent {
        Sent::Stored => summary.stored += 1,
        Sent::Existed => summary.existed += 1,
        Sent::Refused {
            number,
            reason,
            text,
        } => {
            bar.suspend(|| eprintln!("line {number}: {reason}"));
            rejects.keep(&text)?;
            summary.rejected += 1;
        }
        Sent::Failed {
            number,
            reason,
            text,
        } => {
            bar.suspend(|| eprintln!("line {number}: not stored: {reason}"));
            rejects.keep(&text)?;
            summary.failed += 1;
        }
    }
    Ok(())
}

fn bar(input: &Input, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = match input.size() {
        Some(size) => ProgressBar::new(size),
        None => ProgressBar::new_spinner(),
    };
    let style = "{bar:30} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {msg} eta {eta}";
    bar.with_style(ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()))
}

fn message(summary: &LoadSummary) -> String {
    let LoadSummary {
        stored,
        existed,
        rejected,
        failed,
        ..
    } = summary;
    format!("{stored} stored, {existed} existed, {rejected} rejected, {failed} failed;")
}

fn report(summary: &LoadSummary, rejects: &Rejects, seconds: f64) {
    let LoadSummary {
        stored,
        existed,
        rejected,
        failed,
        resumed,
    } = *summary;
    let rate = (stored + existed) as f64 / seconds.max(0.001);
    let resumed = if resumed > 0 {
        format!(", {resumed} lines done before")
    } else {
        String::new()
    };
    eprintln!(
        "{stored} stored, {existed} existed, {rejected} rejected, {failed} failed{resumed}; \
         {seconds:.1} s, {rate:.0} records/s"
    );
    if let Some(path) = rejects.path() {
        eprintln!("lines that were not loaded are in {}", path.display());
    }
}
