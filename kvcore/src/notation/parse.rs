//! Text to entries. An error has line, column, what was expected and what was found.

use bytes::Bytes;

use crate::{
    document::{Document, Map},
    key::Key,
    limits::{DOCUMENT_DEPTH_MAX, VALUE_BYTES_MAX},
    value::Content,
};

/// Why text is not in the notation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, found {found}")]
pub struct ParseError {
    /// Line, from the first line's number that the caller gave.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What would have been right.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

type Result<T> = std::result::Result<T, ParseError>;

/// Reads `key : content`; `first_line` is the number of the text's first line.
pub fn parse_entry(text: &str, first_line: usize) -> Result<(Key, Content)> {
    let mut parser = Parser::new(text, first_line);
    let key = parser.key()?;
    parser.token(":")?;
    let content = parser.content()?;
    parser.end()?;
    Ok((key, content))
}

/// Reads a content alone.
pub fn parse_content(text: &str, first_line: usize) -> Result<Content> {
    let mut parser = Parser::new(text, first_line);
    let content = parser.content()?;
    parser.end()?;
    Ok(content)
}

/// Reads a key in quotes or hexadecimal; gives the key and the text after it.
pub fn parse_key(text: &str) -> Result<(Key, &str)> {
    let mut parser = Parser::new(text, 1);
    let key = parser.key()?;
    Ok((key, &text[parser.at..]))
}

struct Parser<'a> {
    text: &'a str,
    /// Byte position of the next character.
    at: usize,
    first_line: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, first_line: usize) -> Self {
        Self {
            text,
            at: 0,
            first_line,
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// An error at `at`: line and column are only counted once something is wrong.
    fn error_at(&self, at: usize, expected: impl Into<String>) -> ParseError {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ParseError {
            line: self.first_line + before.matches('\n').count(),
            column: before[line_start..].chars().count() + 1,
            expected: expected.into(),
            found: describe(&self.text[at..]),
        }
    }

    fn error(&self, expected: impl Into<String>) -> ParseError {
        self.error_at(self.at, expected)
    }

    /// Takes a punctuation mark; true when it stood there.
    fn accept(&mut self, token: &str) -> bool {
        self.skip_space();
        let stands = self.rest().starts_with(token);
        if stands {
            self.at += token.len();
        }
        stands
    }

    fn token(&mut self, token: &str) -> Result<()> {
        if self.accept(token) {
            Ok(())
        } else {
            Err(self.error(format!("`{token}`")))
        }
    }

    fn end(&mut self) -> Result<()> {
        self.skip_space();
        if self.rest().is_empty() {
            Ok(())
        } else {
            Err(self.error("the end of the entry"))
        }
    }

    fn key(&mut self) -> Result<Key> {
        self.skip_space();
        let start = self.at;
        let bytes = if self.rest().starts_with("0x") {
            self.hex()?
        } else if self.rest().starts_with('"') {
            self.string()?.into_bytes()
        } else {
            return Err(self.error("a key in quotes"));
        };
        Key::new(bytes)
            .map_err(|error| self.error_at(start, format!("a key within limits ({error})")))
    }

    fn content(&mut self) -> Result<Content> {
        self.skip_space();
        if !self.rest().starts_with("0x") {
            return Ok(Content::Document(self.value(0)?));
        }
        let bytes = Bytes::from(self.hex()?);
        let flags = if self.accept("#") {
            let digits = self.run(|char| char.is_ascii_digit());
            let start = self.at - digits.len();
            digits
                .parse()
                .map_err(|_| self.error_at(start, "flags from 0 to 4294967295"))?
        } else {
            0
        };
        Ok(Content::Raw { flags, bytes })
    }

    /// Takes the longest run of such characters.
    fn run(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|char| !belongs(char)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn hex(&mut self) -> Result<Vec<u8>> {
        let start = self.at;
        self.at += 2;
        let digits = self.run(|char| char.is_ascii_hexdigit()).as_bytes();
        if digits.len() % 2 == 1 {
            return Err(self.error_at(start, "an even number of hexadecimal digits after 0x"));
        }
        if digits.len() / 2 > VALUE_BYTES_MAX {
            return Err(self.error_at(start, format!("at most {VALUE_BYTES_MAX} bytes")));
        }
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => digit - b'0',
            _ => (digit | 0x20) - b'a' + 10,
        };
        Ok(digits
            .chunks_exact(2)
            .map(|pair| nibble(pair[0]) << 4 | nibble(pair[1]))
            .collect())
    }

    fn value(&mut self, depth: usize) -> Result<Document> {
        self.skip_space();
        let opens = self.rest().starts_with(['{', '[']);
        if opens && depth >= DOCUMENT_DEPTH_MAX {
            return Err(self.error(format!("at most {DOCUMENT_DEPTH_MAX} levels of nesting")));
        }
        match self.rest().chars().next() {
            Some('{') => self.map(depth),
            Some('[') => self.list(depth),
            Some('"') => Ok(Document::String(self.string()?)),
            Some('-' | '0'..='9') => self.number(),
            Some('a'..='z') => self.word(),
            _ => Err(self.error("a value")),
        }
    }

    fn map(&mut self, depth: usize) -> Result<Document> {
        self.token("{")?;
        let mut map = Map::new();
        if self.accept("}") {
            return Ok(Document::Map(map));
        }
        loop {
            self.skip_space();
            let start = self.at;
            if !self.rest().starts_with('"') {
                return Err(self.error("a key in quotes"));
            }
            let name = self.string()?;
            if map.contains_key(&name) {
                return Err(self.error_at(start, "a key that did not come before in this map"));
            }
            self.token(":")?;
            let value = self.value(depth + 1)?;
            map.insert(name, value);
            if self.accept("}") {
                return Ok(Document::Map(map));
            }
            if !self.accept(";") {
                return Err(self.error("`;` or `}`"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Document> {
        self.token("[")?;
        let mut list = Vec::new();
        if self.accept("]") {
            return Ok(Document::List(list));
        }
        loop {
            list.push(self.value(depth + 1)?);
            if self.accept("]") {
                return Ok(Document::List(list));
            }
            if !self.accept(";") {
                return Err(self.error("`;` or `]`"));
            }
        }
    }

    fn word(&mut self) -> Result<Document> {
        let start = self.at;
        match self.run(|char| char.is_ascii_alphanumeric()) {
            "true" => Ok(Document::Bool(true)),
            "false" => Ok(Document::Bool(false)),
            "null" => Ok(Document::Null),
            _ => Err(self.error_at(start, "a value (text stands in quotes)")),
        }
    }

    fn number(&mut self) -> Result<Document> {
        let start = self.at;
        let digits =
            self.run(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | '+' | '-'));
        if !is_json_number(digits) {
            return Err(self.error_at(start, "a number"));
        }
        if digits.contains(['.', 'e', 'E']) {
            let number: f64 = digits
                .parse()
                .map_err(|_| self.error_at(start, "a number"))?;
            if !number.is_finite() {
                return Err(self.error_at(start, "a float within double precision"));
            }
            return Ok(Document::Float(number));
        }
        let whole = digits.parse().map(Document::Int);
        whole.map_err(|_| self.error_at(start, "a whole number of 64 bits"))
    }

    /// A JSON string, from its opening to its closing quote.
    fn string(&mut self) -> Result<String> {
        let start = self.at;
        let bytes = self.rest().as_bytes();
        let (mut end, mut has_escapes) = (1, false);
        loop {
            let left = bytes.get(end..).unwrap_or_default();
            let mark = memchr::memchr2(b'"', b'\\', left);
            let plain = &left[..mark.unwrap_or(left.len())];
            // Most text has none: that is found out many bytes at a time.
            if plain.iter().any(|byte| *byte < b' ') {
                let at = plain.iter().position(|byte| *byte < b' ').unwrap_or(0);
                return Err(self.error_at(
                    start + end + at,
                    "text without control characters (write \\n, \\t or \\u0000)",
                ));
            }
            let Some(mark) = mark else {
                return Err(self.error_at(self.text.len(), "a closing quote"));
            };
            end += mark;
            if bytes[end] == b'"' {
                break;
            }
            has_escapes = true;
            end += 2;
        }
        self.at += end + 1;
        let literal = &self.text[start..self.at];
        if !has_escapes {
            return Ok(literal[1..literal.len() - 1].to_owned());
        }
        serde_json::from_str(literal)
            .map_err(|_| self.error_at(start, "a string with JSON escapes only"))
    }
}

/// RFC 8259: `-? (0 | [1-9][0-9]*) ("." [0-9]+)? ([eE] [+-]? [0-9]+)?`
fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

/// The next few characters, for an error.
fn describe(rest: &str) -> String {
    let line = rest.split(['\n', '\r']).next().unwrap_or_default();
    match line.char_indices().nth(16) {
        Some((cut, _)) => format!("`{}…`", &line[..cut]),
        None if rest.is_empty() => "the end".to_owned(),
        None if line.is_empty() => "the end of the line".to_owned(),
        None => format!("`{line}`"),
    }
}
