//! Processes that outlive the command that started them: known by number and start time.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{self, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    command::end_of_file,
    error::{Doing, Error, Result},
    home::{Home, read_file, remove, write_file},
    limits::{KILL_MAX, SPAWN_MAX, TERM_MAX},
    procfs,
    wait::{Look, wait_for},
};

/// A process; another one that got its number later is not it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub pid: i32,
    /// When it was started, in clock ticks since the machine was.
    started: u64,
}

impl Process {
    /// The process that has this number now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = stat_of(pid)?;
        (!stat.is_zombie).then_some(Self {
            pid,
            started: stat.started,
        })
    }

    /// As it was written by [`Process::text`].
    fn parse(text: &str) -> Option<Self> {
        let (pid, started) = text.trim().split_once(' ')?;
        Some(Self {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        })
    }

    fn text(self) -> String {
        format!("{} {}\n", self.pid, self.started)
    }

    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends a signal; nothing happens when it has ended.
    pub(crate) fn signal(self, signal: Signal) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) else {
            return Ok(());
        };
        match kill_process(pid, signal) {
            Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(error).doing(|| format!("signal process {}", self.pid)),
        }
    }

    /// Ends it at once, and waits until it has ended.
    pub(crate) fn kill(self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.wait_ended(KILL_MAX)
    }

    /// Asks it to end, and kills it where that takes long.
    pub(crate) fn end(self) -> Result<()> {
        self.signal(Signal::TERM)?;
        self.wait_ended(TERM_MAX).or_else(|_| self.kill())
    }

    fn wait_ended(self, limit: Duration) -> Result<()> {
        wait_for(&format!("the end of process {}", self.pid), limit, || {
            Ok(if self.is_alive() {
                Look::NotYet("it still runs".to_owned())
            } else {
                Look::Seen(())
            })
        })
    }

    /// Its first child, if it has one.
    pub(crate) fn child(self) -> Option<Self> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid);
        let children = fs::read_to_string(path).ok()?;
        Self::of(children.split_ascii_whitespace().next()?.parse().ok()?)
    }
}

/// What `/proc` says of the process with this number.
pub(crate) fn stat_of(pid: i32) -> Option<procfs::Stat> {
    procfs::stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// A process under a name, remembered in a file while it should run.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    /// Such as `kubelet`.
    pub name: String,
    file: PathBuf,
    log: PathBuf,
}

/// Says its number and becomes the daemon. Files that a caller has open are not the daemon's: a lock
/// that a script holds over the call would be held as long as the cluster is up. A shell knows files
/// by one digit.
const START: &str = r#"exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; echo $$ >"$0"; exec "$@""#;

impl Daemon {
    pub(crate) fn new(home: &Home, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            file: home.run_file(&format!("{name}.pid")),
            log: home.log(name),
        }
    }

    /// The same with its log elsewhere.
    pub(crate) fn with_log(mut self, log: PathBuf) -> Self {
        self.log = log;
        self
    }

    /// The process that was started last, alive or not.
    pub(crate) fn recorded(&self) -> Option<Process> {
        Process::parse(&fs::read_to_string(&self.file).ok()?)
    }

    /// The process, if it runs.
    pub(crate) fn running(&self) -> Option<Process> {
        self.recorded().filter(|process| process.is_alive())
    }

    /// Forgets it: from now on it should not run.
    pub(crate) fn forget(&self) -> Result<()> {
        remove(&self.file)
    }

    /// Starts it as nobody's child, so that it outlives whoever starts it and leaves no zombie.
    pub(crate) fn start(&self, words: &[OsString]) -> Result<Process> {
        let starting = self.file.with_extension("starting");
        remove(&starting)?;
        let log = open_log(&self.log)?;
        let doing = || format!("start {}", self.name);
        let status = process::Command::new("setsid")
            .args(["--fork", "sh", "-c", START])
            .arg(&starting)
            .args(words)
            .stdin(Stdio::null())
            .stdout(log.try_clone().doing(doing)?)
            .stderr(log)
            .status()
            .doing(doing)?;
        if !status.success() {
            return Err(self.ended());
        }
        let pid = wait_for(
            &format!("the process number of {}", self.name),
            SPAWN_MAX,
            || {
                let text = fs::read_to_string(&starting).unwrap_or_default();
                Ok(match text.trim().parse::<i32>() {
                    Ok(pid) => Look::Seen(pid),
                    Err(_) => Look::NotYet("none".to_owned()),
                })
            },
        )?;
        remove(&starting)?;
        let process = Process::of(pid).ok_or_else(|| self.ended())?;
        write_file(&self.file, process.text())?;
        Ok(process)
    }

    /// The error for one that should run and does not.
    pub(crate) fn ended(&self) -> Error {
        Error::Ended {
            name: self.name.clone(),
            log: self.log.clone(),
            said: end_of_file(&self.log),
        }
    }
}

