//! `scan`: in order, in pages, to whoever wants no more.

use std::{fmt::Write, process::Stdio};

use crate::cluster::Cluster;

#[test]
fn keys_come_in_order_over_many_pages() {
    let cluster = Cluster::up(&["--servers", "3", "--sync", "never"]);
    let mut text = String::new();
    let padding = "x".repeat(200);
    for number in 0..1000 {
        let _ = writeln!(
            text,
            "{{\"key\":\"k{number}\",\"value\":[{number},\"{padding}\"]}}"
        );
    }
    let file = cluster.file("records.ndjson", &text);
    cluster
        .kvctl(&["load", file.to_str().expect("text")])
        .ok()
        .remarks("1000 stored");
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable_by_key(|line| line.split('"').nth(3));
    let all = cluster.scan();
    assert!(all == lines);
    let scan = |arguments: &[&str]| {
        let said = cluster.kvctl(&[&["scan"], arguments].concat()).ok();
        said.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(scan(&["--limit", "5"]) == all[..5]);
    assert!(scan(&["--limit", "201"]) == all[..201]);
    assert!(
        scan(&["--after", "k1"]) == all[2..],
        "k1 itself is left out"
    );
    assert!(scan(&["--after", "k500", "--limit", "300"]).len() == 300);
    let prefixed: Vec<_> = all
        .iter()
        .filter(|line| line.starts_with("{\"key\":\"k99"))
        .collect();
    assert!(scan(&["k99"]).iter().eq(prefixed));
    assert!(scan(&["k99", "--after", "k990", "--limit", "2"]).len() == 2);
    assert!(scan(&["--available", "k1"]).len() == 112 - 1);
    let said = cluster.kvctl(&["scan", "nothing"]).code(1);
    assert_eq!(said.out, "");
    assert_eq!(cluster.kvctl(&["scan", "--limit", "0"]).run().out, "");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let cluster = Cluster::up(&["--servers", "1", "--sync", "never"]);
    let value = format!("\"{}\"", "x".repeat(1024 * 1024));
    cluster.kvctl(&["put", "k", "-"]).input(value).ok();
    let data = cluster.data();
    let piped = |arguments: &[&str]| {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_kvctl"))
            .args(arguments)
            .env("KVASIR_DATA_DIR", &data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        child.wait_with_output().expect("it ends")
    };
    for arguments in [
        &["scan"][..],
        &["get", "k"],
        &["status"],
        &["completions", "bash"],
    ] {
        let output = piped(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{arguments:?}: {said}"
        );
    }
}
