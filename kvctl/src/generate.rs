//! `kvctl generate`: random records after the papers' recipe, reproducible by a seed.

mod key_file;

use std::io::Write;

use anyhow::{Result, bail};
use kvcore::{
    document::{Document, Map},
    key::Key,
    limits::DOCUMENT_DEPTH_MAX,
    notation,
    value::Content,
};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::index::sample};

pub use self::key_file::{Field, Kind, read as read_key_file};

/// Longest string that is generated, in characters.
pub const STRING_CHARS_MAX: usize = 1024 * 1024;

/// Most keys on one level.
pub const KEYS_MAX: usize = 100_000;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `"key" : { ... }`
    Notation,
    /// `{"key": ..., "value": ...}`
    Ndjson,
}

/// What is generated.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// Names and kinds that maps are made of.
    pub fields: Vec<Field>,
    /// Records.
    pub lines: u64,
    /// Levels of maps below a record's own.
    pub depth: usize,
    /// Most keys of a map; each map has none to that many.
    pub max_keys: usize,
    /// Longest string, in characters.
    pub max_length: usize,
    /// Chooses the records; the same seed gives the same.
    pub seed: u64,
    /// How lines look.
    pub form: Form,
}

/// Writes the records.
pub fn generate(options: &GenerateOptions, out: &mut impl Write) -> Result<()> {
    check(options)?;
    // ChaCha's output is the same on every machine and in every version.
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    for number in 1..=options.lines {
        let value = map(&mut random, options, options.depth);
        let name = format!("key{number}");
        match options.form {
            Form::Notation => {
                let key = Key::new(name)?;
                writeln!(
                    out,
                    "{}",
                    notation::print_entry(&key, &Content::Document(value))
                )?;
            }
            Form::Ndjson => {
                writeln!(out, "{{\"key\":\"{name}\",\"value\":{}}}", value.to_json())?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

fn check(options: &GenerateOptions) -> Result<()> {
    if options.depth >= DOCUMENT_DEPTH_MAX {
        bail!(
            "-d goes to {}: a document has that many levels",
            DOCUMENT_DEPTH_MAX - 1
        );
    }
    if options.max_keys > KEYS_MAX {
        bail!("-m goes to {KEYS_MAX}, not {}", options.max_keys);
    }
    if options.max_length > STRING_CHARS_MAX {
        bail!("-l goes to {STRING_CHARS_MAX}, not {}", options.max_length);
    }
    if options.max_keys > options.fields.len() {
        bail!(
            "-m {} needs as many different names in the key file, which has {}: no key comes twice \
             on one level",
            options.max_keys,
            options.fields.len()
        );
    }
    Ok(())
}

/// A map with distinct names. Half of its values are maps again while there are levels left, so
/// that both deep and flat records come up.
fn map(random: &mut ChaCha8Rng, options: &GenerateOptions, levels: usize) -> Document {
    let count = random.random_range(0..=options.max_keys);
    let chosen = sample(random, options.fields.len(), count);
    let mut map = Map::new();
    for at in chosen {
        let field = &options.fields[at];
        let value = if levels > 0 && random.random_bool(0.5) {
            self::map(random, options, levels - 1)
        } else {
            scalar(random, field.kind, options.max_length)
        };
        map.insert(field.name.clone(), value);
    }
    Document::Map(map)
}

fn scalar(random: &mut ChaCha8Rng, kind: Kind, max_length: usize) -> Document {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    match kind {
        Kind::Int => Document::Int(random.random_range(-1_000_000..=1_000_000)),
        // Two decimals, as prices and measures have.
        Kind::Float => {
            Document::Float(f64::from(random.random_range(-100_000_000..=100_000_000)) / 100.0)
        }
        Kind::String => {
            let length = random.random_range(0..=max_length);
            let letter = |_| char::from(LETTERS[random.random_range(0..LETTERS.len())]);
            Document::String((0..length).map(letter).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> GenerateOptions {
        let field = |name: &str, kind| Field {
            name: name.to_owned(),
            kind,
        };
        GenerateOptions {
            fields: vec![
                field("name", Kind::String),
                field("age", Kind::Int),
                field("height", Kind::Float),
                field("street", Kind::String),
            ],
            lines: 300,
            depth: 3,
            max_keys: 4,
            max_length: 6,
            seed: 7,
            form: Form::Notation,
        }
    }

    fn run(options: &GenerateOptions) -> String {
        let mut out = Vec::new();
        generate(options, &mut out).expect("possible");
        String::from_utf8(out).expect("text")
    }

    fn depth(document: &Document) -> usize {
        match document {
            Document::Map(map) => 1 + map.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    #[test]
    fn records_keep_to_the_recipe_and_the_seed() {
        let options = options();
        let text = run(&options);
        assert_eq!(text, run(&options));
        assert_ne!(
            text,
            run(&GenerateOptions {
                seed: 8,
                ..options.clone()
            })
        );
        let mut deepest = 0;
        for (at, line) in text.lines().enumerate() {
            let (key, content) = notation::parse_entry(line, at + 1).expect("the notation");
            assert_eq!(key.to_string(), format!("key{}", at + 1));
            let Content::Document(document) = content else {
                panic!("a document")
            };
            deepest = deepest.max(depth(&document));
        }
        assert_eq!((text.lines().count(), deepest), (300, 4));
    }

    #[test]
    fn both_forms_hold_the_same_records() {
        let ndjson = run(&GenerateOptions {
            form: Form::Ndjson,
            ..options()
        });
        for (notation_line, json_line) in run(&options()).lines().zip(ndjson.lines()) {
            let (_, content) = notation::parse_entry(notation_line, 1).expect("the notation");
            let Document::Map(object) = Document::from_json(json_line.as_bytes()).expect("JSON")
            else {
                panic!("an object")
            };
            assert_eq!(content, Content::Document(object["value"].clone()));
        }
    }

    #[test]
    fn zero_keys_give_empty_values_and_too_many_are_refused() {
        let text = run(&GenerateOptions {
            max_keys: 0,
            lines: 2,
            ..options()
        });
        assert_eq!(text, "\"key1\" : {}\n\"key2\" : {}\n");
        let mut out = Vec::new();
        let error = generate(
            &GenerateOptions {
                max_keys: 5,
                ..options()
            },
            &mut out,
        )
        .unwrap_err();
        assert!(error.to_string().contains("-m 5 needs"), "{error}");
    }
}
