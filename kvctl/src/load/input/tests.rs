//! Lines and what they are read as.

use std::io::Write;

use super::*;

fn lines(text: &[u8], key_field: Option<&str>) -> Vec<Line> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text).expect("written");
    let mut input = Input::open(Some(file.path()), key_field.map(str::to_owned)).expect("readable");
    std::iter::from_fn(|| input.next_line().expect("readable")).collect()
}

fn keys(lines: &[Line]) -> Vec<String> {
    let record = |line: &Line| match line {
        Line::Record(record) => record.key.to_string(),
        Line::Blank { .. } => "-".to_owned(),
        Line::Bad { number, reason, .. } => format!("{number}: {reason}"),
    };
    lines.iter().map(record).collect()
}

#[test]
fn notation_and_ndjson_are_told_apart_line_by_line() {
    let text = b"\"a\" : { \"x\" : 1 }\r\n\r\n{\"key\": \"b\", \"value\": [1]}\n\"c\" : 2";
    assert_eq!(keys(&lines(text, None)), ["a", "-", "b", "c"]);
    let text = b"{\"Package\": \"bash\", \"Size\": 1}";
    let lines = lines(text, Some("Package"));
    let Line::Record(record) = &lines[0] else {
        panic!("{lines:?}")
    };
    assert_eq!(record.key.as_bytes(), b"bash");
    assert_eq!(
        record.end,
        Mark {
            offset: text.len() as u64,
            lines: 1
        }
    );
}

#[test]
fn bad_lines_say_why_and_harm_no_other() {
    let text = b"\"a\" : 1\n\"b\" 2\n{\"key\":1}\n{\"value\":1}\n{bad\n\xFF\n\"c\" : 3\n";
    let said = keys(&lines(text, None));
    assert_eq!((said[0].as_str(), said[6].as_str()), ("a", "c"));
    assert!(said[1].contains("2: column 5: expected `:`"), "{}", said[1]);
    assert!(said[2].contains("no field \"value\""));
    assert!(said[3].contains("no field \"key\""));
    assert!(
        said[4].starts_with("5: key must be a string"),
        "{}",
        said[4]
    );
    assert!(said[5].contains("not UTF-8"));
    assert!(lines(b"", None).is_empty());
}
#[test]
fn a_line_beyond_the_limit_is_skipped_without_being_held() {
    let long = format!("\"long\" : \"{}\"", "x".repeat(100_000));
    let text = format!("\"a\" : 1\n{long}\n\"b\" : 2\n{long}");
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    let mut input = Input::open(Some(file.path()), None).expect("readable");
    input.line_bytes_max = 1000;
    let lines: Vec<_> = std::iter::from_fn(|| input.next_line().expect("readable")).collect();
    let said = keys(&lines);
    let too_long = |number: u64, bytes| {
        format!("{number}: a line has at most 1000 bytes, this one has {bytes}")
    };
    assert_eq!(
        said,
        [
            "a",
            &too_long(2, long.len() + 1),
            "b",
            &too_long(4, long.len())
        ]
    );
    assert_eq!(input.offset(), text.len() as u64);
    for line in lines {
        if let Line::Bad { text, .. } = line {
            assert!(
                text.len() <= 200 && text.capacity() <= 2048,
                "{}",
                text.capacity()
            );
        }
    }
}

#[test]
fn comments_and_a_byte_order_mark_do_not_count() {
    let text = b"\xEF\xBB\xBF\"a\" : 1\n# \"b\" : 2\n  # note\n\"c#\" : 3";
    assert_eq!(keys(&lines(text, None)), ["a", "-", "-", "c#"]);
}
