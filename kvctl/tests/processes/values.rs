//! What values may be, and what is said of those that may not.

use crate::cluster::Cluster;

const MIB: usize = 1024 * 1024;

#[test]
fn every_json_value_comes_back_as_it_was() {
    let cluster = Cluster::up(&["--servers", "3"]);
    for value in [
        "1",
        "-5",
        "0.5",
        "-1.5e300",
        "9223372036854775807",
        "-9223372036854775808",
        "true",
        "null",
        "\"text\"",
        "\"\"",
        "[]",
        "{}",
        r#"{"":{"a.b":[1,[2,{"c":null}]]}}"#,
        r#""\"\\\n\u0000é日🦀""#,
        r#"{"z":1,"a":2}"#,
    ] {
        cluster.kvctl(&["put", "k", value]).ok();
        let said = cluster.kvctl(&["get", "k"]).ok();
        let back: serde_json::Value = said.json();
        let expected: serde_json::Value = serde_json::from_str(value).expect("JSON");
        assert_eq!(back, expected, "{value}");
        assert!(
            said.out.ends_with('\n') && said.lines().len() == 1,
            "{value}"
        );
    }
    cluster
        .kvctl(&["put", "k", "-"])
        .input("{\"from\": \"a pipe\"}\n")
        .ok();
    assert_eq!(
        cluster.kvctl(&["get", "k"]).ok().out,
        "{\"from\":\"a pipe\"}\n"
    );
}

#[test]
fn what_is_no_value_is_refused_with_a_way_out() {
    let cluster = Cluster::up(&["--servers", "1"]);
    cluster.kvctl(&["put", "k", "1"]).ok();
    let bomb = "[".repeat(200) + &"]".repeat(200);
    for (value, expected) in [
        (
            "hello",
            "the value is not JSON (text stands in quotes: '\"text\"'; --raw stores it as it is)",
        ),
        ("", "the value is not JSON"),
        ("NaN", "the value is not JSON"),
        ("{\"a\":NaN}", "line 1 column"),
        ("1 2", "trailing characters"),
        ("{\"a\":1,\"a\":2}", "\"a\""),
        ("1e999", "out of range"),
        (&bomb, "128"),
    ] {
        cluster
            .kvctl(&["put", "k", value])
            .code(2)
            .remarks(expected);
    }
    assert_eq!(cluster.kvctl(&["get", "k"]).ok().out, "1\n");
}

#[test]
fn raw_bytes_are_kept_as_they_are() {
    let cluster = Cluster::up(&["--servers", "3"]);
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    for bytes in [bytes, b"plain\n".to_vec(), Vec::new()] {
        cluster
            .kvctl(&["put", "r", "--raw", "-"])
            .input(bytes.clone())
            .ok();
        assert_eq!(cluster.kvctl(&["get", "r", "--raw"]).ok().bytes, bytes);
    }
    cluster.kvctl(&["put", "--raw", "r", "hello"]).ok();
    let said = cluster.kvctl(&["get", "r"]).ok();
    assert_eq!(said.out, "\"hello\"\n");
    said.remarks("a raw value of 5 bytes").remarks("--raw");
    cluster
        .kvctl(&["put", "--raw", "r", "-"])
        .input([0xff, 0])
        .ok();
    assert_eq!(cluster.kvctl(&["get", "r"]).ok().out, "\"0xff00\"\n");
    let said = cluster.kvctl(&["query", "r.a"]).code(1);
    said.remarks("raw bytes, not a document");
}

#[test]
fn large_values_go_through_up_to_the_limit() {
    let cluster = Cluster::up(&["--servers", "3", "--copies", "2", "--sync", "never"]);
    let document = format!("{{\"text\":\"{}\"}}", "x".repeat(8 * MIB));
    cluster
        .kvctl(&["put", "document", "-"])
        .input(document.clone())
        .ok();
    assert!(cluster.kvctl(&["get", "document"]).ok().out.trim_end() == document);
    let pattern: Vec<u8> = (0..=250).collect();
    let largest: Vec<u8> = pattern.iter().copied().cycle().take(64 * MIB).collect();
    cluster
        .kvctl(&["put", "raw", "--raw", "-"])
        .input(largest.clone())
        .ok();
    assert!(cluster.kvctl(&["get", "raw", "--raw"]).ok().bytes == largest);
    let limit = "a value has at most 67108864 bytes in its stored form, this one has";
    let more = vec![7; 64 * MIB + 1];
    cluster
        .kvctl(&["put", "more", "--raw", "-"])
        .input(more)
        .code(2)
        .remarks(limit);
    let more = format!("\"{}\"", "x".repeat(64 * MIB));
    cluster
        .kvctl(&["put", "more", "-"])
        .input(more)
        .code(2)
        .remarks(limit);
    cluster.kvctl(&["get", "more"]).code(1);
}
