//! `load`: what lines may be, and what becomes of those that are no record.

use std::{fmt::Write, fs};

use crate::{call::Said, cluster::Cluster};

fn load(cluster: &Cluster, arguments: &[&str], code: i32) -> Said {
    cluster.kvctl(&[&["load"], arguments].concat()).code(code)
}

#[test]
fn both_forms_are_told_apart_by_content() {
    let cluster = Cluster::up(&["--servers", "3"]);
    let text = "\u{feff}# people\r\n\"a\" : { \"name\" : \"Ann\" ; \"list\" : [ 1 ; 2 ] }\r\n\r\n\
                {\"key\": \"b\", \"value\": {\"name\": \"Bob\"}}\r\n\"empty\" : {}";
    cluster.file("people.txt", text);
    let said = load(&cluster, &["people.txt"], 0);
    said.remarks("3 stored, 0 existed, 0 rejected, 0 failed");
    assert_eq!(said.out, "");
    assert_eq!(
        cluster.scan(),
        [
            r#"{"key":"a","value":{"name":"Ann","list":[1,2]}}"#,
            r#"{"key":"b","value":{"name":"Bob"}}"#,
            r#"{"key":"empty","value":{}}"#,
        ]
    );
    // The key in a field of its own, a string or a number; the object stays whole.
    let text = "{\"Package\":\"bash\",\"Version\":1}\n{\"Package\":7,\"Version\":2}\n";
    cluster.file("packages.ndjson", text);
    load(&cluster, &["--key", "Package", "packages.ndjson"], 0).remarks("2 stored");
    assert_eq!(cluster.kvctl(&["query", "bash.Version"]).ok().out, "1\n");
    assert_eq!(cluster.kvctl(&["get", "7"]).ok().json()["Package"], 7);
    cluster.file("empty", "");
    load(&cluster, &["empty"], 0).remarks("0 stored, 0 existed, 0 rejected");
    load(&cluster, &["nowhere"], 2).remarks("cannot read nowhere");
    load(&cluster, &["."], 2).remarks("cannot read");
}

#[test]
fn keys_that_exist_are_left_alone_unless_asked() {
    let cluster = Cluster::up(&["--servers", "3"]);
    cluster.kvctl(&["put", "a", "1"]).ok();
    cluster.file("f", "\"a\" : 2\n\"b\" : 2\n");
    load(&cluster, &["f"], 0).remarks("1 stored, 1 existed");
    assert_eq!(cluster.kvctl(&["get", "a"]).ok().out, "1\n");
    load(&cluster, &["f", "--overwrite"], 0).remarks("2 stored, 0 existed");
    assert_eq!(cluster.kvctl(&["get", "a"]).ok().out, "2\n");
    // Standard input, too.
    let piped = cluster
        .kvctl(&["load", "-", "--overwrite"])
        .input("\"a\" : 3\n\"c\" : 3")
        .ok();
    piped.remarks("2 stored");
    assert_eq!(cluster.kvctl(&["get", "a"]).ok().out, "3\n");
}

#[test]
fn broken_lines_are_reported_kept_and_harm_no_other() {
    let cluster = Cluster::up(&["--servers", "3"]);
    let bomb = format!("\"bomb\" : {}1{}", "[ ".repeat(200), " ]".repeat(200));
    let long_key = format!("{{\"key\":\"{}\",\"value\":1}}", "k".repeat(1025));
    let broken = [
        ("\"b\" : { \"x\" 1 }", "column 13: expected `:`"),
        ("\"n\" : NaN", "column 7"),
        ("{\"key\":\"n\",\"value\":NaN}", "column 20"),
        ("\"d\" : { \"x\" : 1 ; \"x\" : 2 }", "x"),
        ("{\"key\":\"d\",\"value\":{\"x\":1,\"x\":2}}", "\"x\""),
        (&bomb, "128"),
        (&long_key, "a key has at most 1024 bytes, this one has 1025"),
        ("\"\" : 1", "at least 1 byte"),
        (
            "{\"value\":1}",
            "no field \"key\" for the key (--key FIELD names another)",
        ),
        ("\"a\" : 1 \"b\" : 2", "column 9"),
    ];
    let mut text = "\"first\" : 1\n".to_owned();
    for (line, _) in broken {
        let number = text.lines().count() + 1;
        let _ = writeln!(text, "{line}\n\"after {number}\" : 1");
    }
    cluster.file("f", &text);
    let said = load(&cluster, &["f"], 1);
    said.remarks("11 stored, 0 existed, 10 rejected, 0 failed");
    said.remarks("lines that were not loaded are in f.rejects");
    for (at, (_, expected)) in broken.iter().enumerate() {
        let begin = format!("line {}: ", 2 * at + 2);
        let line = said
            .err
            .lines()
            .find(|line| line.starts_with(&begin))
            .expect("reported");
        assert!(line.contains(expected), "{line}: {expected}");
    }
    let kept = fs::read_to_string(cluster.home().join("f.rejects")).expect("kept");
    assert!(
        kept.lines().eq(broken.iter().map(|(line, _)| *line)),
        "{kept}"
    );
    assert_eq!(cluster.scan().len(), 11);
    // A reject file is this load's: the next one without bad lines leaves none.
    cluster.file("f", "\"last\" : 1\n");
    load(&cluster, &["f"], 0);
    assert!(!cluster.home().join("f.rejects").exists());
    cluster.file("f", "nonsense\n");
    let said = load(&cluster, &["f", "--rejects", "elsewhere"], 1);
    said.remarks("lines that were not loaded are in elsewhere");
    load(&cluster, &["f", "--rejects", "./f"], 2).remarks("is the input itself");
    assert_eq!(
        fs::read_to_string(cluster.home().join("f")).expect("kept"),
        "nonsense\n"
    );
    let piped = cluster.kvctl(&["load", "-"]).input("nonsense\n").code(1);
    piped.remarks("stdin.rejects");
}

#[test]
fn a_pipe_under_a_name_is_read_like_any_other() {
    let cluster = Cluster::up(&["--servers", "1"]);
    let script = "exec \"$0\" load <(echo '\"a\" : 1'; echo nonsense)";
    let program = env!("CARGO_BIN_EXE_kvctl");
    let output = std::process::Command::new("bash")
        .args(["-c", script, program])
        .env("KVASIR_DATA_DIR", cluster.data())
        .current_dir(cluster.home())
        .output()
        .expect("bash runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("1 stored, 0 existed, 1 rejected") && said.contains("stdin.rejects"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
}
