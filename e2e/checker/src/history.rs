//! Histories as they are read: operations by key.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Operations of all histories.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// By key, in the order of the files.
    pub keys: BTreeMap<String, Vec<Operation>>,
    /// The latest end of all.
    pub last_end: u64,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    pub action: Action,
    pub start: u64,
    pub end: u64,
    pub outcome: Outcome,
    /// File and line, or what a test calls it.
    pub place: String,
    pub client: u64,
}

/// What was asked, and what came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Put(String),
    /// A delete that found a value, or that did not end as done.
    Delete,
    /// A get that is done, or a delete that found nothing: the value seen, `None` where absent.
    Read(Option<String>),
    /// A get that is not done.
    NothingRead,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Done,
    NotDone,
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    client: u64,
    operation: String,
    key: String,
    value: Option<String>,
    start: u64,
    end: u64,
    outcome: Outcome,
    #[serde(default, deserialize_with = "present")]
    read: Option<Value>,
    found: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct FinalLine {
    key: String,
    #[serde(default, deserialize_with = "present")]
    value: Option<Value>,
}

/// Tells a field that is `null` from one that is not there.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// What was read: text, or nothing.
fn seen(value: Option<Value>) -> Result<Option<String>> {
    match value.context("it does not say what was read")? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        other => bail!("{other} is neither text nor null"),
    }
}

impl History {
    /// Reads one file.
    pub(crate) fn read(&mut self, path: &Path) -> Result<()> {
        let name = file_name(path);
        for_lines(path, |number, text| {
            let line: Line = serde_json::from_str(text)?;
            if line.end < line.start {
                bail!("it ends before it begins");
            }
            let key = line.key.clone();
            let operation = operation(line, format!("{name}:{number}"))?;
            self.add(&key, operation);
            Ok(())
        })
    }

    /// Reads the final state, as reads after everything that was read before.
    pub(crate) fn read_final(&mut self, path: &Path) -> Result<()> {
        let name = file_name(path);
        for_lines(path, |number, text| {
            let line: FinalLine = serde_json::from_str(text)?;
            let value = seen(line.value)?;
            let at = self.last_end + 1;
            let operation = Operation {
                action: Action::Read(value),
                start: at,
                end: at,
                outcome: Outcome::Done,
                place: format!("{name}:{number}"),
                client: 0,
            };
            self.add(&line.key, operation);
            Ok(())
        })
    }

    pub(crate) fn add(&mut self, key: &str, operation: Operation) {
        self.last_end = self.last_end.max(operation.end);
        if let Some(of_key) = self.keys.get_mut(key) {
            of_key.push(operation);
        } else {
            self.keys.insert(key.to_owned(), vec![operation]);
        }
    }

    /// Every operation.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (&str, &Operation)> {
        self.keys
            .iter()
            .flat_map(|(key, operations)| operations.iter().map(move |o| (key.as_str(), o)))
    }
}

fn operation(line: Line, place: String) -> Result<Operation> {
    let is_done = line.outcome == Outcome::Done;
    let action = match (line.operation.as_str(), is_done) {
        ("put", _) => Action::Put(line.value.context("a put has a `value`")?),
        ("get", true) => Action::Read(seen(line.read)?),
        ("get", false) => Action::NothingRead,
        ("delete", true) if !line.found.context("a delete that is done has `found`")? => {
            Action::Read(None)
        }
        ("delete", _) => Action::Delete,
        (other, _) => bail!("there is no operation `{other}`"),
    };
    Ok(Operation {
        action,
        start: line.start,
        end: line.end,
        outcome: line.outcome,
        place,
        client: line.client,
    })
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn for_lines(path: &Path, mut each: impl FnMut(usize, &str) -> Result<()>) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    for (line, number) in BufReader::new(file).lines().zip(1..) {
        let at = || format!("{}:{number}", path.display());
        let line = line.with_context(at)?;
        if !line.trim().is_empty() {
            each(number, &line).with_context(at)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Operation> {
        operation(serde_json::from_str(text)?, "here".to_owned())
    }

    #[test]
    fn absent_and_not_said_are_told_apart() {
        let rest = r#""client":1,"key":"k","start":1,"end":2"#;
        let done = |more: &str| of(&format!("{{{rest},\"outcome\":\"done\",{more}}}"));
        let read = done(r#""operation":"get","read":null"#).expect("a read of nothing");
        assert_eq!(read.action, Action::Read(None));
        assert!(done(r#""operation":"get""#).is_err());
        let found = done(r#""operation":"delete","found":true"#).expect("a delete");
        assert_eq!(found.action, Action::Delete);
        let nothing = done(r#""operation":"delete","found":false"#).expect("a read");
        assert_eq!(nothing.action, Action::Read(None));
        assert!(done(r#""operation":"delete""#).is_err());
        assert!(done(r#""operation":"put""#).is_err());
        assert!(done(r#""operation":"steal""#).is_err());
    }
}
