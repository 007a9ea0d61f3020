//! `kvctl load`: a file of records into the cluster, however large the file.
//!
//! Records are sent pipelined over a few connections, bounded in number and bytes. Bad lines are
//! reported with number and reason, and kept in a reject file. Progress is kept beside the input,
//! so that an interrupted load goes on where it was. A record that the cluster does not take for
//! long ends the load: the lines behind it would fare no better, and the next load begins there.

pub mod input;
mod progress;
mod reject;
mod send;

use std::{
    io::IsTerminal,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use kvcore::notation;

use self::{
    input::{Input, Line},
    progress::Progress,
    reject::Rejects,
    send::{Link, Sender, Sent},
};
use crate::client::End;

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
    /// How long one record is tried again while the cluster does not take it.
    pub retry_for: Duration,
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
    /// Of these, lines that are no record.
    pub resumed_rejected: u64,
}

impl LoadSummary {
    /// Whether every line was a record that is now stored.
    pub fn is_clean(&self) -> bool {
        self.rejected == 0 && self.resumed_rejected == 0 && self.failed == 0
    }
}

/// One load on its way.
struct Load {
    summary: LoadSummary,
    rejects: Rejects,
    bar: ProgressBar,
    /// The first line that the cluster did not take, and why.
    stopped_at: Option<(u64, String)>,
    /// Whether the next load can go on there.
    can_go_on: bool,
}

/// Loads; the summary says how it went.
pub async fn load(broker: &str, options: LoadOptions) -> Result<LoadSummary> {
    let mut links = Vec::new();
    for _ in 0..CONNECTIONS {
        links.push(Link::connect(broker).await?);
    }
    // A pipe under a name is read as standard input is: once, and with nothing kept beside it.
    let file = options.file.as_deref();
    let regular = file.filter(|file| file.is_file());
    let mut input = Input::open(file, options.key_field.clone())?;
    let mut progress = Progress::open(regular, &options)?;
    let mut summary = LoadSummary::default();
    if let Some(done) = progress.resume_at() {
        if is_there(&links[0], &options).await? {
            input.skip_to(done.offset, done.lines)?;
            summary.resumed = done.lines;
            summary.resumed_rejected = progress.rejected();
            eprintln!(
                "going on at line {} (--restart begins again)",
                done.lines + 1
            );
        } else {
            eprintln!(
                "an earlier load of this file went elsewhere, its records are not here: beginning again"
            );
            progress.begin_again();
        }
    }
    let rejects = Rejects::new(regular, options.rejects.clone(), summary.resumed > 0)?;
    let mut load = Load {
        summary,
        rejects,
        bar: bar(&input, options.quiet),
        stopped_at: None,
        can_go_on: regular.is_some(),
    };
    let began = Instant::now();
    let mut sender = Sender::new(links, options.overwrite, options.retry_for);
    while load.stopped_at.is_none() {
        let line = input.next_line().context("cannot read the input")?;
        let Some(line) = line else { break };
        load.take(line, &mut sender).await?;
        load.bar.set_position(input.offset());
        load.bar.set_message(message(&load.summary));
        progress.keep(sender.done_up_to(), load.summary);
    }
    for sent in sender.finish().await {
        load.count(sent)?;
    }
    load.bar.finish_and_clear();
    progress.finish(sender.done_up_to(), load.summary)?;
    load.report(began.elapsed().as_secs_f64());
    Ok(load.summary)
}

/// Whether the cluster has the input's first record, which an interrupted load has stored: the
/// progress beside the input may be that of a load into another cluster.
async fn is_there(link: &Link, options: &LoadOptions) -> Result<bool> {
    let mut input = Input::open(options.file.as_deref(), options.key_field.clone())?;
    while let Some(line) = input.next_line().context("cannot read the input")? {
        let Line::Record(record) = line else { continue };
        let line = format!("GET {}", notation::print_key(&record.key));
        let response = link.client().await?.ask(line).await?;
        return Ok(response.end != End::NotFound);
    }
    Ok(true)
}

impl Load {
    async fn take(&mut self, line: Line, sender: &mut Sender) -> Result<()> {
        match line {
            Line::Blank { end } => sender.skip(end),
            Line::Bad {
                number,
                reason,
                text,
                end,
            } => {
                self.reject(number, &reason, &text)?;
                sender.skip(end);
            }
            Line::Record(record) => {
                for sent in sender.send(record).await {
                    self.count(sent)?;
                }
            }
        }
        Ok(())
    }

    fn reject(&mut self, number: u64, reason: &str, text: &[u8]) -> Result<()> {
        self.bar.suspend(|| eprintln!("line {number}: {reason}"));
        self.summary.rejected += 1;
        self.rejects.keep(text)
    }

    fn count(&mut self, sent: Sent) -> Result<()> {
        match sent {
            Sent::Stored => self.summary.stored += 1,
            Sent::Existed => self.summary.existed += 1,
            Sent::Refused {
                number,
                reason,
                text,
            } => self.reject(number, &reason, &text)?,
            Sent::Failed {
                number,
                reason,
                text,
            } => {
                self.summary.failed += 1;
                if self.stopped_at.as_ref().is_none_or(|(at, _)| number < *at) {
                    self.stopped_at = Some((number, reason));
                }
                // What a second load of the file would find again needs no keeping.
                if !self.can_go_on {
                    self.rejects.keep(&text)?;
                }
            }
        }
        Ok(())
    }

    fn report(&self, seconds: f64) {
        let LoadSummary {
            stored,
            existed,
            rejected,
            failed,
            resumed,
            resumed_rejected,
        } = self.summary;
        let rate = (stored + existed) as f64 / seconds.max(0.001);
        let resumed = match (resumed, resumed_rejected) {
            (0, _) => String::new(),
            (lines, 0) => format!(", {lines} lines done before"),
            (lines, rejected) => {
                format!(", {lines} lines done before, {rejected} of them rejected")
            }
        };
        eprintln!(
            "{stored} stored, {existed} existed, {rejected} rejected, {failed} failed{resumed}; \
             {seconds:.1} s, {rate:.0} records/s"
        );
        if let Some(path) = self.rejects.path() {
            eprintln!("lines that were not loaded are in {}", path.display());
        }
        if let Some((line, reason)) = &self.stopped_at {
            let next = if self.can_go_on {
                "the same command goes on there"
            } else {
                "what follows was not read"
            };
            eprintln!("line {line}: not stored: {reason}");
            eprintln!("stopped at line {line}: {next}");
        }
    }
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
