//! How a key is written on a line; the same rule in every command.

use bytes::Bytes;
use kvcore::{key::Key, notation};

use super::SyntaxError;

/// A key that takes the whole of `token`: quoted, hexadecimal, or else the bytes as they stand.
pub(super) fn key(token: &[u8], column: usize) -> Result<Key, SyntaxError> {
    if token.starts_with(b"\"") {
        let (key, rest) = quoted(token, column)?;
        if let Some(extra) = rest.trim_ascii_start().first() {
            return Err(SyntaxError(format!(
                "column {}: expected the end of the line after the key, found `{}`",
                column + token.len() - rest.trim_ascii_start().len(),
                [*extra].escape_ascii()
            )));
        }
        return Ok(key);
    }
    unquoted(token)
}

/// A key in quotes at the beginning of `text`, and what follows it.
pub(super) fn quoted(text: &[u8], column: usize) -> Result<(Key, &[u8]), SyntaxError> {
    let end = closing_quote(text).map_or(text.len(), |at| at + 1);
    let literal = std::str::from_utf8(&text[..end]).map_err(|error| {
        SyntaxError(format!(
            "column {}: text in quotes is UTF-8; write other bytes as 0x...",
            column + error.valid_up_to()
        ))
    })?;
    let (key, _) = notation::parse_key(literal).map_err(|error| at_column(&error, column))?;
    Ok((key, &text[end..]))
}

/// A key in hexadecimal, or else the bytes as they stand.
pub(super) fn unquoted(token: &[u8]) -> Result<Key, SyntaxError> {
    let key = match hexadecimal(token) {
        Some(bytes) => Key::new(bytes),
        None => Key::copy_from(token),
    };
    key.map_err(|error| SyntaxError(error.to_string()))
}

/// A prefix of keys: like a key, but `""` is the empty one.
pub(super) fn prefix(text: &[u8], column: usize) -> Result<(Bytes, &[u8]), SyntaxError> {
    if let Some(rest) = text.strip_prefix(b"\"\"") {
        return Ok((Bytes::new(), rest));
    }
    if text.starts_with(b"\"") {
        let (key, rest) = quoted(text, column)?;
        return Ok((key.into_bytes(), rest));
    }
    let end = text
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(text.len());
    Ok((unquoted(&text[..end])?.into_bytes(), &text[end..]))
}

/// The notation's error, with the column counted from the line's start.
pub(super) fn at_column(error: &notation::ParseError, column: usize) -> SyntaxError {
    SyntaxError(format!(
        "column {}: expected {}, found {}",
        column + error.column - 1,
        error.expected,
        error.found
    ))
}

/// Position of the quote that ends the string at the beginning of `text`.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// The bytes behind `0x` and an even number of digits, at least two.
fn hexadecimal(token: &[u8]) -> Option<Vec<u8>> {
    let digits = token.strip_prefix(b"0x")?;
    if digits.is_empty() || digits.len() % 2 == 1 {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).ok())
        .collect()
}
