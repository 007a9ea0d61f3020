//! Commands: what people and the line protocol say, and what they are answered.
//!
//! ```text
//!   line of bytes  --parse-->  Command  --execute on a Broker-->  Response  --to_text-->  lines
//! ```
//!
//! One grammar and one form of answer for the prompt, pipes and the line protocol.

pub(crate) mod execute;
mod key_token;
mod parse;
mod response;

use kvcore::{key::Key, path::DotPath, value::Content};

use crate::machine::{read::Demand, scan::ScanPlan};

pub use self::{
    parse::SyntaxError,
    response::{End, Response},
};

/// Words that begin a command, for completion.
pub const WORDS: [&str; 9] = [
    "GET",
    "QUERY",
    "PUT",
    "ADD",
    "DELETE",
    "SCAN",
    "AVAILABLE",
    "QUORUM",
    "HELP",
];

/// What `HELP` answers.
pub const HELP: &str = r#"PUT key : value        store: PUT "person1" : { "name" : "John" ; "age" : 22 }
ADD key : value        store unless the key has a value
GET key                the whole value of a key
QUERY path             a value inside a document: QUERY person1.address.street
DELETE key             remove a key
SCAN prefix [limit] [AFTER key]   keys in order; SCAN "" is all of them
HELP                   this text
AVAILABLE or QUORUM before GET, QUERY, SCAN: whatever copies are up, or a read quorum
A key is text to the end of the line (GET, DELETE) or to the colon (PUT, ADD), text in quotes
with JSON escapes, or bytes in hexadecimal: 0xff00. Values: { "a" : 1 ; "b" : [ 1 ; 2 ] }, "text",
1, 1.5, true, null, or raw bytes 0x00ff#flags. In a path a dot in a name is escaped: python3\.11"#;

/// One command.
#[derive(Debug, Clone)]
pub enum Command {
    /// The whole value of a key.
    Get {
        /// Which key.
        key: Key,
        /// How missing copies are treated; `None` as the broker is set.
        demand: Option<Demand>,
    },
    /// A value inside a document.
    Query {
        /// Which one.
        path: DotPath,
        /// The path as it was typed.
        typed: String,
        /// How missing copies are treated; `None` as the broker is set.
        demand: Option<Demand>,
    },
    /// Store a value.
    Put {
        /// Under which key.
        key: Key,
        /// The value.
        content: Content,
    },
    /// Store a value unless the key has one.
    Add {
        /// Under which key.
        key: Key,
        /// The value.
        content: Content,
    },
    /// Remove a key.
    Delete {
        /// Which key.
        key: Key,
    },
    /// Keys in order.
    Scan {
        /// Which ones.
        plan: ScanPlan,
        /// How missing copies are treated; `None` as the broker is set.
        demand: Option<Demand>,
    },
    /// Which commands there are.
    Help,
}

/// What a command touches, for keeping the order of those that meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Touches {
    /// One key.
    Key(Key),
    /// Every key.
    All,
    /// None.
    Nothing,
}

impl Command {
    /// Reads one line without its end.
    pub fn parse(line: &[u8]) -> Result<Self, SyntaxError> {
        parse::parse(line)
    }

    /// What the command touches.
    pub fn touches(&self) -> Touches {
        match self {
            Self::Get { key, .. }
            | Self::Put { key, .. }
            | Self::Add { key, .. }
            | Self::Delete { key } => Touches::Key(key.clone()),
            Self::Query { path, .. } => Touches::Key(path.key().clone()),
            Self::Scan { .. } => Touches::All,
            Self::Help => Touches::Nothing,
        }
    }

    /// Whether carrying it out twice is the same as once.
    pub fn only_reads(&self) -> bool {
        !matches!(
            self,
            Self::Put { .. } | Self::Add { .. } | Self::Delete { .. }
        )
    }
}

/// Whether a line says nothing at all; such a line has no response.
pub fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}
