//! Dot paths: how a query names a value inside a document.
//!
//! ```text
//! person1.address.street      the key `person1`, then two steps
//! person1.phones.0            a number steps into a list
//! python3\.11.Depends         a dot that belongs to a name is escaped, and so is a backslash
//! ```
//!
//! The first segment is the key. Any text is a path as long as its key is not empty and every
//! backslash stands before a dot or another backslash; a step may be empty, as map keys may be.

use std::fmt;

use crate::{
    document::Document,
    key::{Key, KeyError},
    limits::PATH_BYTES_MAX,
};

/// A key and the steps into its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DotPath {
    key: Key,
    steps: Vec<String>,
}

/// Why text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Longer than the limit.
    #[error("a path has at most {PATH_BYTES_MAX} bytes, this one has {0}")]
    TooLong(usize),
    /// A backslash before anything but a dot or a backslash.
    #[error(
        "column {column}: a backslash stands before a dot or another backslash, here before {found}"
    )]
    Escape {
        /// Column of the backslash, from 1.
        column: usize,
        /// What follows it.
        found: String,
    },
    /// The first segment is no key.
    #[error("the path's first segment: {0}")]
    Key(#[from] KeyError),
}

/// A step that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing<'a> {
    /// The step, from 0 for the first after the key.
    pub step: usize,
    /// A name with dots in it that would have matched from this step on.
    pub dotted: Option<&'a str>,
}

impl DotPath {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong(text.len()));
        }
        let mut segments = vec![String::new()];
        let mut chars = text.chars().enumerate();
        while let Some((at, char)) = chars.next() {
            let last = segments.last_mut().expect("never empty");
            match char {
                '.' => segments.push(String::new()),
                '\\' => match chars.next() {
                    Some((_, escaped @ ('.' | '\\'))) => last.push(escaped),
                    other => {
                        let found =
                            other.map_or("the end".to_owned(), |(_, char)| format!("{char:?}"));
                        return Err(PathError::Escape {
                            column: at + 1,
                            found,
                        });
                    }
                },
                other => last.push(other),
            }
        }
        let key = Key::new(segments.remove(0))?;
        Ok(Self {
            key,
            steps: segments,
        })
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The steps after the key.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// Follows the steps into the key's document.
    pub fn lookup<'a>(&self, document: &'a Document) -> Result<&'a Document, Missing<'a>> {
        let mut here = document;
        for (step, name) in self.steps.iter().enumerate() {
            let found = match here {
                Document::Map(map) => map.get(name),
                Document::List(items) => list_index(name).and_then(|index| items.get(index)),
                _ => None,
            };
            here = found.ok_or_else(|| Missing {
                step,
                dotted: dotted_name(here, self, step),
            })?;
        }
        Ok(here)
    }

    /// Keys that the path's author may have meant, had the dots been escaped: the first segments
    /// joined, the shortest first.
    pub fn dotted_keys(&self) -> impl Iterator<Item = String> + '_ {
        let first = String::from_utf8_lossy(self.key.as_bytes()).into_owned();
        self.steps.iter().scan(first, |joined, step| {
            joined.push('.');
            joined.push_str(step);
            Some(joined.clone())
        })
    }
}

/// Only plain decimals, so that one place in a list has one name.
fn list_index(name: &str) -> Option<usize> {
    let plain = name == "0" || !name.starts_with('0');
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    if plain && digits {
        name.parse().ok()
    } else {
        None
    }
}

/// A key of this map that is the path's next steps joined by dots, the shortest.
fn dotted_name<'a>(here: &'a Document, path: &DotPath, step: usize) -> Option<&'a str> {
    let Document::Map(map) = here else {
        return None;
    };
    let steps = &path.steps[step..];
    let names = map.keys().filter(|name| is_joined(name, steps));
    names.map(String::as_str).min_by_key(|name| name.len())
}

