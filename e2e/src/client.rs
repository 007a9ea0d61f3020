//! A client of the line protocol, on plain sockets: no code shared with the product.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Error, Result, bail, ensure};

/// How long a connection may take, as the documentation advises clients.
const CONNECT_MAX: Duration = Duration::from_millis(500);

/// How long an answer may take: a command's own deadline is 5 s.
const ANSWER_MAX: Duration = Duration::from_secs(8);

/// The broker ended the connection instead of answering.
#[derive(Debug)]
pub(crate) struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the broker closed the connection")
    }
}

impl std::error::Error for Closed {}

/// A connection to a broker.
#[derive(Debug)]
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_MAX)
            .with_context(|| format!("no connection to {address}"))?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            reader: BufReader::new(stream),
        })
    }

    /// One command, one line of answer.
    pub(crate) fn ask(&mut self, command: &str) -> Result<String> {
        let line = format!("{command}\n");
        self.reader
            .get_mut()
            .write_all(line.as_bytes())
            .map_err(broken)?;
        loop {
            let mut answer = String::new();
            if self.reader.read_line(&mut answer).map_err(broken)? == 0 {
                return Err(Closed.into());
            }
            // Lines for people may come before the answer.
            if !answer.starts_with('#') {
                return Ok(answer.trim_end().to_owned());
            }
        }
    }

    /// Stores a value; anything but `OK` is an error.
    pub(crate) fn put(&mut self, key: &str, value: &str) -> Result<()> {
        let answer = self.ask(&format!("PUT {key} : \"{value}\""))?;
        if answer != "OK" {
            bail!("PUT {key}: {answer}");
        }
        Ok(())
    }

    /// The value of a key, `None` where it has none.
    pub(crate) fn get(&mut self, key: &str) -> Result<Option<String>> {
        let answer = self.ask(&format!("GET {key}"))?;
        if answer == "NOT FOUND" {
            return Ok(None);
        }
        let value = answer
            .split_once(" : ")
            .and_then(|(_, value)| value.strip_prefix('"')?.strip_suffix('"'));
        match value {
            Some(value) => Ok(Some(value.to_owned())),
            None => bail!("GET {key}: {answer}"),
        }
    }
}

/// A connection that was reset has been closed, too.
fn broken(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Closed.into()
        }
        _ => error.into(),
    }
}

/// What one client wrote, one key after the other.
#[derive(Debug)]
pub(crate) struct Written {
    /// What its keys begin with.
    name: String,
    acknowledged: Vec<u32>,
    /// Writes that were answered by an error, or not at all.
    pub(crate) failed: u32,
    /// The longest wait for an answer.
    pub(crate) longest: Duration,
    next: u32,
}

impl Default for Written {
    fn default() -> Self {
        Self::of("key")
    }
}

impl Written {
    /// A client whose keys begin with this.
    pub(crate) fn of(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            acknowledged: Vec::new(),
            failed: 0,
            longest: Duration::ZERO,
            next: 0,
        }
    }

    /// The number of the next key.
    pub(crate) fn begin(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// Asks once for this key to be stored.
    pub(crate) fn put(&self, number: u32, client: &mut Client) -> Result<()> {
        client.put(
            &format!("{}-{number}", self.name),
            &format!("value-{number}"),
        )
    }

    /// How it ended.
    pub(crate) fn end(&mut self, number: u32, asked: Instant, done: Result<()>) {
        match done {
            Ok(()) => self.acknowledged.push(number),
            Err(error) => {
                self.failed += 1;
                println!("write {}-{number}: {error:#}", self.name);
            }
        }
        self.longest = self.longest.max(asked.elapsed());
    }

    /// Writes one more key.
    pub(crate) fn one_more(&mut self, client: &mut Client) {
        let number = self.begin();
        let asked = Instant::now();
        let done = self.put(number, client);
        self.end(number, asked, done);
    }

    /// Writes one key after the other for so long.
    pub(crate) fn go_on(&mut self, client: &mut Client, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.one_more(client);
        }
    }

    /// How many writes were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// In a sentence.
    pub(crate) fn told(&self) -> String {
        format!(
            "{} writes acknowledged, {} failed, the longest took {} ms",
            self.acknowledged.len(),
            self.failed,
            self.longest.as_millis()
        )
    }

    /// Reads everything back that was acknowledged.
    pub(crate) fn check(&self, client: &mut Client) -> Result<()> {
        for number in &self.acknowledged {
            let key = format!("{}-{number}", self.name);
            let value = client.get(&key)?;
            ensure!(
                value == Some(format!("value-{number}")),
                "{key} is {value:?}"
            );
        }
        Ok(())
    }
}
