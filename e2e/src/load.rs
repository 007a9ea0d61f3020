//! Clients that write while something happens, each on a thread of its own.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::client::{Client, Closed, Written};

/// Pause of a client between two writes: brokers and servers share this machine with everything else.
const PAUSE: Duration = Duration::from_millis(5);

/// How a client keeps its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connections {
    /// As long as the broker keeps it. A connection that ends between two answers is no failure if the
    /// same write succeeds on the next one.
    Kept,
    /// A new one for each write.
    Fresh,
}

/// Clients at work.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Caller>>,
}

/// What clients of one kind saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Writes that were acknowledged.
    pub(crate) acknowledged: usize,
    /// Writes that were not, for whatever reason.
    pub(crate) failed: u32,
    /// Connections that brokers closed.
    pub(crate) closed: u32,
    /// The longest wait for an answer.
    pub(crate) longest: Duration,
}

/// What all clients wrote.
#[derive(Debug)]
pub(crate) struct Done(Vec<Caller>);

#[derive(Debug)]
struct Caller {
    address: SocketAddr,
    kind: Connections,
    connection: Option<Client>,
    written: Written,
    closed: u32,
}

impl Load {
    /// Begins, one client an entry.
    pub(crate) fn begin(address: SocketAddr, clients: &[Connections]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = clients.iter().enumerate().map(|(number, &kind)| {
            let stop = Arc::clone(&stop);
            let mut caller = Caller {
                address,
                kind,
                connection: None,
                written: Written::of(&format!("client{number}")),
                closed: 0,
            };
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    caller.write();
                    thread::sleep(PAUSE);
                }
                caller
            })
        });
        let clients = clients.collect();
        Self { stop, clients }
    }

    /// Ends it.
    pub(crate) fn end(self) -> Result<Done> {
        self.stop.store(true, Ordering::Relaxed);
        let mut callers = Vec::new();
        for client in self.clients {
            match client.join() {
                Ok(caller) => callers.push(caller),
                Err(_) => bail!("a client panicked"),
            }
        }
        Ok(Done(callers))
    }
}

impl Caller {
    fn write(&mut self) {
        let number = self.written.begin();
        let asked = Instant::now();
        let mut done = self.put(number);
        if self.kind == Connections::Kept && done.as_ref().is_err_and(anyhow::Error::is::<Closed>) {
            self.closed += 1;
            done = self.put(number);
        }
        self.written.end(number, asked, done);
    }

    fn put(&mut self, number: u32) -> Result<()> {
        let mut client = match self.connection.take() {
            Some(client) => client,
            None => Client::connect(self.address)?,
        };
        self.written.put(number, &mut client)?;
        if self.kind == Connections::Kept {
            self.connection = Some(client);
        }
        Ok(())
    }
}

impl Done {
    /// What clients of this kind saw.
    pub(crate) fn seen(&self, kind: Connections) -> Seen {
        let callers = self.0.iter().filter(|caller| caller.kind == kind);
        callers.fold(Seen::default(), |seen, caller| Seen {
            acknowledged: seen.acknowledged + caller.written.acknowledged(),
            failed: seen.failed + caller.written.failed,
            closed: seen.closed + caller.closed,
            longest: seen.longest.max(caller.written.longest),
        })
    }

    /// Reads everything back that was acknowledged.
    pub(crate) fn check(&self, client: &mut Client) -> Result<()> {
        self.0
            .iter()
            .try_for_each(|caller| caller.written.check(client))
    }
}