/// Every daemon that is remembered, with its process.
pub(crate) fn recorded(home: &Home) -> Result<Vec<(String, Process)>> {
    let Ok(entries) = fs::read_dir(home.run()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|extension| extension == "pid")
            && let Some(process) = Process::parse(&read_file(&path)?)
        {
            found.push((name.into_owned(), process));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn open_log(path: &Path) -> Result<fs::File> {
    let open = OpenOptions::new().create(true).append(true).open(path);
    open.doing(|| format!("open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::from_environment()
            .unwrap()
            .with_root(directory.path().to_owned());
        home.make().unwrap();
        (directory, home)
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_daemon_keeps_no_file_of_its_caller() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name).display().to_string();
        let open = format!("exec 4>{}; exec sh -c '{START}' \"$@\"", place("held"));
        let shows = "ls -l /proc/$$/fd >\"$0\"";
        let status = process::Command::new("sh")
            .args(["-c", &open, "sh", &place("number")])
            .args(["sh", "-c", shows, &place("files")])
            .status();
        assert!(status.unwrap().success());
        let files = fs::read_to_string(place("files")).unwrap();
        assert!(
            files.contains("/files") && !files.contains("/held"),
            "{files}"
        );
        assert!(directory.path().join("held").exists());
    }

    #[test]
    fn a_daemon_is_found_again_and_ended() {
        let (_directory, home) = home();
        let daemon = Daemon::new(&home, "sleeper");
        let process = daemon.start(&words("sleep 60")).unwrap();
        assert_eq!(Daemon::new(&home, "sleeper").running(), Some(process));
        assert_eq!(recorded(&home).unwrap(), [("sleeper".to_owned(), process)]);
        process.end().unwrap();
        assert_eq!(daemon.running(), None);
        assert_eq!(
            daemon.recorded(),
            Some(process),
            "it should run, and does not"
        );
        daemon.forget().unwrap();
        assert!(recorded(&home).unwrap().is_empty());
    }

    #[test]
    fn another_process_of_the_same_number_is_not_it() {
        let me = Process::of(i32::try_from(process::id()).unwrap()).unwrap();
        let earlier = Process {
            started: me.started - 1,
            ..me
        };
        assert!(me.is_alive() && !earlier.is_alive());
        // It would end this test.
        earlier.kill().unwrap();
        assert_eq!(Process::parse(&me.text()), Some(me));
    }

    #[test]
    fn one_that_ends_at_once_says_why() {
        let (_directory, home) = home();
        let daemon = Daemon::new(&home, "failing");
        let _ = daemon.start(&words("cat /there/is/no/such/file"));
        let said = wait_for("its last words", SPAWN_MAX, || {
            let said = daemon.ended().to_string();
            Ok(if said.contains("no/such/file") {
                Look::Seen(said)
            } else {
                Look::NotYet(said)
            })
        });
        assert!(said.unwrap().contains("failing ended"));
        assert_eq!(daemon.running(), None);
    }
}
