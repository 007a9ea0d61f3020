//! A client of the line protocol, on plain sockets: no code shared with the product.

use std::{
    io::{BufRead, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

/// How long a connection may take, as the documentation advises clients.
const CONNECT_MAX: Duration = Duration::from_millis(500);

/// How long an answer may take: a command's own deadline is 5 s.
const ANSWER_MAX: Duration = Duration::from_secs(8);

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
        self.reader.get_mut().write_all(line.as_bytes())?;
        loop {
            let mut answer = String::new();
            if self.reader.read_line(&mut answer)? == 0 {
                bail!("the broker closed the connection");
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

/// What one client wrote, one key after the other.
#[derive(Debug, Default)]
pub(crate) struct Written {
    acknowledged: Vec<u32>,
    /// Writes that were answered by an error, or not at all.
    pub(crate) failed: u32,
    /// The longest wait for an answer.
    pub(crate) longest: Duration,
    next: u32,
}

impl Written {
    /// Writes one more key.
    pub(crate) fn one_more(&mut self, client: &mut Client) {
        self.next += 1;
        let number = self.next;
        let asked = Instant::now();
        match client.put(&format!("key-{number}"), &format!("value-{number}")) {
            Ok(()) => self.acknowledged.push(number),
            Err(error) => {
                self.failed += 1;
                println!("write {number}: {error:#}");
            }
        }
        self.longest = self.longest.max(asked.elapsed());
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
            let value = client.get(&format!("key-{number}"))?;
            ensure!(
                value == Some(format!("value-{number}")),
                "key-{number} is {value:?}"
            );
        }
        Ok(())
    }
}
