//! A client of the line protocol, on plain sockets: no code shared with the product.

use std::{
    io::{BufRead, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail};

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
