//! `get`, `put`, `delete`, `query`: JSON on standard output, remarks elsewhere, exit codes.

use crate::cluster::Cluster;

#[test]
fn exit_codes_tell_found_from_not_found() {
    let cluster = Cluster::up(&["--servers", "3"]);
    let said = cluster
        .kvctl(&[
            "put",
            "person1",
            r#"{"name":"John","address":{"number":12}}"#,
        ])
        .ok();
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
    let said = cluster.kvctl(&["get", "person1"]).ok();
    assert_eq!(
        said.out,
        "{\"name\":\"John\",\"address\":{\"number\":12}}\n"
    );
    assert_eq!(said.err, "");
    assert_eq!(
        cluster.kvctl(&["query", "person1.address.number"]).ok().out,
        "12\n"
    );
    assert_eq!(cluster.kvctl(&["query", "person1"]).ok().out, said.out);
    for missing in [
        ["get", "nobody"],
        ["query", "person1.age"],
        ["query", "nobody.age"],
    ] {
        let said = cluster.kvctl(&missing).code(1);
        assert_eq!(
            (said.out.as_str(), said.err.as_str()),
            ("", "NOT FOUND\n"),
            "{missing:?}"
        );
    }
    cluster.kvctl(&["delete", "person1"]).ok();
    cluster
        .kvctl(&["delete", "person1"])
        .code(1)
        .remarks("NOT FOUND");
    cluster.kvctl(&["get", "person1"]).code(1);
}

#[test]
fn a_key_is_taken_as_it_stands() {
    let cluster = Cluster::up(&["--servers", "3"]);
    let keys = [
        "python3.11",
        "two words",
        " before",
        "after ",
        "  ",
        "\t",
        "say \"hi\"",
        "it's",
        "\\",
        "a\\.b",
        "\"quoted\"",
        "0x61",
        "61",
        "a : b",
        "αβγ",
        "日本",
        "🦀",
        "line\nbreak",
        "\r\n",
        "# note",
        "{}",
        "AVAILABLE x",
        "-",
        "a,b;c",
    ];
    for (number, key) in keys.iter().enumerate() {
        cluster.kvctl(&["put", key, &number.to_string()]).ok();
    }
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(
            cluster.kvctl(&["get", key]).ok().out,
            format!("{number}\n"),
            "{key:?}"
        );
        // In a path dots and backslashes are escaped, nothing else.
        let path = key.replace('\\', r"\\").replace('.', r"\.");
        assert_eq!(
            cluster.kvctl(&["query", &path]).ok().out,
            format!("{number}\n"),
            "{key:?}"
        );
    }
    let mut sorted: Vec<_> = keys.to_vec();
    sorted.sort_unstable();
    let scanned = cluster.scan();
    let scanned = scanned.iter().map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
        entry["key"].as_str().expect("text").to_owned()
    });
    assert_eq!(scanned.collect::<Vec<_>>(), sorted);
    for key in keys {
        cluster.kvctl(&["delete", key]).ok();
    }
    assert!(cluster.kvctl(&["scan"]).code(1).out.is_empty());
    // What begins like an option stands behind `--`.
    cluster.kvctl(&["put", "--", "--help", "1"]).ok();
    assert_eq!(cluster.kvctl(&["get", "--", "--help"]).ok().out, "1\n");
}

#[test]
fn keys_that_are_none_are_refused_before_anything_is_sent() {
    let cluster = Cluster::up(&["--servers", "1"]);
    let long = "k".repeat(1025);
    for command in [
        &["get", &long][..],
        &["put", &long, "1"],
        &["delete", &long],
    ] {
        let said = cluster.kvctl(command).code(2);
        said.remarks("a key has at most 1024 bytes, this one has 1025");
    }
    let longest = "k".repeat(1024);
    cluster.kvctl(&["put", &longest, "1"]).ok();
    assert_eq!(cluster.kvctl(&["get", &longest]).ok().out, "1\n");
    cluster
        .kvctl(&["get", ""])
        .code(2)
        .remarks("a key has at least 1 byte");
}

#[test]
fn hints_are_commands_that_work_in_a_shell() {
    let cluster = Cluster::up(&["--servers", "3"]);
    cluster
        .kvctl(&["put", "python3.11", r#"{"Depends":{"libc6.1":"x"}}"#])
        .ok();
    let said = cluster.kvctl(&["query", "python3.11.Depends"]).code(1);
    said.remarks(r"kvctl query 'python3\.11.Depends'");
    let said = cluster
        .kvctl(&["query", r"python3\.11.Depends.libc6.1"])
        .code(1);
    said.remarks(r"kvctl query 'python3\.11.Depends.libc6\.1'");
    let said = cluster
        .kvctl(&["query", r"python3\.11.Depends.libc6\.1"])
        .ok();
    assert_eq!(said.out, "\"x\"\n");
    let said = cluster.kvctl(&["get", r"python3\.11"]).code(1);
    said.remarks("kvctl get 'python3.11'");
    cluster
        .kvctl(&["query", r"a\b"])
        .code(2)
        .remarks("column 2");
    cluster
        .kvctl(&["query", ""])
        .code(2)
        .remarks("a key has at least 1 byte");
}
