//! A stream of writes that is due at a steady pace, whatever the answers do: a stall shows in every
//! write that it delays.
//!
//! A client whose connection breaks takes every write without an answer for failed, connects anew,
//! and takes what is due meanwhile for failed as well.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a connection may take, as the documentation advises clients.
const CONNECT_MAX: Duration = Duration::from_millis(500);

/// How long an answer may take before the connection is given up: what a client chooses that would
/// rather connect anew than wait for the whole deadline of a command.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Shortest wait for an answer: the kernel takes no wait of zero.
const WAIT_MIN: Duration = Duration::from_micros(100);

/// A client: whom it talks to at first, and whom it connects to when that breaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) first: SocketAddr,
    pub(super) again: SocketAddr,
}

/// What one client saw.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) acknowledged: u64,
    pub(super) failed: u64,
    /// The longest time between two acknowledgements.
    pub(super) gap: Duration,
}

impl Seen {
    /// What several saw: sums, and the longest gap of any.
    pub(super) fn of(all: &[Self]) -> Self {
        all.iter().fold(Self::default(), |sum, one| Self {
            acknowledged: sum.acknowledged + one.acknowledged,
            failed: sum.failed + one.failed,
            gap: sum.gap.max(one.gap),
        })
    }
}

/// Lets every client write, one write each `pause`, while `during` lasts.
pub(super) fn run<T>(
    routes: &[Route],
    pause: Duration,
    during: impl FnOnce() -> T,
) -> (T, Vec<Seen>) {
    let over = AtomicBool::new(false);
    let over = &over;
    thread::scope(|scope| {
        let clients: Vec<_> = routes
            .iter()
            .enumerate()
            .map(|(number, route)| {
                let share = u32::try_from(number).unwrap_or(0) * pause;
                // Not all at the same moment.
                let first = share / u32::try_from(routes.len()).unwrap_or(1);
                scope.spawn(move || Writer::new(number, *route, pause).write(first, over))
            })
            .collect();
        let done = during();
        over.store(true, Ordering::Relaxed);
        let seen = clients
            .into_iter()
            .map(|client| client.join().unwrap_or_default());
        (done, seen.collect())
    })
}

struct Writer {
    number: usize,
    again: SocketAddr,
    pause: Duration,
    connection: Option<TcpStream>,
    /// When each write without an answer was sent.
    waiting: VecDeque<Instant>,
    inward: Vec<u8>,
    written: u64,
    last: Option<Instant>,
    seen: Seen,
}

impl Writer {
    fn new(number: usize, route: Route, pause: Duration) -> Self {
        Self {
            number,
            again: route.again,
            pause,
            connection: connect(route.first),
            waiting: VecDeque::new(),
            inward: Vec::new(),
            written: 0,
            last: None,
            seen: Seen::default(),
        }
    }

    fn write(mut self, first: Duration, over: &AtomicBool) -> Seen {
        let mut due = Instant::now() + first;
        while !over.load(Ordering::Relaxed) {
            if Instant::now() >= due {
                self.send();
                due += self.pause;
            } else {
                self.listen(due);
            }
        }
        let end = Instant::now() + ANSWER_MAX;
        while !self.waiting.is_empty() && Instant::now() < end {
            self.listen(end);
        }
        self.seen.failed += self.waiting.len() as u64;
        if let Some(last) = self.last {
            self.seen.gap = self.seen.gap.max(last.elapsed().saturating_sub(ANSWER_MAX));
        }
        self.seen
    }

    fn send(&mut self) {
        self.written += 1;
        let line = format!("PUT s{}-{} : \"v\"\n", self.number, self.written);
        match self
            .connection
            .as_mut()
            .map(|connection| connection.write_all(line.as_bytes()))
        {
            Some(Ok(())) => self.waiting.push_back(Instant::now()),
            Some(Err(_)) => {
                self.seen.failed += 1;
                self.give_up();
            }
            None => self.seen.failed += 1,
        }
    }

    /// Takes answers until then, or connects anew.
    fn listen(&mut self, until: Instant) {
        if self
            .waiting
            .front()
            .is_some_and(|sent| sent.elapsed() > ANSWER_MAX)
        {
            self.give_up();
        }
        let wait = until.saturating_duration_since(Instant::now());
        let Some(connection) = self.connection.as_mut() else {
            self.connection = connect(self.again);
            if self.connection.is_none() {
                // Whoever refuses at once is asked again when the next write is due.
                thread::sleep(until.saturating_duration_since(Instant::now()));
            }
            return;
        };
        let mut part = [0; 1024];
        let read = connection
            .set_read_timeout(Some(wait.max(WAIT_MIN)))
            .and_then(|()| connection.read(&mut part));
        match read {
            Ok(0) => self.give_up(),
            Ok(length) => self.take(&part[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.give_up(),
        }
    }

    fn take(&mut self, part: &[u8]) {
        self.inward.extend_from_slice(part);
        while let Some(end) = self.inward.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.inward.drain(..=end).collect();
            // Lines for people.
            if line.starts_with(b"#") {
                continue;
            }
            self.waiting.pop_front();
            if line.trim_ascii() == b"OK" {
                let now = Instant::now();
                let gap = self.last.map_or(Duration::ZERO, |last| now - last);
                self.seen.gap = self.seen.gap.max(gap);
                self.seen.acknowledged += 1;
                self.last = Some(now);
            } else {
                self.seen.failed += 1;
            }
        }
    }

    fn give_up(&mut self) {
        self.seen.failed += self.waiting.len() as u64;
        self.waiting.clear();
        self.inward.clear();
        self.connection = None;
    }
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let connection = TcpStream::connect_timeout(&address, CONNECT_MAX).ok()?;
    connection.set_nodelay(true).ok()?;
    connection.set_write_timeout(Some(ANSWER_MAX)).ok()?;
    Some(connection)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpListener,
    };

    use super::*;

    /// Answers so many lines of each connection, then closes it.
    fn serve(listener: TcpListener, answers: usize) {
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let mut out = connection.try_clone().expect("it is open");
                    let lines = BufReader::new(connection).lines();
                    for _ in lines.map_while(Result::ok).take(answers) {
                        out.write_all(b"OK\n").expect("it is open");
                    }
                });
            }
        });
    }

    #[test]
    fn a_broken_connection_costs_what_was_on_its_way_and_is_made_anew() {
        let first = TcpListener::bind("127.0.0.1:0").expect("a port");
        let again = TcpListener::bind("127.0.0.1:0").expect("a port");
        let route = Route {
            first: first.local_addr().expect("an address"),
            again: again.local_addr().expect("an address"),
        };
        serve(first, 10);
        serve(again, usize::MAX);
        let pause = Duration::from_millis(5);
        let ((), seen) = run(&[route; 2], pause, || {
            thread::sleep(Duration::from_millis(500));
        });
        let all = Seen::of(&seen);
        assert!(all.acknowledged > 50, "{all:?}");
        assert!(all.failed <= 8, "{all:?}");
        assert!(all.gap < Duration::from_millis(250), "{all:?}");
    }

    #[test]
    fn nobody_there_is_failure_and_no_gap_is_invented() {
        let gone = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port");
        let route = Route {
            first: gone,
            again: gone,
        };
        let ((), seen) = run(&[route], Duration::from_millis(5), || {
            thread::sleep(Duration::from_millis(100));
        });
        assert!(seen[0].failed > 5 && seen[0].acknowledged == 0, "{seen:?}");
    }
}
