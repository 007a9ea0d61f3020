//! What a bench leaves behind: nothing, also when it is interrupted.
//!
//! Programs and directories are known to one list while they are there; a signal ends the programs
//! by their numbers, removes the directories and ends this process.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to end when asked; `kvctl up` ends its servers in that time.
const STOP_MAX: Duration = Duration::from_secs(30);

static PROGRAMS: Mutex<Vec<u32>> = Mutex::new(Vec::new());
static DIRECTORIES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Clears up when a signal ends the run.
pub(crate) fn on_signals() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
            ) else {
                return;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            eprintln!("interrupted: ending what was started");
            // Kept locked: nothing is started any more.
            let programs = PROGRAMS.lock();
            for &program in programs.iter() {
                send(program, Signal::TERM);
            }
            let since = Instant::now();
            while programs.iter().any(|&program| is_alive(program)) && since.elapsed() < STOP_MAX {
                std::thread::sleep(Duration::from_millis(20));
            }
            for &program in programs.iter() {
                send(program, Signal::KILL);
            }
            for directory in DIRECTORIES.lock().iter() {
                let _ = fs::remove_dir_all(directory);
            }
            std::process::exit(130);
        });
    });
    Ok(())
}

fn send(program: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(program).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether it still runs; a zombie does not.
fn is_alive(program: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{program}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// A program that was started; ended when the value is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts a program; what it says goes to a file in `directory`.
    pub(crate) fn start(command: &mut Command, directory: &Path, name: &str) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let file = fs::File::create(&log)?;
        command.stdin(Stdio::null());
        command.stdout(file.try_clone()?).stderr(file);
        // Ctrl-C is for this process, which then ends the others.
        command.process_group(0);
        let mut programs = PROGRAMS.lock();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        programs.push(child.id());
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error with what it said, if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended ({status}): {}", self.name, self.said());
        }
        Ok(())
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// The last of what it said.
    pub(crate) fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            PROGRAMS.lock().retain(|&id| id != self.child.id());
            return;
        }
        send(self.child.id(), Signal::TERM);
        let since = Instant::now();
        while is_alive(self.child.id()) && since.elapsed() < STOP_MAX {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        // Out of the list before its number can be another's.
        PROGRAMS.lock().retain(|&id| id != self.child.id());
        let _ = self.child.wait();
    }
}

/// A directory that is removed when the value is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(parent: &Path, name: &str) -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{name}-{}-{number}", std::process::id()));
        DIRECTORIES.lock().push(path.clone());
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        DIRECTORIES.lock().retain(|path| *path != self.0);
    }
}

/// A local port that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

/// An error that says how to get a program, unless it is on the path.
pub(crate) fn need(program: &str, packages: &str) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|directory| directory.join(program).is_file()) {
        return Ok(());
    }
    bail!("this bench needs `{program}`: as root, `apt-get install {packages}`");
}
