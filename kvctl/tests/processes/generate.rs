//! Generated records, and that a cluster gives back what was generated.

use std::collections::BTreeMap;

use crate::{call::Call, cluster::Cluster};

const KEYS: &str = "name string\nstreet string\nage int\nlevel int\nheight float\n";

#[test]
fn generated_records_come_back_equal() {
    let cluster = Cluster::up(&["--servers", "3", "--sync", "never"]);
    cluster.file("keys.txt", KEYS);
    let recipe = [
        "generate", "-k", "keys.txt", "-n", "2000", "-d", "3", "-m", "5", "-l", "10", "--seed", "7",
    ];
    let notation = cluster.kvctl(&recipe).ok().bytes;
    assert!(
        notation == cluster.kvctl(&recipe).ok().bytes,
        "the same seed, the same records"
    );
    let ndjson = cluster.kvctl(&[&recipe[..], &["--ndjson"]].concat()).ok();
    cluster
        .kvctl(&["load", "-"])
        .input(notation)
        .ok()
        .remarks("2000 stored");
    let by_key = |lines: Vec<&str>| -> BTreeMap<String, String> {
        let keyed = lines.into_iter().map(|line| {
            let key = line.split('"').nth(3).expect("a key");
            (key.to_owned(), line.to_owned())
        });
        keyed.collect()
    };
    let expected = by_key(ndjson.lines());
    assert_eq!(expected.len(), 2000);
    let scanned = cluster.kvctl(&["scan"]).ok();
    assert!(by_key(scanned.lines()) == expected);
    // As the other form they are the same records.
    cluster
        .kvctl(&["load", "-"])
        .input(ndjson.bytes)
        .ok()
        .remarks("0 stored, 2000 existed");
}

#[test]
fn without_a_seed_one_is_chosen_and_said_and_bad_requests_are_refused() {
    let cluster = Cluster::new();
    cluster.file("keys.txt", KEYS);
    let small = [
        "generate", "-k", "keys.txt", "-n", "20", "-d", "1", "-m", "2", "-l", "4",
    ];
    let said = cluster.kvctl(&small).ok();
    let seed = said
        .err
        .strip_prefix("seed ")
        .and_then(|rest| rest.split(':').next())
        .expect("said");
    let again = cluster
        .kvctl(&[&small[..], &["--seed", seed]].concat())
        .ok();
    assert_eq!(again.out, said.out);
    let with = |option: &str, value: &str, file: &str| {
        let mut arguments = small.map(str::to_owned);
        let at = arguments
            .iter()
            .position(|argument| argument == option)
            .expect("there");
        arguments[at + 1] = value.to_owned();
        arguments[2] = file.to_owned();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        cluster.kvctl(&arguments)
    };
    with("-m", "9", "keys.txt")
        .code(2)
        .remarks("-m 9 needs as many different names");
    with("-d", "200", "keys.txt")
        .code(2)
        .remarks("-d goes to 127");
    with("-l", "4", "nowhere")
        .code(2)
        .remarks("cannot read nowhere");
    cluster.file("bad.txt", "name text\n");
    with("-l", "4", "bad.txt")
        .code(2)
        .remarks("bad.txt:1: a type is string, int or float");
    let said = with("-m", "0", "keys.txt").ok();
    assert!(
        said.lines().iter().all(|line| line.ends_with(" : {}")),
        "{}",
        said.out
    );
    Call::new(&["generate"]).code(2).remarks("--key-file");
}
