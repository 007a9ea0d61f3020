//! `get`, `put`, `delete`, `query`, `scan`: values as JSON on standard output, remarks on standard
//! error, and the exit code for scripts.

use std::io::{Read, Write};

use anyhow::{Context, Result, bail};
use kvcore::{
    document::Document,
    key::Key,
    limits::VALUE_BYTES_MAX,
    notation,
    value::{Content, Value},
};

use crate::client::{Client, End, Response, content, split_entry};

/// How a command ended, for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// 0: found, or done.
    Yes,
    /// 1: certainly not there.
    No,
    /// 2: could not find out, or not done.
    CouldNotFindOut,
}

impl Found {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::CouldNotFindOut => 2,
        }
    }
}

/// How many copies must answer a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// As the broker is set up.
    Default,
    /// Whatever is there; the answer says when that was less than a quorum.
    Available,
}

impl Reads {
    fn prefix(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Available => "AVAILABLE ",
        }
    }
}

/// How values are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As JSON.
    Json,
    /// A raw value's own bytes; a document as JSON.
    Raw,
}

/// `kvctl get`.
pub async fn get(client: &Client, key: &str, reads: Reads, form: Form) -> Result<Found> {
    let key = Key::copy_from(key.as_bytes())?;
    let line = format!("{}GET {}", reads.prefix(), notation::print_key(&key));
    print_value(client.ask(line).await?, form)
}

/// `kvctl query`.
pub async fn query(client: &Client, path: &str, reads: Reads) -> Result<Found> {
    // In quotes: a key may begin with a space, or hold a line break.
    let path = serde_json::to_string(path)?;
    let line = format!("{}QUERY {path}", reads.prefix());
    print_value(client.ask(line).await?, Form::Json)
}

/// `kvctl put`; a value of `-` is read from standard input.
pub async fn put(client: &Client, key: &str, value: &str, form: Form) -> Result<Found> {
    let key = Key::copy_from(key.as_bytes())?;
    let bytes = if value == "-" {
        read_stdin()?
    } else {
        value.as_bytes().to_vec()
    };
    let content = match form {
        Form::Raw => Content::Raw { flags: 0, bytes: bytes.into() },
        Form::Json => Content::Document(Document::from_json(&bytes).with_context(|| {
            "the value is not JSON (text stands in quotes: '\"text\"'; --raw stores it as it is)"
        })?),
    };
    // Said here: the broker would only find the line too long.
    let value = Value {
        content,
        expires_at: None,
    };
    value.to_stored()?;
    let content = value.content;
    let line = format!("PUT {}", notation::print_entry(&key, &content));
    done(&client.ask(line).await?)
}

/// `kvctl delete`.
pub async fn delete(client: &Client, key: &str) -> Result<Found> {
    let key = Key::copy_from(key.as_bytes())?;
    done(
        &client
            .ask(format!("DELETE {}", notation::print_key(&key)))
            .await?,
    )
}

/// `kvctl scan`: one JSON object a line, pages as they come.
pub async fn scan(
    client: &Client,
    prefix: &str,
    limit: Option<usize>,
    after: Option<&str>,
    reads: Reads,
) -> Result<Found> {
    let prefix = serde_json::to_string(prefix)?;
    let mut after = after
        .map(|key| Key::copy_from(key.as_bytes()))
        .transpose()?;
    let mut left = limit.unwrap_or(usize::MAX);
    let mut out = std::io::stdout().lock();
    let mut any = false;
    while left > 0 {
        let page = left.min(200);
        let from = after
            .as_ref()
            .map(|key| format!(" AFTER {}", notation::print_key(key)));
        let from = from.unwrap_or_default();
        let line = format!("{}SCAN {prefix} {page}{from}", reads.prefix());
        let response = client.scan(line).await?;
        remark(&response);
        for entry in &response.entries {
            let (name, value) = split_entry(entry)?;
            let name = if name.starts_with("0x") {
                format!("\"{name}\"")
            } else {
                name.to_owned()
            };
            let value = to_json(&content(value)?);
            writeln!(out, "{{\"key\":{name},\"value\":{value}}}")?;
            any = true;
            left = left.saturating_sub(1);
        }
        match response.end {
            End::ScanMore(key) => after = Some(key),
            End::ScanEnd => break,
            end => return failed(&end, "could not find out"),
        }
    }
    Ok(if any { Found::Yes } else { Found::No })
}

/// A content as JSON: raw bytes as text where they are, else in hexadecimal.
pub fn to_json(content: &Content) -> String {
    match content {
        Content::Document(document) => document.to_json(),
        Content::Raw { bytes, .. } => match std::str::from_utf8(bytes) {
            Ok(text) => Document::String(text.to_owned()).to_json(),
            Err(_) => format!("\"{}\"", notation::print_content(content)),
        },
    }
}

fn print_value(response: Response, form: Form) -> Result<Found> {
    remark(&response);
    let End::Value(text) = response.end else {
        return failed(&response.end, "could not find out");
    };
    let content = content(&text)?;
    let mut out = std::io::stdout().lock();
    match (&content, form) {
        (Content::Raw { bytes, .. }, Form::Raw) => out.write_all(bytes)?,
        (Content::Raw { flags, bytes }, Form::Json) => {
            let length = bytes.len();
            eprintln!("a raw value of {length} bytes with flags {flags}; --raw prints it as it is");
            writeln!(out, "{}", to_json(&content))?;
        }
        (Content::Document(document), _) => writeln!(out, "{}", document.to_json())?,
    }
    Ok(Found::Yes)
}

fn done(response: &Response) -> Result<Found> {
    remark(response);
    match response.end {
        End::Ok => Ok(Found::Yes),
        _ => failed(&response.end, "not done"),
    }
}

fn failed(end: &End, without: &str) -> Result<Found> {
    match end {
        End::NotFound => {
            eprintln!("NOT FOUND");
            Ok(Found::No)
        }
        End::NotDone(why) => {
            eprintln!("{without}: {why}");
            Ok(Found::CouldNotFindOut)
        }
        End::Unknown(why) => {
            eprintln!("unknown, it may or may not have been done: {why}");
            Ok(Found::CouldNotFindOut)
        }
        End::Syntax(why) => bail!("{why}"),
        other => bail!("the broker answered {other:?}, which does not fit the command"),
    }
}

fn remark(response: &Response) {
    for note in &response.notes {
        eprintln!("{}", for_the_shell(note));
    }
}

/// A hint names a command of the line protocol; here it is one of the shell, where a backslash
/// needs quotes.
fn for_the_shell(note: &str) -> String {
    let hint = note.strip_prefix("hint: ").unwrap_or_default();
    for (command, here) in [(": QUERY ", "query"), (": GET ", "get")] {
        if let Some((said, argument)) = hint.split_once(command) {
            let argument = argument.replace('\'', r"'\''");
            return format!("hint: {said}: kvctl {here} '{argument}'");
        }
    }
    note.to_owned()
}

fn read_stdin() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // JSON may be longer than what is stored; one byte more tells that there is more.
    let limit = 4 * VALUE_BYTES_MAX as u64;
    std::io::stdin()
        .lock()
        .take(limit + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        bail!(
            "standard input has more than {limit} bytes, and a value has at most {VALUE_BYTES_MAX}"
        );
    }
    Ok(bytes)
}
