//! Running the program: with input, a deadline, and what it said.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// No command of these tests takes longer, however busy the machine is.
const LIMIT: Duration = Duration::from_mins(1);

/// A command that is about to be run.
pub(crate) struct Call {
    command: Command,
    input: Option<Vec<u8>>,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit code, `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A command on its way; killed when it is dropped.
pub(crate) struct Running {
    pid: Pid,
    stdin: Option<ChildStdin>,
    out: Arc<Stream>,
    err: Arc<Stream>,
    ended: mpsc::Receiver<Option<i32>>,
    code: Option<i32>,
    has_ended: bool,
}

/// What came from one of its pipes so far, and whether that was all.
#[derive(Default)]
struct Stream {
    heard: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Call {
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvctl"));
        command.args(arguments);
        // What the one who runs the tests has set is not meant for them.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KV") {
                command.env_remove(name);
            }
        }
        Self {
            command,
            input: None,
        }
    }

    /// Changes what `std` knows of the command.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Command)) -> Self {
        change(&mut self.command);
        self
    }

    /// Standard input; without it the input is empty, and stays open for `Running::write`.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    pub(crate) fn start(mut self) -> Running {
        let spawned = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.expect("the program starts");
        let mut stdin = child.stdin.take();
        if let Some(input) = self.input
            && let Some(mut stdin) = stdin.take()
        {
            // A program that ends before it read everything is no mistake of the test.
            thread::spawn(move || {
                let _ = stdin.write_all(&input);
            });
        }
        let out = Stream::read(child.stdout.take().expect("piped"));
        let err = Stream::read(child.stderr.take().expect("piped"));
        let pid = Pid::from_child(&child);
        Running {
            pid,
            stdin,
            out,
            err,
            ended: wait(child),
            code: None,
            has_ended: false,
        }
    }

    /// Runs to the end.
    pub(crate) fn run(mut self) -> Said {
        self.input.get_or_insert_default();
        self.start().end(LIMIT)
    }

    /// Runs to the end, which must have this exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Said {
        let said = self.run();
        assert_eq!(said.code, Some(code), "{}\n{}", said.out, said.err);
        said
    }

    /// Runs to the end, which must be a good one.
    #[track_caller]
    pub(crate) fn ok(self) -> Said {
        self.code(0)
    }
}

fn wait(mut child: Child) -> mpsc::Receiver<Option<i32>> {
    let (ended, receiver) = mpsc::channel();
    thread::spawn(move || {
        let status = child.wait().expect("it is ours");
        let _ = ended.send(status.code());
    });
    receiver
}

impl Stream {
    fn read(mut pipe: impl Read + Send + 'static) -> Arc<Self> {
        let stream = Arc::new(Self::default());
        let writer = Arc::clone(&stream);
        thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            loop {
                let read = pipe.read(&mut piece).unwrap_or(0);
                let mut heard = writer.heard.lock().expect("nobody panics with it");
                heard.0.extend_from_slice(&piece[..read]);
                heard.1 = read == 0;
                writer.changed.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        stream
    }

    /// Waits until what was heard is enough, or nothing more comes.
    fn wait(&self, enough: impl Fn(&[u8]) -> bool, limit: Duration) -> Vec<u8> {
        let heard = self.heard.lock().expect("nobody panics with it");
        let (heard, _) = self
            .changed
            .wait_timeout_while(heard, limit, |heard| !enough(&heard.0) && !heard.1)
            .expect("nobody panics with it");
        heard.0.clone()
    }

    fn text(&self) -> String {
        let heard = self.heard.lock().expect("nobody panics with it");
        String::from_utf8_lossy(&heard.0).into_owned()
    }
}

impl Running {
    /// Waits until this stands in its output.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> String {
        self.hears(&self.out, text)
    }

    /// Waits until this stands in its messages.
    #[track_caller]
    pub(crate) fn remarks(&self, text: &str) -> String {
        self.hears(&self.err, text)
    }

    #[track_caller]
    fn hears(&self, stream: &Stream, text: &str) -> String {
        let has = |heard: &[u8]| String::from_utf8_lossy(heard).contains(text);
        let heard = stream.wait(has, LIMIT);
        let all = || format!("{}\n{}", self.out.text(), self.err.text());
        assert!(has(&heard), "no {text:?} in:\n{}", all());
        String::from_utf8_lossy(&heard).into_owned()
    }

    pub(crate) fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("still open");
        stdin.write_all(text.as_bytes()).expect("it reads");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it runs");
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        if let Ok(code) = self.ended.try_recv() {
            (self.code, self.has_ended) = (code, true);
        }
        self.has_ended
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn end(mut self, limit: Duration) -> Said {
        self.stdin = None;
        self.end_unfed(limit)
    }

    /// The same while its standard input stays open.
    #[track_caller]
    pub(crate) fn end_unfed(mut self, limit: Duration) -> Said {
        let since = Instant::now();
        if !self.has_ended {
            let Ok(code) = self.ended.recv_timeout(limit) else {
                let (out, err) = (self.out.text(), self.err.text());
                panic!("not ended after {limit:?}:\n{out}\n{err}");
            };
            (self.code, self.has_ended) = (code, true);
        }
        let left = LIMIT.saturating_sub(since.elapsed());
        let (bytes, err) = (
            self.out.wait(|_| false, left),
            self.err.wait(|_| false, left),
        );
        Said {
            code: self.code,
            out: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
            err: String::from_utf8_lossy(&err).into_owned(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.ended.recv_timeout(LIMIT);
        }
    }
}

impl Said {
    /// Whether this stands in the messages.
    #[track_caller]
    pub(crate) fn remarks(&self, text: &str) -> &Self {
        assert!(self.err.contains(text), "no {text:?} in:\n{}", self.err);
        self
    }

    pub(crate) fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes).expect("JSON on standard output")
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn wait_until<T>(what: &str, mut so: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = so() {
            return found;
        }
        assert!(since.elapsed() < LIMIT, "{what} did not come");
        thread::sleep(Duration::from_millis(10));
    }
}
