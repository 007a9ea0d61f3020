//! Building one module of Go programs, with a word now and then on how far it is.

use std::{
    cell::Cell,
    fmt, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{self, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use rustix::fs::{FlockOperation, flock};

use super::module::Module;
use crate::{
    command::{Command, end_of_file},
    error::{Doing, Error, Result},
    home::make_directory,
    limits::BUILD_MAX,
};

/// How often a build says how far it is where it cannot draw a bar.
const WORD_EVERY: Duration = Duration::from_secs(20);

/// Whether builds tell how far they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// On the standard error: a bar on a terminal, lines elsewhere.
    Shown,
    /// Not at all.
    Hidden,
}

/// A version of Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GoVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

impl GoVersion {
    /// Reads `1.26`, `1.26.3` or `go1.26rc1`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches("go");
        let mut numbers = text.split('.').map(|number| {
            let digits = number
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(number.len());
            number[..digits].parse::<u32>().ok()
        });
        Some(Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next().flatten().unwrap_or(0),
        })
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The Go on the path.
pub(crate) fn installed_go() -> Option<GoVersion> {
    let said = Command::line("go env GOVERSION")
        .env("GOTOOLCHAIN", "local")
        .output();
    GoVersion::parse(&said.ok()?)
}

/// Builds a module into `bin`, unless that is there.
pub(super) fn build(module: &Module, bin: &Path, progress: Progress) -> Result<()> {
    if bin.is_dir() {
        return Ok(());
    }
    let place = bin
        .parent()
        .expect("programs have a directory of their own");
    let tools = place.parent().expect("which has one above it");
    make_directory(tools)?;
    // A second build of the same would only take longer: it waits for the first.
    let _lock = lock(&place.with_extension("lock"))?;
    if bin.is_dir() {
        return Ok(());
    }
    let scratch = tempfile::Builder::new()
        .prefix(".building-")
        .tempdir_in(tools);
    let scratch = scratch.doing(|| format!("make a directory in {}", tools.display()))?;
    let log = tools.join(format!("{}.log", module.name));
    let shown = Shown::new(module, progress);
    run(module, &scratch.path().join("bin"), &log, &shown)?;
    shown.done();
    make_directory(place)?;
    fs::rename(scratch.path().join("bin"), bin).doing(|| format!("make {}", bin.display()))
}

fn lock(path: &Path) -> Result<fs::File> {
    let file = fs::File::create(path).doing(|| format!("open {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive).doing(|| format!("lock {}", path.display()))?;
    Ok(file)
}

fn run(module: &Module, bin: &Path, log: &Path, shown: &Shown) -> Result<()> {
    let doing = || format!("run go for {}", module.name);
    let mut log_file = fs::File::create(log).doing(|| format!("open {}", log.display()))?;
    let mut child = go(module, bin)?.spawn().doing(doing)?;
    let lines = lines_of(child.stderr.take().expect("it is piped"));
    let until = Instant::now() + BUILD_MAX;
    loop {
        match lines.recv_timeout(WORD_EVERY.min(until.saturating_duration_since(Instant::now()))) {
            Ok(line) => {
                shown.package(&line);
                writeln!(log_file, "{line}").doing(|| format!("write {}", log.display()))?;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(module, "it took too long", log));
        }
        shown.word();
    }
    let status = child.wait().doing(doing)?;
    if status.success() {
        Ok(())
    } else {
        Err(failed(module, &status.to_string(), log))
    }
}

fn failed(module: &Module, status: &str, log: &Path) -> Error {
    Error::Build {
        module: module.name.to_owned(),
        status: status.to_owned(),
        log: log.to_owned(),
        said: end_of_file(log),
    }
}

fn go(module: &Module, bin: &Path) -> Result<process::Command> {
    let mut go = process::Command::new("go");
    go.args(["build", "-v", "-trimpath", "-mod=readonly", "-ldflags"])
        .arg(module.link_flags()?)
        .arg("-o")
        // The slash says that it is a directory.
        .arg(format!("{}/", bin.display()))
        .arg("tool")
        .current_dir(module.source())
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .env("GOFLAGS", "")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    Ok(go)
}

fn lines_of(pipe: process::ChildStderr) -> mpsc::Receiver<String> {
    // Bounded: a reader that is slow makes the writer wait.
    let (sender, receiver) = mpsc::sync_channel(64);
    thread::spawn(move || {
        for line in BufReader::new(pipe)
            .split(b'\n')
            .map_while(std::io::Result::ok)
        {
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                break;
            }
        }
    });
    receiver
}

/// What a person sees of a build.
struct Shown {
    module: &'static str,
    progress: Progress,
    bar: ProgressBar,
    since: Instant,
    last_word: Cell<Instant>,
}

impl Shown {
    fn new(module: &Module, progress: Progress) -> Self {
        let bar = match progress {
            Progress::Shown => ProgressBar::new_spinner(),
            Progress::Hidden => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template(
            "{spinner} {prefix}: {pos} packages, {elapsed} {wide_msg}",
        );
        bar.set_style(style.expect("the template is right"));
        bar.set_prefix(module.name);
        bar.enable_steady_tick(Duration::from_millis(200));
        let shown = Self {
            module: module.name,
            progress,
            bar,
            since: Instant::now(),
            last_word: Cell::new(Instant::now()),
        };
        shown.say("building, once; its modules come from the Go module proxy");
        shown
    }

    /// Go names every package that it begins with, and every module that it fetches.
    fn package(&self, line: &str) {
        if !line.starts_with("go: downloading") {
            self.bar.inc(1);
        }
        self.bar.set_message(line.to_owned());
    }

    /// Says how far it is, but not all the time.
    fn word(&self) {
        if self.last_word.get().elapsed() >= WORD_EVERY {
            self.last_word.set(Instant::now());
            let seconds = self.since.elapsed().as_secs();
            self.say(&format!(
                "{} packages after {seconds} s",
                self.bar.position()
            ));
        }
    }

    fn done(&self) {
        let packages = self.bar.position();
        self.bar.finish_and_clear();
        let seconds = self.since.elapsed().as_secs_f64();
        if self.progress == Progress::Shown {
            eprintln!(
                "{}: built in {seconds:.0} s, {packages} packages",
                self.module
            );
        }
    }

    /// A line where there is no bar.
    fn say(&self, what: &str) {
        if self.progress == Progress::Shown && self.bar.is_hidden() {
            eprintln!("{}: {what}", self.module);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let parse = |text| GoVersion::parse(text).unwrap();
        assert!(parse("go1.26.8\n") >= parse("1.26.0") && parse("1.9") < parse("1.26"));
        assert_eq!(parse("go1.27rc1"), parse("1.27"));
        assert_eq!(parse("1.26").to_string(), "1.26.0");
        for wrong in ["", "go", "devel", "1"] {
            assert_eq!(GoVersion::parse(wrong), None, "{wrong}");
        }
    }
}
