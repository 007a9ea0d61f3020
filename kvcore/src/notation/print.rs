//! Entries to text, on one line.

use std::fmt::Write;

use crate::{document::Document, key::Key, value::Content};

/// `key : content`
pub fn print_entry(key: &Key, content: &Content) -> String {
    let mut out = print_key(key);
    out.push_str(" : ");
    write_content(&mut out, content);
    out
}

/// A key in quotes, or in hexadecimal where it is not UTF-8.
pub fn print_key(key: &Key) -> String {
    let mut out = String::new();
    match std::str::from_utf8(key.as_bytes()) {
        Ok(text) => write_string(&mut out, text),
        Err(_) => write_hex(&mut out, key.as_bytes()),
    }
    out
}

/// A content alone.
pub fn print_content(content: &Content) -> String {
    let mut out = String::new();
    write_content(&mut out, content);
    out
}

/// A document alone.
pub fn print_document(document: &Document) -> String {
    let mut out = String::new();
    write_document(&mut out, document);
    out
}

fn write_content(out: &mut String, content: &Content) {
    match content {
        Content::Document(document) => write_document(out, document),
        Content::Raw { flags, bytes } => {
            write_hex(out, bytes);
            if *flags != 0 {
                write!(out, "#{flags}").expect("a string takes everything");
            }
        }
    }
}

fn write_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 + 2 * bytes.len());
    out.push_str("0x");
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn write_string(out: &mut String, text: &str) {
    let bytes = text.as_bytes();
    let is_plain = memchr::memchr2(b'"', b'\\', bytes).is_none();
    // Most text is, which is found out many bytes at a time.
    if is_plain && !bytes.iter().any(|byte| *byte < b' ') {
        out.reserve(text.len() + 2);
        out.push('"');
        out.push_str(text);
        out.push('"');
        return;
    }
    out.push_str(&serde_json::to_string(text).expect("every string is JSON"));
}

/// Depth is limited, so recursion is.
fn write_document(out: &mut String, document: &Document) {
    match document {
        Document::Null => out.push_str("null"),
        Document::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Document::Int(number) => write!(out, "{number}").expect("a string takes everything"),
        // The debug form is the shortest that reads back the same, and always has a point or an
        // exponent.
        Document::Float(number) => write!(out, "{number:?}").expect("a string takes everything"),
        Document::String(text) => write_string(out, text),
        Document::List(items) => {
            write_items(out, ['[', ']'], items, |out, item| {
                write_document(out, item);
            });
        }
        Document::Map(map) => write_items(out, ['{', '}'], map, |out, (name, value)| {
            write_string(out, name);
            out.push_str(" : ");
            write_document(out, value);
        }),
    }
}

fn write_items<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut String, T),
) {
    out.push(open);
    let mut separator = " ";
    for item in items {
        out.push_str(separator);
        write(out, item);
        separator = " ; ";
    }
    if separator != " " {
        out.push(' ');
    }
    out.push(close);
}
