//! The papers' own examples, and that printing and parsing agree.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{document::tests::documents, key::Key, value::Content};

const PERSON: &str = r#""person1" : { "name" : "John" ; "address" : { "street" : "Panepistimiou" ; "number" : 12 } }"#;

#[test]
fn the_papers_example_reads_and_prints_the_same() {
    let (key, content) = parse_entry(PERSON, 1).expect("the papers' own");
    assert_eq!(key.as_bytes(), b"person1");
    assert_eq!(print_entry(&key, &content), PERSON);
    let dense = PERSON.replace(' ', "");
    assert_eq!(
        parse_entry(&dense, 1).expect("space does not count").1,
        content
    );
}

#[test]
fn every_kind_of_value_has_a_form() {
    let text = r#""k" : { "a" : {} ; "b" : [] ; "c" : [ 1 ; -2.5 ; 1e300 ; true ; false ; null ; "\u0000;}" ] }"#;
    let (key, content) = parse_entry(text, 1).expect("valid");
    assert_eq!(print_entry(&key, &content), text);
    let text = "0xff00 : 0x6869#7";
    let (key, content) = parse_entry(text, 1).expect("valid");
    assert_eq!(
        content,
        Content::Raw {
            flags: 7,
            bytes: Bytes::from_static(b"hi")
        }
    );
    assert_eq!(print_entry(&key, &content), text);
}

#[test]
fn errors_say_where_what_was_expected_and_what_was_found() {
    let refuse = |text: &str| parse_entry(text, 5).unwrap_err().to_string();
    assert_eq!(
        refuse(r#""k" : { "a" : 1 , "b" : 2 }"#),
        "line 5, column 17: expected `;` or `}`, found `, \"b\" : 2 }`"
    );
    assert_eq!(
        refuse(r#""k"  { }"#),
        "line 5, column 6: expected `:`, found `{ }`"
    );
    assert_eq!(
        refuse("k : 1"),
        "line 5, column 1: expected a key in quotes, found `k : 1`"
    );
    assert_eq!(
        refuse("\"k\" :\n{ \"a\" : }"),
        "line 6, column 9: expected a value, found `}`"
    );
    assert_eq!(
        refuse(r#""k" : "abc"#),
        "line 5, column 11: expected a closing quote, found the end"
    );
    assert!(refuse(r#""k" : 1 2"#).contains("expected the end of the entry, found `2`"));
    assert!(
        refuse(r#""k" : { "a" : 1 ; "a" : 2 }"#).contains("column 19: expected a key that did not")
    );
    assert!(refuse(r#""k" : 99999999999999999999"#).contains("whole number of 64 bits"));
    assert!(refuse(r#""k" : 1e999"#).contains("double precision"));
    assert!(refuse(r#""k" : NaN"#).contains("expected a value"));
    assert!(refuse(r#""k" : 01"#).contains("expected a number"));
    assert!(refuse(r#""k" : yes"#).contains("text stands in quotes"));
    assert!(refuse(r#""" : 1"#).contains("a key within limits"));
    assert!(refuse("\"k\" : 0x123").contains("even number"));
    assert!(refuse("").contains("found the end"));
}

#[test]
fn depth_is_limited() {
    let nested = |levels| format!("\"k\" : {}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse_entry(&nested(128), 1).is_ok());
    for levels in [129, 1_000_000] {
        let error = parse_entry(&nested(levels), 1).unwrap_err().to_string();
        assert!(
            error.contains("column 135: expected at most 128 levels"),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn printing_then_parsing_is_the_identity(
        key in prop::collection::vec(any::<u8>(), 1..20), document in documents()) {
        let key = Key::new(key).expect("short");
        let content = Content::Document(document);
        prop_assert_eq!(parse_entry(&print_entry(&key, &content), 1), Ok((key, content)));
    }

    #[test]
    fn raw_values_round_trip(bytes in prop::collection::vec(any::<u8>(), 0..50), flags in any::<u32>()) {
        let content = Content::Raw { flags, bytes: bytes.into() };
        prop_assert_eq!(parse_content(&print_content(&content), 1), Ok(content));
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        let _ = parse_entry(&text, 1);
    }

    /// Text that looks like the notation, so that the parser is taken deeper.
    #[test]
    fn near_misses_are_parsed_or_refused(text in "[\"{}:; 0-9a\\[\\]\\\\.#xue+-]{0,40}") {
        let _ = parse_entry(&format!("\"k\" : {text}"), 1);
    }
}