/// Whether the name is the first few of these steps joined by dots, at least two.
///
/// Held against each name, since joining the steps takes the square of a long path's length.
fn is_joined(name: &str, steps: &[String]) -> bool {
    let mut rest = name;
    for (at, step) in steps.iter().enumerate() {
        let Some(after) = rest.strip_prefix(step.as_str()) else {
            return false;
        };
        if after.is_empty() {
            return at > 0;
        }
        let Some(after) = after.strip_prefix('.') else {
            return false;
        };
        rest = after;
    }
    false
}

/// The text with its dots and backslashes escaped, as one segment of a path.
pub fn escape_segment(text: &str) -> String {
    text.replace('\\', r"\\").replace('.', r"\.")
}

impl fmt::Display for DotPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_segment(&String::from_utf8_lossy(
            self.key.as_bytes(),
        )))?;
        self.steps
            .iter()
            .try_for_each(|step| write!(f, ".{}", escape_segment(step)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document() -> Document {
        let json = r#"{"address":{"number":12},"phones":["a","b"],"a.b":{"c":1},"":{"x":2}}"#;
        Document::from_json(json.as_bytes()).expect("valid")
    }

    fn query(path: &str) -> Option<String> {
        let path = DotPath::parse(path).expect("valid path");
        path.lookup(&document()).ok().map(Document::to_json)
    }

    #[test]
    fn steps_lead_through_maps_and_lists() {
        assert_eq!(query("k.address.number").as_deref(), Some("12"));
        assert_eq!(query("k.phones.1").as_deref(), Some("\"b\""));
        assert_eq!(query(r"k.a\.b.c").as_deref(), Some("1"));
        assert_eq!(query("k..x").as_deref(), Some("2"));
        assert_eq!(query("k.phones.2"), None);
        assert_eq!(query("k.phones.01"), None);
        assert_eq!(query("k.address.number.deeper"), None);
    }

    #[test]
    fn a_miss_knows_the_name_an_escape_would_have_found() {
        let document = document();
        let path = DotPath::parse("k.a.b.c").expect("valid");
        let missing = path.lookup(&document).unwrap_err();
        assert_eq!(
            missing,
            Missing {
                step: 0,
                dotted: Some("a.b")
            }
        );
        let document = Document::from_json(br#"{"a..b":1,"a.":2,"a":{},".":4}"#).expect("valid");
        for (path, dotted) in [("k.a..b", None), ("k...c", Some("."))] {
            let path = DotPath::parse(path).expect("valid");
            let missing = path.lookup(&document).unwrap_err();
            assert_eq!(missing.dotted, dotted, "{path}");
        }
        let path = DotPath::parse("python3.11.Depends").expect("valid");
        assert_eq!(
            path.dotted_keys().collect::<Vec<_>>(),
            ["python3.11", "python3.11.Depends"]
        );
    }

    #[test]
    fn bad_paths_say_where() {
        let error = DotPath::parse(r"ab\c").unwrap_err().to_string();
        assert!(
            error.starts_with("column 3:") && error.ends_with("here before 'c'"),
            "{error}"
        );
        assert!(
            DotPath::parse(r"ab\")
                .unwrap_err()
                .to_string()
                .contains("the end")
        );
        assert!(matches!(
            DotPath::parse(""),
            Err(PathError::Key(KeyError::Empty))
        ));
        assert!(matches!(
            DotPath::parse(".a"),
            Err(PathError::Key(KeyError::Empty))
        ));
        assert!(matches!(
            DotPath::parse(&"a".repeat(70_000)),
            Err(PathError::TooLong(70_000))
        ));
    }

    proptest! {
        #[test]
        fn printing_then_parsing_is_the_identity(
            key in "[^\u{0}]{1,20}", steps in prop::collection::vec(any::<String>(), 0..5)) {
            let key = Key::new(key.into_bytes()).expect("short");
            let path = DotPath { key, steps };
            prop_assert_eq!(DotPath::parse(&path.to_string()), Ok(path));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in any::<String>()) {
            let _ = DotPath::parse(&text);
        }
    }
}
