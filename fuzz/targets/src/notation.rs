//! The notation, and the two other forms of a document: what is read prints as what reads the same.

use kvcore::{
    document::Document,
    notation::{
        ParseError, parse_content, parse_entry, parse_key, print_content, print_document,
        print_entry, print_key,
    },
    value::{Content, Value},
};

use crate::input::Input;

/// Bytes of one input: beyond that only time passes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Where a text begins, in lines.
const FIRST_LINE: usize = 3;

/// Any bytes are refused with a place, or read; what was read survives being printed.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let bytes = input.stretched(TEXT_BYTES_MAX);
    if let Ok(document) = Document::from_message_pack(&bytes) {
        document_is_kept(&document);
    }
    if let Ok(document) = Document::from_json(&bytes) {
        document_is_kept(&document);
    }
    let Ok(text) = str::from_utf8(&bytes) else {
        return;
    };
    match parse_entry(text, FIRST_LINE) {
        Ok((key, content)) => {
            let printed = print_entry(&key, &content);
            let (again, same) = parse_entry(&printed, 1).expect("it was just printed");
            assert_eq!((&again, &same), (&key, &content));
            assert_eq!(print_entry(&again, &same), printed);
            content_is_kept(&content);
        }
        Err(error) => is_within(&error, text),
    }
    match parse_content(text, FIRST_LINE) {
        Ok(content) => content_is_kept(&content),
        Err(error) => is_within(&error, text),
    }
    if let Ok((key, rest)) = parse_key(text) {
        assert!(text.ends_with(rest), "the rest is not the text's");
        let printed = print_key(&key);
        assert_eq!(parse_key(&printed), Ok((key, "")));
    }
}

fn is_within(error: &ParseError, text: &str) {
    let lines = text.split('\n').count();
    assert!(
        (FIRST_LINE..FIRST_LINE + lines).contains(&error.line),
        "{error}"
    );
    let line = text.split('\n').nth(error.line - FIRST_LINE);
    let columns = line.map_or(0, |line| line.chars().count()) + 1;
    assert!((1..=columns).contains(&error.column), "{error}");
}

fn content_is_kept(content: &Content) {
    let printed = print_content(content);
    assert_eq!(parse_content(&printed, 1).as_ref(), Ok(content));
    assert!(!printed.contains('\n'), "an entry is one line");
    if let Content::Document(document) = content {
        document_is_kept(document);
    }
    let value = Value {
        content: content.clone(),
        expires_at: None,
    };
    let (meta, bytes) = value.to_stored().expect("small");
    assert_eq!(Value::from_stored(&meta, bytes), Ok(value));
}

fn document_is_kept(document: &Document) {
    assert_eq!(document.check(), Ok(()));
    let printed = print_document(document);
    let content = parse_content(&printed, 1).expect("it was just printed");
    assert_eq!(print_content(&content), printed);
    assert_eq!(content, Content::Document(document.clone()));
    let json = document.to_json();
    assert_eq!(Document::from_json(json.as_bytes()).as_ref(), Ok(document));
    let packed = document.to_message_pack();
    assert_eq!(Document::from_message_pack(&packed).as_ref(), Ok(document));
}
