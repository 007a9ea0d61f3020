//! The key file: `name type` a line.

use std::{collections::HashSet, fs, path::Path};

use anyhow::{Context, Result, bail};

/// A name and what its values are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
}

/// What values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    String,
    /// Whole numbers.
    Int,
    /// Numbers with decimals.
    Float,
}

/// Reads a key file; an error names file and line.
pub fn read(path: &Path) -> Result<Vec<Field>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&path.display().to_string(), &text)
}

fn parse(file: &str, text: &str) -> Result<Vec<Field>> {
    let (mut fields, mut names) = (Vec::new(), HashSet::new());
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        let words: Vec<_> = line.split_whitespace().collect();
        let (name, kind) = match words[..] {
            [] => continue,
            [name, kind] => (name, kind),
            _ => bail!(
                "{file}:{number}: expected `name type`, found `{}`",
                line.trim()
            ),
        };
        let kind = match kind {
            "string" => Kind::String,
            "int" => Kind::Int,
            "float" => Kind::Float,
            other => bail!("{file}:{number}: a type is string, int or float, not `{other}`"),
        };
        if !names.insert(name) {
            bail!("{file}:{number}: the name `{name}` comes twice");
        }
        fields.push(Field {
            name: name.to_owned(),
            kind,
        });
    }
    if fields.is_empty() {
        bail!("{file}: no names in it; a line is `name type`");
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_name_and_type_and_mistakes_are_located() {
        let fields = parse("f", "name string\r\n\nage int\nheight float").expect("valid");
        assert_eq!(fields.len(), 3);
        assert_eq!(
            fields[1],
            Field {
                name: "age".to_owned(),
                kind: Kind::Int
            }
        );
        let refuse = |text| parse("keys.txt", text).unwrap_err().to_string();
        assert!(refuse("name").starts_with("keys.txt:1: expected `name type`"));
        assert!(refuse("a int\nb date").starts_with("keys.txt:2: a type is"));
        assert!(refuse("a int\na int").contains("comes twice"));
        assert!(refuse("").contains("no names"));
    }
}
