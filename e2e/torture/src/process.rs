//! One process of the cluster: known by number and start time, ended and started again.

use std::{
    fs::{self, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long the kernel may take to end what was killed.
const KILL_MAX: Duration = Duration::from_secs(10);

/// How often it is looked whether a process has ended.
const POLL: Duration = Duration::from_millis(10);

/// A server or a broker.
#[derive(Debug)]
pub(crate) struct Process {
    /// Such as `server-3`.
    pub name: String,
    arguments: Vec<String>,
    log: PathBuf,
    /// Bytes that its log had when it was started: what earlier lives said.
    said_before: u64,
    pid: i32,
    started: u64,
    /// Where it was started here; the first ones `kvctl up` started.
    child: Option<Child>,
}

impl Process {
    /// The process with this number, which runs.
    pub(crate) fn adopt(name: &str, pid: i32, logs: &Path) -> Result<Self> {
        let started =
            start_time(pid).with_context(|| format!("{name} (process {pid}) does not run"))?;
        let line = fs::read(format!("/proc/{pid}/cmdline"))?;
        let words = line
            .split(|&byte| byte == 0)
            .filter(|word| !word.is_empty());
        let words: Vec<_> = words.map(|w| String::from_utf8_lossy(w).into()).collect();
        Ok(Self {
            name: name.to_owned(),
            arguments: words,
            log: logs.join(format!("{name}.log")),
            said_before: 0,
            pid,
            started,
            child: None,
        })
    }

    pub(crate) fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.started)
    }

    /// Sends a signal; nothing happens when the process has ended.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let pid = Pid::from_raw(self.pid).context("no process has number zero")?;
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => bail!("cannot signal {} ({}): {error}", self.name, self.pid),
        }
    }

    /// Ends it as a power failure of the process would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        if !self.wait_ended(Instant::now() + KILL_MAX) {
            bail!(
                "{} (process {}) was killed and does not end",
                self.name,
                self.pid
            );
        }
        Ok(())
    }

    /// Whether it has ended by then.
    pub(crate) fn wait_ended(&mut self, until: Instant) -> bool {
        while self.is_alive() {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(POLL);
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        true
    }

    /// Starts it again as it was started first; its log goes on.
    pub(crate) fn start(&mut self) -> Result<()> {
        let (program, arguments) = self.arguments.split_first().context("it has a program")?;
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.log)?;
        self.said_before = log.metadata()?.len();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is for this program, which then ends all others in order.
            .process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        self.pid = i32::try_from(child.id()).context("a process number fits 31 bits")?;
        self.child = Some(child);
        // One that has ended already is found out by whoever looks next.
        self.started = start_time(self.pid).unwrap_or(0);
        Ok(())
    }

    /// The last lines it said in this life, at most three; the very last one is at the end.
    pub(crate) fn last_words(&self) -> Vec<String> {
        let said = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.said_before).unwrap_or(usize::MAX);
        let said = String::from_utf8_lossy(said.get(from..).unwrap_or_default());
        let lines: Vec<_> = said.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(3)..].to_vec()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Ends a program by SIGTERM, and by SIGKILL where that takes longer than `limit`.
pub(crate) fn end_politely(child: &mut Child, limit: Duration) {
    let until = Instant::now() + limit;
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        && matches!(child.try_wait(), Ok(None))
    {
        let _ = kill_process(pid, Signal::TERM);
    }
    while let Ok(None) = child.try_wait() {
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(POLL);
    }
}

/// Field 22 of `/proc/PID/stat` (proc(5)), `None` when there is no such process or it is a zombie.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, spaces and parentheses too.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ended_and_started_again_as_it_was() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut first = Command::new("sleep").arg("60").spawn().expect("it runs");
        let pid = i32::try_from(first.id()).expect("small");
        let until = Instant::now() + KILL_MAX;
        // The number is there before the new program has replaced this one in it.
        let mut process = loop {
            let process = Process::adopt("sleeper", pid, directory.path()).expect("it runs");
            if process.arguments == ["sleep", "60"] {
                break process;
            }
            assert!(Instant::now() < until, "{process:?} is no sleep");
            std::mem::forget(process);
        };
        fs::write(&process.log, "one\ntwo\nthree\nfour\n").expect("writable");
        assert_eq!(process.last_words(), ["two", "three", "four"]);
        process.kill().expect("ours");
        first.wait().expect("it ended");
        assert!(!process.is_alive());
        process.start().expect("started");
        assert!(process.is_alive() && process.pid != pid);
        assert_eq!(process.last_words(), [""; 0], "said in another life");
        let again = process.pid;
        drop(process);
        assert_eq!(start_time(again), None, "nothing is left behind");
    }
}
