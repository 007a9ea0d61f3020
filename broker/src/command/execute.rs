//! Carrying a command out on a broker.

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    notation::{print_content, print_document, print_entry, print_key},
    path::{DotPath, escape_segment},
    record::ValueMeta,
    value::{Content, Value},
};
use tokio::time::Instant;

use super::{Command, End, HELP, Response};
use crate::{
    machine::{
        Outcome,
        outcome::Absent,
        read::{Demand, Partial, ReadAnswer},
        scan::ScanPlan,
    },
    shell::{Added, Broker, Deleted, ResolvedPage},
};

/// Keys looked for when a path may lack an escape.
const HINTS_MAX: usize = 4;

impl Command {
    /// Carries the command out.
    pub async fn execute(self, broker: &Broker) -> Response {
        let of = |demand: Option<Demand>| demand.unwrap_or(broker.options().demand);
        match self {
            Self::Get { key, demand } => get(broker, key, of(demand)).await,
            Self::Query {
                path,
                typed,
                demand,
            } => Box::pin(query(broker, &path, &typed, of(demand))).await,
            Self::Put { key, content } => {
                let outcome = broker.put(key, &forever(content)).await;
                Response::from_outcome(outcome, |_| End::Ok)
            }
            Self::Add { key, content } => {
                let outcome = Box::pin(broker.add(key, &forever(content))).await;
                Response::from_outcome(outcome, |added| match added {
                    Added::Stored => End::Ok,
                    Added::Exists => End::Exists,
                })
            }
            Self::Delete { key } => {
                let outcome = Box::pin(broker.delete(key)).await;
                Response::from_outcome(outcome, |deleted| match deleted {
                    Deleted::Value => End::Ok,
                    Deleted::Nothing => End::NotFound,
                })
            }
            Self::Scan { plan, demand } => Box::pin(scan(broker, plan, of(demand))).await,
            Self::Help => Response {
                notes: vec![HELP.to_owned()],
                ..Response::of(End::Ok)
            },
        }
    }
}

/// The command line and the line protocol know no expiry.
fn forever(content: Content) -> Value {
    Value {
        content,
        expires_at: None,
    }
}

async fn get(broker: &Broker, key: Key, demand: Demand) -> Response {
    let answer = match broker.get(key.clone(), demand).await {
        Outcome::Done(answer) => answer,
        Outcome::NotDone(failure) | Outcome::Unknown(failure) => {
            return Response::not_done(&failure);
        }
    };
    let mut notes = notes(broker, answer.partial.as_ref());
    let held = held(answer.value.as_ref());
    let end = if let Some((meta, bytes)) = answer.value {
        let content = content_of(&meta, bytes);
        content.map_or_else(
            |end| end,
            |content| End::Value {
                of: print_key(&key),
                value: print_content(&content),
            },
        )
    } else {
        notes.extend(whole_key_hint(&key));
        End::NotFound
    };
    Response {
        notes,
        held,
        ..Response::of(end)
    }
}

async fn query(broker: &Broker, path: &DotPath, typed: &str, demand: Demand) -> Response {
    let deadline = broker.deadline();
    let answer = match broker.get_by(path.key().clone(), demand, deadline).await {
        Outcome::Done(answer) => answer,
        Outcome::NotDone(failure) | Outcome::Unknown(failure) => {
            return Response::not_done(&failure);
        }
    };
    let mut notes = notes(broker, answer.partial.as_ref());
    let mut held = held(answer.value.as_ref());
    let end = match look_up(&mut notes, answer, path) {
        Ok(value) => {
            let of = serde_json::to_string(typed).expect("every string is JSON");
            End::Value { of, value }
        }
        Err(end) => end,
    };
    if end == End::NotFound {
        // Nothing of the value is in the reply: others may have its room while this one asks.
        held.clear();
        notes.extend(dotted_key_hint(broker, path, deadline).await);
    }
    Response {
        notes,
        held,
        ..Response::of(end)
    }
}

/// The value at the path's end, or how the response ends without one.
fn look_up(notes: &mut Vec<String>, answer: ReadAnswer, path: &DotPath) -> Result<String, End> {
    let (meta, bytes) = answer.value.ok_or(End::NotFound)?;
    let content = content_of(&meta, bytes)?;
    if path.steps().is_empty() {
        return Ok(print_content(&content));
    }
    let Content::Document(document) = &content else {
        notes.push("the key's value is raw bytes, not a document: GET shows it".to_owned());
        return Err(End::NotFound);
    };
    path.lookup(document)
        .map(print_document)
        .map_err(|missing| {
            if let Some(name) = missing.dotted {
                let joined = 1 + name.matches('.').count();
                // A name may hold dots that the path escaped already.
                let escaped: usize = path.steps()[missing.step..]
                    .iter()
                    .scan(0, |length, step| {
                        *length += step.len() + 1;
                        (*length <= name.len() + 1).then_some(step.matches('.').count())
                    })
                    .sum();
                let at = missing.step;
                notes.push(escape_hint(path, at, at + joined - escaped, name));
            }
            End::NotFound
        })
}

