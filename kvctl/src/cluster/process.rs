//! Processes by number and start time, so that a number used again is never mistaken.

use std::{fs, time::Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::limits::{POLL, STOP_MAX};

/// One process of this machine, at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub started: u64,
}

impl ProcessId {
    /// The process that has this number now.
    pub fn of(pid: u32) -> Result<Self> {
        let pid = i32::try_from(pid).context("a process number fits 31 bits")?;
        let started = start_time(pid).with_context(|| format!("process {pid} ended at once"))?;
        Ok(Self { pid, started })
    }

    /// Whether it is still running; one that ended and was not waited for is not.
    pub fn is_alive(self) -> bool {
        start_time(self.pid) == Some(self.started)
    }

    /// Sends a signal; nothing happens when the process has ended.
    pub fn signal(self, signal: Signal) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let pid = Pid::from_raw(self.pid).context("no process has number zero")?;
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => bail!("cannot signal process {}: {error}", self.pid),
        }
    }

    /// Waits until it has ended, at most `limit` from `since`; false when it has not.
    pub fn wait_ended(self, since: Instant, limit: std::time::Duration) -> bool {
        while self.is_alive() {
            if since.elapsed() > limit {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }
}

/// Asks all to end, waits, and kills what has not ended by then. Gives the number killed.
pub fn stop_all(processes: &[ProcessId]) -> Result<usize> {
    for process in processes {
        process.signal(Signal::TERM)?;
    }
    let since = Instant::now();
    let mut killed = 0;
    for process in processes {
        if !process.wait_ended(since, STOP_MAX) {
            process.signal(Signal::KILL)?;
            process.wait_ended(Instant::now(), STOP_MAX);
            killed += 1;
        }
    }
    Ok(killed)
}

/// Field 22 of `/proc/PID/stat` (proc(5)), `None` when there is no such process or it is a zombie.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, spaces and parentheses too.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_while_it_runs_and_not_after() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep runs");
        let id = ProcessId::of(child.id()).expect("it runs");
        assert!(id.is_alive());
        assert!(
            !ProcessId {
                started: id.started + 1,
                ..id
            }
            .is_alive()
        );
        id.signal(Signal::KILL).expect("it is ours");
        assert!(
            id.wait_ended(Instant::now(), STOP_MAX),
            "a zombie counts as ended"
        );
        child.wait().expect("it ended");
        assert!(!id.is_alive());
        id.signal(Signal::TERM).expect("nothing to do");
    }
}
