//! Reading records: the papers' notation or NDJSON, told apart by content, a line at a time.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use anyhow::{Context, Result};
use kvcore::{document::Document, key::Key, notation, value::Content};
use serde::{Deserialize, Serialize};

use crate::limits::INPUT_LINE_BYTES_MAX;

/// Some programs begin a file of UTF-8 text with it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// One record on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its line, from 1.
    pub number: u64,
    /// Where the next line begins, and how many lines lie before that.
    pub end: Mark,
    /// Its key.
    pub key: Key,
    /// Its value.
    pub content: Content,
    /// The line as it was.
    pub text: Vec<u8>,
}

/// A place between two lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mark {
    /// Bytes before it.
    pub offset: u64,
    /// Lines before it.
    pub lines: u64,
}

/// One line of the input.
#[derive(Debug, PartialEq)]
pub enum Line {
    /// Nothing on it, or a comment.
    Blank {
        /// Its end.
        end: Mark,
    },
    /// A record.
    Record(Record),
    /// Something else.
    Bad {
        /// Which line.
        number: u64,
        /// What is wrong with it.
        reason: String,
        /// The line, or its beginning when it is longer than any record.
        text: Vec<u8>,
        /// Its end.
        end: Mark,
    },
}

/// The input, read once from start to end.
pub struct Input {
    reader: Box<dyn Source>,
    size: Option<u64>,
    at: Mark,
    key_field: Option<String>,
    line_bytes_max: usize,
}

trait Source: BufRead + Send {
    fn seek_to(&mut self, offset: u64) -> io::Result<()>;
}

impl Source for BufReader<File> {
    fn seek_to(&mut self, offset: u64) -> io::Result<()> {
        self.seek(SeekFrom::Start(offset)).map(|_| ())
    }
}

impl Source for BufReader<io::Stdin> {
    fn seek_to(&mut self, offset: u64) -> io::Result<()> {
        io::copy(&mut self.take(offset), &mut io::sink()).map(|_| ())
    }
}

impl Input {
    /// Opens a file, or standard input. Plain objects take their key from `key_field`.
    pub fn open(file: Option<&Path>, key_field: Option<String>) -> Result<Self> {
        let (reader, size): (Box<dyn Source>, _) = match file {
            Some(path) => {
                let file =
                    File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
                let metadata = file.metadata()?;
                let size = metadata.is_file().then_some(metadata.len());
                (Box::new(BufReader::with_capacity(256 * 1024, file)), size)
            }
            None => (Box::new(BufReader::new(io::stdin())), None),
        };
        Ok(Self {
            reader,
            size,
            at: Mark::default(),
            key_field,
            line_bytes_max: INPUT_LINE_BYTES_MAX,
        })
    }

    /// Bytes of the whole input, where that is known.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.at.offset
    }

    /// Goes on behind `lines` lines, which end at `offset`.
    pub fn skip_to(&mut self, offset: u64, lines: u64) -> io::Result<()> {
        self.reader.seek_to(offset)?;
        self.at = Mark { offset, lines };
        Ok(())
    }

    /// The next line, `None` at the end.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut text = Vec::new();
        let limit = self.line_bytes_max as u64;
        let read = (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut text)?;
        if read == 0 {
            return Ok(None);
        }
        let mut bytes = read as u64;
        let is_whole = text.ends_with(b"\n") || bytes < limit;
        if !is_whole {
            bytes += self.skip_line()?;
        }
        self.at = Mark {
            offset: self.at.offset + bytes,
            lines: self.at.lines + 1,
        };
        let (number, end) = (self.at.lines, self.at);
        if !is_whole {
            text.truncate(200);
            let reason = format!("a line has at most {limit} bytes, this one has {bytes}");
            return Ok(Some(Line::Bad {
                number,
                reason,
                text,
                end,
            }));
        }
        while text
            .last()
            .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
        {
            text.pop();
        }
        if number == 1 && text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len());
        }
        let said = text.trim_ascii();
        if said.is_empty() || said.starts_with(b"#") {
            return Ok(Some(Line::Blank { end }));
        }
        Ok(Some(match self.parse(&text, number) {
            Ok((key, content)) => Line::Record(Record {
                number,
                end,
                key,
                content,
                text,
            }),
            Err(reason) => Line::Bad {
                number,
                reason,
                text,
                end,
            },
        }))
    }

    /// Skips the rest of a line that is too long, without keeping it.
    fn skip_line(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(skipped);
            }
            let newline = buffer.iter().position(|&byte| byte == b'\n');
            let count = newline.map_or(buffer.len(), |at| at + 1);
            self.reader.consume(count);
            skipped += count as u64;
            if newline.is_some() {
                return Ok(skipped);
            }
        }
    }

    fn parse(&self, text: &[u8], number: u64) -> Result<(Key, Content), String> {
        // An object is NDJSON; an entry of the notation begins with its key.
        if text.trim_ascii_start().starts_with(b"{") {
            return parse_object(text, self.key_field.as_deref());
        }
        let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8: {error}"))?;
        // The line's number is said by whoever reports.
        let line = usize::try_from(number).unwrap_or(usize::MAX);
        notation::parse_entry(text, line).map_err(|error| {
            let said = format!("line {line}, ");
            let error = error.to_string();
            error
                .strip_prefix(&said)
                .map_or(error.clone(), str::to_owned)
        })
    }
}

/// `{"key": …, "value": …}`, or any object with the key in a field of its own.
fn parse_object(text: &[u8], key_field: Option<&str>) -> Result<(Key, Content), String> {
    let Document::Map(mut map) = Document::from_json(text).map_err(|error| error.to_string())?
    else {
        return Err("not an object".to_owned());
    };
    let name = key_field.unwrap_or("key");
    let key = match map.get(name) {
        Some(Document::String(key)) => key.clone(),
        Some(Document::Int(key)) => key.to_string(),
        Some(_) => {
            return Err(format!(
                "the field {name:?} is neither a string nor a whole number"
            ));
        }
        None => {
            let hint = if key_field.is_none() {
                " (--key FIELD names another)"
            } else {
                ""
            };
            return Err(format!(
                "the object has no field {name:?} for the key{hint}"
            ));
        }
    };
    let key = Key::copy_from(key.as_bytes()).map_err(|error| error.to_string())?;
    let value = match key_field {
        Some(_) => Document::Map(map),
        None => match (map.swap_remove("value"), map.len()) {
            (Some(value), 1) => value,
            (Some(_), _) => {
                return Err("beside \"key\" and \"value\" it has other fields".to_owned());
            }
            (None, _) => return Err("the object has no field \"value\"".to_owned()),
        },
    };
    Ok((key, Content::Document(value)))
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