/// A hint when keys exist that the path meant had its dots been escaped.
async fn dotted_key_hint(broker: &Broker, path: &DotPath, deadline: Instant) -> Option<String> {
    for (at, name) in path.dotted_keys().take(HINTS_MAX).enumerate() {
        let Ok(key) = Key::copy_from(name.as_bytes()) else {
            continue;
        };
        let presence = broker.presence_by(key, deadline).await;
        if let Outcome::Done(ReadAnswer { value: Some(_), .. }) = presence {
            let rest = path.steps()[at + 1..].iter().map(String::as_str);
            return Some(hint(std::iter::once(name.as_str()).chain(rest)));
        }
    }
    None
}

/// The path with its steps from `from` to `to` as one name.
fn escape_hint(path: &DotPath, from: usize, to: usize, name: &str) -> String {
    let key = String::from_utf8_lossy(path.key().as_bytes());
    let steps = |steps: &'_ [String]| steps.to_vec();
    let (before, after) = (steps(&path.steps()[..from]), steps(&path.steps()[to..]));
    let segments = std::iter::once(&*key)
        .chain(before.iter().map(String::as_str))
        .chain([name])
        .chain(after.iter().map(String::as_str));
    hint(segments)
}

fn hint<'a>(segments: impl Iterator<Item = &'a str>) -> String {
    let escaped: Vec<_> = segments.map(escape_segment).collect();
    format!(
        "hint: a dot that belongs to a name is escaped: QUERY {}",
        escaped.join(".")
    )
}

/// Escapes belong into paths, not into keys.
fn whole_key_hint(key: &Key) -> Option<String> {
    let text = std::str::from_utf8(key.as_bytes()).ok()?;
    text.contains(r"\.").then(|| {
        let plain = text.replace(r"\.", ".");
        format!("hint: GET takes a key as it stands, nothing is escaped: GET {plain}")
    })
}

async fn scan(broker: &Broker, plan: ScanPlan, demand: Demand) -> Response {
    let page = match broker.scan(plan, demand).await {
        Outcome::Done(page) => page,
        Outcome::NotDone(failure) | Outcome::Unknown(failure) => {
            return Response::not_done(&failure);
        }
    };
    let mut notes = notes(broker, None);
    if page.is_partial {
        notes.push(partial_scan(&page));
    }
    let mut entries = Vec::with_capacity(page.entries.len());
    let mut held = Vec::new();
    for (key, meta, bytes) in page.entries {
        if bytes.len() > CHUNK_BYTES {
            held.push(bytes.clone());
        }
        match content_of(&meta, bytes) {
            Ok(content) => entries.push(print_entry(&key, &content)),
            Err(_) => notes.push(format!("{}: its value cannot be read", print_key(&key))),
        }
    }
    let count = entries.len();
    Response {
        notes,
        entries,
        held,
        end: End::Scanned {
            count,
            next_after: page.next_after,
        },
    }
}

/// The bytes that hold room for the reply made of them.
fn held(value: Option<&(ValueMeta, Bytes)>) -> Vec<Bytes> {
    let large = value.filter(|(_, bytes)| bytes.len() > CHUNK_BYTES);
    large.map(|(_, bytes)| bytes.clone()).into_iter().collect()
}

fn content_of(meta: &ValueMeta, bytes: Bytes) -> Result<Content, End> {
    let value = Value::from_stored(meta, bytes);
    value
        .map(|value| value.content)
        .map_err(|error| End::NotDone(format!("the stored value cannot be read: {error}")))
}

/// What every read says about missing copies.
fn notes(broker: &Broker, partial: Option<&Partial>) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(incomplete(broker));
    notes.extend(partial.map(|partial| {
        format!(
            "answered by {} of the {} copies a read quorum has; down: {}",
            partial.answered,
            partial.needed,
            listed(&partial.absent)
        )
    }));
    notes
}

/// A warning when so many servers are down that some key may have lost every copy.
pub(crate) fn incomplete(broker: &Broker) -> Option<String> {
    let copies = broker.view().placement().copies();
    (broker.down() >= copies).then(|| {
        let absent = broker.absent();
        format!(
            "warning: {} servers are down and there are {copies} copies, so results may be \
             incomplete; down: {}",
            absent.len(),
            listed(&absent)
        )
    })
}

fn partial_scan(page: &ResolvedPage) -> String {
    format!(
        "fewer copies than a read quorum has answered for {} of {} slots; down: {}",
        page.partial_slots,
        kvcore::limits::SLOTS,
        listed(&page.absent)
    )
}

fn listed(absent: &[Absent]) -> String {
    let each: Vec<_> = absent.iter().map(ToString::to_string).collect();
    each.join("; ")
}
