//! A connection of the line protocol, as docs/protocols.md has it.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A connection to one broker.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
}

/// How a write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// It was done.
    Done,
    /// There was nothing to delete.
    NothingThere,
    /// It was not done, or perhaps not; the broker's line.
    Not(String),
}

impl Connection {
    pub(crate) fn open(broker: &str) -> Result<Self> {
        let socket =
            TcpStream::connect(broker).with_context(|| format!("no broker at {broker}"))?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self {
            reader: BufReader::new(socket),
        })
    }

    /// The value, `None` where absent; the inner error is a refusal that may pass.
    pub(crate) fn get(&mut self, key: &str) -> Result<Result<Option<String>, String>> {
        let line = self.ask(&format!("GET \"{key}\""))?;
        Ok(match line.strip_prefix(&format!("\"{key}\" : ")) {
            Some(text) => Ok(Some(
                serde_json::from_str(text).unwrap_or_else(|_| text.to_owned()),
            )),
            None if line == "NOT FOUND" => Ok(None),
            None if line.starts_with("ERROR NOT DONE") => Err(line),
            None => bail!("the broker answered {line:?}"),
        })
    }

    /// Stores a text that needs no escapes.
    pub(crate) fn put(&mut self, key: &str, value: &str) -> Result<Wrote> {
        let line = self.ask(&format!("PUT \"{key}\" : \"{value}\""))?;
        wrote(line)
    }

    pub(crate) fn delete(&mut self, key: &str) -> Result<Wrote> {
        let line = self.ask(&format!("DELETE \"{key}\""))?;
        wrote(line)
    }

    /// Sends a command; gives the last line of its answer.
    fn ask(&mut self, command: &str) -> Result<String> {
        let mut socket = self.reader.get_ref();
        socket.write_all(format!("{command}\n").as_bytes())?;
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                bail!("the broker closed the connection");
            }
            if !line.starts_with("# ") {
                return Ok(line.trim_end().to_owned());
            }
        }
    }
}

fn wrote(line: String) -> Result<Wrote> {
    Ok(match line.as_str() {
        "OK" => Wrote::Done,
        "NOT FOUND" => Wrote::NothingThere,
        error if error.starts_with("ERROR NOT DONE") || error.starts_with("ERROR UNKNOWN") => {
            Wrote::Not(line)
        }
        other => bail!("the broker answered {other:?}"),
    })
}
