//! What a command is answered, as text.

use std::fmt::Write;

use bytes::Bytes;
use kvcore::{key::Key, notation::print_key};

use super::SyntaxError;
use crate::machine::{Failure, Outcome};

/// Notes, entries, and one final line.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// What people should know; each becomes a line `# ...`.
    pub notes: Vec<String>,
    /// Entries of a scan, each a line of the notation.
    pub entries: Vec<String>,
    /// The final line.
    pub end: End,
    /// Large values it was made of: their room is held until the response is dropped.
    pub held: Vec<Bytes>,
}

/// The final line of a response.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// A value: what it is of, and the value itself, both in the notation.
    Value {
        /// A key or a path.
        of: String,
        /// The value.
        value: String,
    },
    /// It was done.
    Ok,
    /// There is no such key or path.
    NotFound,
    /// The key has a value already.
    Exists,
    /// So many entries, and where the next page begins if there is more.
    Scanned {
        /// How many entries.
        count: usize,
        /// The key after which to go on.
        next_after: Option<Key>,
    },
    /// The line is no command.
    Syntax(String),
    /// It was not done and never will be, or it could not be found out.
    NotDone(String),
    /// It may have been done.
    Unknown(String),
}

impl Response {
    /// A response of a final line alone.
    pub fn of(end: End) -> Self {
        Self {
            notes: Vec::new(),
            entries: Vec::new(),
            end,
            held: Vec::new(),
        }
    }

    /// The response to an outcome.
    pub(super) fn from_outcome<T>(outcome: Outcome<T>, done: impl FnOnce(T) -> End) -> Self {
        Self::of(match outcome {
            Outcome::Done(answer) => done(answer),
            Outcome::NotDone(failure) => End::NotDone(failure.to_string()),
            Outcome::Unknown(failure) => End::Unknown(failure.to_string()),
        })
    }

    pub(super) fn not_done(failure: &Failure) -> Self {
        Self::of(End::NotDone(failure.to_string()))
    }

    /// Whether the command failed; that something is not there is no failure.
    pub fn is_error(&self) -> bool {
        matches!(self.end, End::Syntax(_) | End::NotDone(_) | End::Unknown(_))
    }

    /// The lines, each with its end.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            for line in note.lines() {
                text.push_str("# ");
                push_line(&mut text, line);
            }
        }
        for entry in &self.entries {
            text.push_str(entry);
            text.push('\n');
        }
        self.end.write(&mut text);
        text
    }
}

impl From<SyntaxError> for Response {
    fn from(error: SyntaxError) -> Self {
        Self::of(End::Syntax(error.0))
    }
}

impl End {
    fn write(&self, text: &mut String) {
        match self {
            Self::Value { of, value } => {
                text.reserve(of.len() + value.len() + 4);
                text.push_str(of);
                text.push_str(" : ");
                text.push_str(value);
                text.push('\n');
            }
            Self::Ok => text.push_str("OK\n"),
            Self::NotFound => text.push_str("NOT FOUND\n"),
            Self::Exists => text.push_str("EXISTS\n"),
            Self::Scanned {
                count,
                next_after: None,
            } => writeln!(text, "END {count}").expect("a string takes everything"),
            Self::Scanned {
                count,
                next_after: Some(key),
            } => writeln!(text, "MORE {count} {}", print_key(key))
                .expect("a string takes everything"),
            Self::Syntax(why) => push_error(text, "ERROR SYNTAX: ", why),
            Self::NotDone(why) => push_error(text, "ERROR NOT DONE: ", why),
            Self::Unknown(why) => push_error(text, "ERROR UNKNOWN: ", why),
        }
    }
}

fn push_error(text: &mut String, kind: &str, why: &str) {
    text.push_str(kind);
    push_line(text, why);
}

/// One line whatever the text holds: what others said may hold anything.
fn push_line(text: &mut String, line: &str) {
    let clean = |char: char| if char.is_control() { ' ' } else { char };
    text.extend(line.chars().map(clean));
    text.push('\n');
}
