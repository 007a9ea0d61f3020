//! Lines and what they are read as.

use proptest::prelude::*;

use super::*;

/// The command as text, or the error's.
fn read(line: impl AsRef<[u8]>) -> String {
    let of = |demand: &Option<Demand>| match demand {
        None => "",
        Some(Demand::Available) => "available ",
        Some(Demand::Quorum) => "quorum ",
    };
    match Command::parse(line.as_ref()) {
        Ok(Command::Get { key, demand }) => format!("{}get {key}", of(&demand)),
        Ok(Command::Query { path, demand, .. }) => {
            format!("{}query {} {:?}", of(&demand), path.key(), path.steps())
        }
        Ok(Command::Put { key, content }) => {
            format!("put {key} = {}", notation::print_content(&content))
        }
        Ok(Command::Add { key, content }) => {
            format!("add {key} = {}", notation::print_content(&content))
        }
        Ok(Command::Delete { key }) => format!("delete {key}"),
        Ok(Command::Scan { plan, demand }) => {
            let after = plan.after.map(|key| key.to_string());
            let prefix = plan.prefix.escape_ascii();
            format!("{}scan {prefix} {} {after:?}", of(&demand), plan.limit)
        }
        Ok(Command::Help) => "help".to_owned(),
        Err(error) => format!("! {error}"),
    }
}

#[test]
fn keys_are_quoted_hexadecimal_or_raw() {
    for (line, expected) in [
        ("GET a", "get a"),
        ("  get \t a b  ", "get a b"),
        ("GET \"a\\u0041 \\\"\"", "get aA \""),
        ("GET 0x6142", "get aB"),
        ("GET 0x614", "get 0x614"),
        ("GET 0x", "get 0x"),
        ("GET 0x61 62", "get 0x61 62"),
        ("GET 0xzz", "get 0xzz"),
        (r"GET python3\.11", r"get python3\.11"),
        ("AVAILABLE get a", "available get a"),
        ("Quorum GET a", "quorum get a"),
        ("DELETE \"\\\\\"", r"delete \"),
        ("GET", "! no key: GET key"),
        (
            "GET \"a",
            "! column 7: expected a closing quote, found the end",
        ),
        (
            "GET \"a\" b",
            "! column 9: expected the end of the line after the key, found `b`",
        ),
        (
            "GET \"\"",
            "! column 5: expected a key within limits (a key has at least 1 byte, this one is empty), found `\"\"`",
        ),
        (
            "AVAILABLE DELETE a",
            "! AVAILABLE and QUORUM stand before GET, QUERY or SCAN",
        ),
        (
            "QUORUM",
            "! AVAILABLE and QUORUM stand before GET, QUERY or SCAN",
        ),
        ("", "! an empty line is no command"),
        ("HELP", "help"),
        ("HELP me", "! HELP stands alone"),
    ] {
        assert_eq!(read(line), expected, "{line}");
    }
    assert_eq!(read(b"GET \xFF"), r"get \xff");
    let long = format!("GET {}", "a".repeat(1025));
    assert_eq!(
        read(long),
        "! a key has at most 1024 bytes, this one has 1025"
    );
}

#[test]
fn entries_split_at_the_right_colon() {
    for (line, expected) in [
        ("PUT a : 1", "put a = 1"),
        ("PUT a:1", "put a = 1"),
        ("PUT a:b : 1", "put a:b = 1"),
        (
            "PUT a b  :  { \"x : y\" : 2 }",
            "put a b = { \"x : y\" : 2 }",
        ),
        ("PUT \"a : b\" : 1", "put a : b = 1"),
        ("PUT \"a\":1", "put a = 1"),
        ("ADD 0x61 : 0xff00#9", "add a = 0xff00#9"),
        ("ADD 0x61:\"v\"", "add a = \"v\""),
        (
            "PUT a",
            "! column 6: no colon after the key: PUT key : value",
        ),
        (
            "PUT \"a\" 1",
            "! column 9: no colon after the key: PUT key : value",
        ),
        ("PUT", "! no key: PUT key : value"),
        ("PUT : 1", "! a key has at least 1 byte, this one is empty"),
        ("PUT a :", "! no value: PUT key : value"),
        (
            "PUT a : x",
            "! column 9: expected a value (text stands in quotes), found `x`",
        ),
        (
            "ADD a : { \"b\" 1 }",
            "! column 15: expected `:`, found `1 }`",
        ),
        (
            "PUT a : 1 2",
            "! column 11: expected the end of the entry, found `2`",
        ),
    ] {
        assert_eq!(read(line), expected, "{line}");
    }
}

#[test]
fn paths_and_scans() {
    for (line, expected) in [
        (
            r"QUERY python3\.11.Depends",
            r#"query python3.11 ["Depends"]"#,
        ),
        ("QUORUM QUERY a b..0", r#"quorum query a b ["", "0"]"#),
        ("QUERY", "! no path: QUERY key.name.name"),
        (r#"QUERY " a.b ""#, r#"query  a ["b "]"#),
        (r#"QUERY "a\n\\.b.\"c\"""#, "query a\\n.b [\"\\\"c\\\"\"]"),
        (
            r#"QUERY "a".b"#,
            "! column 7: a path in quotes is one string with JSON escapes (trailing characters at \
             line 1 column 4)",
        ),
        (
            "QUERY .a",
            "! the path's first segment: a key has at least 1 byte, this one is empty",
        ),
        (
            r"QUERY a\b",
            "! column 2: a backslash stands before a dot or another backslash, here before 'b'",
        ),
        ("SCAN \"\"", "scan  100 None"),
        ("SCAN a 5", "scan a 5 None"),
        (
            "SCAN \"a b\" 1024 AFTER a b c",
            "scan a b 1024 Some(\"a b c\")",
        ),
        ("SCAN 0x61 after \"a\"", "scan a 100 Some(\"a\")"),
        ("AVAILABLE SCAN a", "available scan a 100 None"),
        (
            "SCAN",
            "! no prefix: SCAN prefix [limit] [AFTER key]; SCAN \"\" is all keys",
        ),
        ("SCAN a 0", "! a limit goes from 1 to 1024, not `0`"),
        ("SCAN a 1025", "! a limit goes from 1 to 1024, not `1025`"),
        (
            "SCAN a b",
            "! column 8: expected a limit or AFTER, found `b`: SCAN prefix [limit] [AFTER key]; SCAN \"\" is all keys",
        ),
        (
            "SCAN a AFTER",
            "! no key: SCAN prefix [limit] [AFTER key]; SCAN \"\" is all keys",
        ),
    ] {
        assert_eq!(read(line), expected, "{line}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        word in prop::sample::select(vec!["GET ", "PUT ", "SCAN ", "QUERY ", "AVAILABLE ", "ADD \"", ""]),
        rest in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let line = [word.as_bytes(), &rest].concat();
        let _ = Command::parse(&line);
    }

    #[test]
    fn printed_keys_read_back(bytes in prop::collection::vec(any::<u8>(), 1..20)) {
        let key = Key::new(bytes).expect("short");
        let line = format!("GET {}", notation::print_key(&key));
        match Command::parse(line.as_bytes()) {
            Ok(Command::Get { key: read, .. }) => prop_assert_eq!(read, key),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
