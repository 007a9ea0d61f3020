//! A line of bytes to a command.
//!
//! Errors name the column (in bytes, from 1) where there is one, or say how the command is used.

use kvcore::{key::Key, limits::PAGE_ENTRIES_MAX, notation, path::DotPath, value::Content};
use smallvec::SmallVec;

use super::{Command, key_token};
use crate::{
    limits::SCAN_LIMIT_DEFAULT,
    machine::{read::Demand, scan::ScanPlan},
};

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SyntaxError(pub String);

type Result<T> = std::result::Result<T, SyntaxError>;

/// A piece of the line and where it begins.
#[derive(Clone, Copy)]
struct Part<'a> {
    bytes: &'a [u8],
    /// Bytes of the line before it.
    start: usize,
}

pub(super) fn parse(line: &[u8]) -> Result<Command> {
    let whole = Part {
        bytes: line,
        start: 0,
    };
    let (mut word, mut rest) = whole.word();
    let demand = match &*upper(word) {
        b"AVAILABLE" => Some(Demand::Available),
        b"QUORUM" => Some(Demand::Quorum),
        _ => None,
    };
    if demand.is_some() {
        (word, rest) = rest.word();
    }
    let name = upper(word);
    if demand.is_some() && !matches!(&*name, b"GET" | b"QUERY" | b"SCAN") {
        return Err(SyntaxError(
            "AVAILABLE and QUORUM stand before GET, QUERY or SCAN".to_owned(),
        ));
    }
    match &*name {
        b"GET" => Ok(Command::Get {
            key: rest.whole_key("GET key")?,
            demand,
        }),
        b"DELETE" => Ok(Command::Delete {
            key: rest.whole_key("DELETE key")?,
        }),
        b"QUERY" => query(rest, demand),
        b"PUT" => entry(rest, "PUT").map(|(key, content)| Command::Put { key, content }),
        b"ADD" => entry(rest, "ADD").map(|(key, content)| Command::Add { key, content }),
        b"SCAN" => scan(rest, demand),
        b"HELP" if rest.bytes.is_empty() => Ok(Command::Help),
        b"HELP" => Err(SyntaxError("HELP stands alone".to_owned())),
        b"" => Err(SyntaxError("an empty line is no command".to_owned())),
        _ => Err(SyntaxError(format!(
            "`{}` is no command: there are GET, QUERY, PUT, ADD, DELETE, SCAN and HELP",
            shown(word)
        ))),
    }
}

/// In capital letters; as long as the longest command it takes no allocation.
fn upper(word: &[u8]) -> SmallVec<[u8; 16]> {
    let mut upper = SmallVec::from_slice(word);
    upper.make_ascii_uppercase();
    upper
}

impl<'a> Part<'a> {
    fn trimmed(self) -> Self {
        let bytes = self.bytes.trim_ascii_start();
        Self {
            start: self.start + self.bytes.len() - bytes.len(),
            bytes: bytes.trim_ascii_end(),
        }
    }

    /// The first word, and the rest without white space around it.
    fn word(self) -> (&'a [u8], Self) {
        let Self { bytes, start } = self.trimmed();
        let end = bytes
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(bytes.len());
        let rest = Self {
            bytes: &bytes[end..],
            start: start + end,
        };
        (&bytes[..end], rest.trimmed())
    }

    /// What follows the first `taken` bytes.
    fn after(self, taken: usize) -> Self {
        let rest = Self {
            bytes: &self.bytes[taken..],
            start: self.start + taken,
        };
        rest.trimmed()
    }

    fn column(self) -> usize {
        self.start + 1
    }

    fn whole_key(self, usage: &str) -> Result<Key> {
        if self.bytes.is_empty() {
            return Err(SyntaxError(format!("no key: {usage}")));
        }
        key_token::key(self.bytes, self.column())
    }

    fn text(self, what: &str) -> Result<&'a str> {
        std::str::from_utf8(self.bytes).map_err(|error| {
            let column = self.column() + error.valid_up_to();
            SyntaxError(format!("column {column}: {what} is UTF-8 text"))
        })
    }
}

fn query(rest: Part<'_>, demand: Option<Demand>) -> Result<Command> {
    let typed = rest.text("a path")?;
    if typed.is_empty() {
        return Err(SyntaxError("no path: QUERY key.name.name".to_owned()));
    }
    // In quotes a path may begin or end with a space, or hold a line break, as keys may.
    let typed = if typed.starts_with('"') {
        quoted_path(rest)?
    } else {
        typed.to_owned()
    };
    let path = DotPath::parse(&typed).map_err(|error| SyntaxError(error.to_string()))?;
    Ok(Command::Query {
        path,
        typed,
        demand,
    })
}

fn quoted_path(rest: Part<'_>) -> Result<String> {
    serde_json::from_slice(rest.bytes).map_err(|error| {
        SyntaxError(format!(
            "column {}: a path in quotes is one string with JSON escapes ({error})",
            rest.column()
        ))
    })
}

/// `key : content`
fn entry(rest: Part<'_>, name: &str) -> Result<(Key, Content)> {
    if rest.bytes.is_empty() {
        return Err(SyntaxError(format!("no key: {name} key : value")));
    }
    let no_colon = |at: Part<'_>| {
        SyntaxError(format!(
            "column {}: no colon after the key: {name} key : value",
            at.column()
        ))
    };
    let (key, value) = if rest.bytes.starts_with(b"\"") {
        let (key, after) = key_token::quoted(rest.bytes, rest.column())?;
        let after = rest.after(rest.bytes.len() - after.len());
        if !after.bytes.starts_with(b":") {
            return Err(no_colon(after));
        }
        (key, after.after(1))
    } else {
        let spaced = rest.bytes.windows(3).position(|window| window == b" : ");
        let colon = spaced.map(|at| at + 1);
        let colon = colon.or_else(|| rest.bytes.iter().position(|&byte| byte == b':'));
        let colon = colon.ok_or_else(|| no_colon(rest.after(rest.bytes.len())))?;
        let key = key_token::unquoted(rest.bytes[..colon].trim_ascii())?;
        (key, rest.after(colon + 1))
    };
    if value.bytes.is_empty() {
        return Err(SyntaxError(format!("no value: {name} key : value")));
    }
    let text = value.text("a value")?;
    let content = notation::parse_content(text, 1)
        .map_err(|error| key_token::at_column(&error, value.column()))?;
    Ok((key, content))
}

/// `prefix [limit] [AFTER key]`
fn scan(rest: Part<'_>, demand: Option<Demand>) -> Result<Command> {
    const USAGE: &str = "SCAN prefix [limit] [AFTER key]; SCAN \"\" is all keys";
    if rest.bytes.is_empty() {
        return Err(SyntaxError(format!("no prefix: {USAGE}")));
    }
    let (prefix, after) = key_token::prefix(rest.bytes, rest.column())?;
    let mut rest = rest.after(rest.bytes.len() - after.len());
    let mut limit = SCAN_LIMIT_DEFAULT;
    let (word, next) = rest.word();
    if word.first().is_some_and(u8::is_ascii_digit) {
        limit = parse_limit(word)?;
        rest = next;
    }
    let (word, next) = rest.word();
    let after = match &*upper(word) {
        b"" => None,
        b"AFTER" => Some(next.whole_key(USAGE)?),
        _ => {
            return Err(SyntaxError(format!(
                "column {}: expected a limit or AFTER, found `{}`: {USAGE}",
                rest.column(),
                shown(word)
            )));
        }
    };
    let plan = ScanPlan {
        prefix,
        after,
        limit,
    };
    Ok(Command::Scan { plan, demand })
}

fn parse_limit(word: &[u8]) -> Result<u16> {
    let limit = std::str::from_utf8(word)
        .ok()
        .and_then(|text| text.parse().ok());
    match limit {
        Some(limit) if (1..=PAGE_ENTRIES_MAX).contains(&usize::from(limit)) => Ok(limit),
        _ => Err(SyntaxError(format!(
            "a limit goes from 1 to {PAGE_ENTRIES_MAX}, not `{}`",
            shown(word)
        ))),
    }
}

/// The first bytes of a word, for an error.
fn shown(word: &[u8]) -> String {
    const BYTES_MAX: usize = 32;
    if word.len() <= BYTES_MAX {
        return word.escape_ascii().to_string();
    }
    format!("{}...", word[..BYTES_MAX].escape_ascii())
}

#[cfg(test)]
mod tests;
