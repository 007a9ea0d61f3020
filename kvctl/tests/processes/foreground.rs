//! `up` that stays: until Ctrl-C, SIGTERM, or `kvctl down` from elsewhere.

use std::time::Duration;

use rustix::process::Signal;

use crate::cluster::Cluster;

/// Processes promise to end within ten seconds of a signal; `up` waits for them.
const STOP_MAX: Duration = Duration::from_secs(12);

fn foreground(cluster: &Cluster, options: &[&str]) -> crate::call::Running {
    let base = cluster.ports.base().to_string();
    let mut arguments = vec!["up", "--port-base", &base];
    arguments.extend(options);
    cluster.kvctl(&arguments).start()
}

#[test]
fn a_signal_stops_everything_and_the_data_stays() {
    let cluster = Cluster::new();
    for (signal, name) in [(Signal::INT, "SIGINT"), (Signal::TERM, "SIGTERM")] {
        let up = foreground(&cluster, &["--servers", "3"]);
        up.says("Ctrl-C stops the cluster; its data stays.");
        cluster.kvctl(&["put", name, "1"]).ok();
        up.signal(signal);
        let said = up.end(STOP_MAX);
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.remarks(&format!("{name}: stopping"))
            .remarks("stopped 4 processes");
        assert!(!cluster.is_running());
    }
    cluster.call_up(&[]).ok();
    let expected = [
        r#"{"key":"SIGINT","value":1}"#,
        r#"{"key":"SIGTERM","value":1}"#,
    ];
    assert_eq!(cluster.scan(), expected);
}

#[test]
fn a_signal_while_it_starts_leaves_nothing_running() {
    let cluster = Cluster::new();
    for said in [
        "servers are recovering",
        "servers answer",
        "servers are comparing",
    ] {
        let up = foreground(&cluster, &["--servers", "5"]);
        up.remarks(said);
        up.signal(Signal::INT);
        up.end(STOP_MAX);
        assert!(!cluster.is_running(), "{said}");
    }
    cluster.call_up(&[]).ok();
}

#[test]
fn a_server_that_ends_is_said_and_down_from_elsewhere_ends_it_all() {
    let cluster = Cluster::new();
    let up = foreground(&cluster, &["--servers", "3"]);
    up.says("Ctrl-C stops");
    cluster.kvctl(&["kill", "3"]).ok();
    up.remarks("server-3 ended: signal: 9");
    cluster.kvctl(&["start", "3"]).ok();
    cluster.kvctl(&["down"]).ok().remarks("stopped 4 processes");
    let said = up.end(STOP_MAX);
    said.remarks("nothing of the cluster runs any more");
    assert_eq!(said.code, Some(0));
}

#[test]
fn a_file_is_loaded_first_and_one_that_is_not_there_starts_nothing() {
    let cluster = Cluster::new();
    cluster
        .call_up(&["--servers", "1", "--load", "nowhere.json"])
        .code(2)
        .remarks("cannot read nowhere.json");
    assert!(!cluster.is_running());
    cluster.file("people.txt", "\"a\" : 1\nnonsense\n\"b\" : 2\n");
    let said = cluster
        .call_up(&["--servers", "1", "--load", "people.txt"])
        .code(1);
    said.remarks("line 2: column 1: expected a key in quotes")
        .remarks("people.txt.rejects");
    assert_eq!(cluster.scan().len(), 2);
    // Keys that exist are left alone, unless it is said otherwise.
    cluster.kvctl(&["down"]).ok();
    cluster.file("people.ndjson", "{\"id\":\"a\",\"x\":7}\n");
    let load = ["--load", "people.ndjson", "--key", "id"];
    cluster.call_up(&load).ok().remarks("0 stored, 1 existed");
    cluster.kvctl(&["down"]).ok();
    cluster
        .call_up(&[&load[..], &["--overwrite"]].concat())
        .ok()
        .remarks("1 stored");
    assert_eq!(cluster.kvctl(&["query", "a.x"]).ok().out, "7\n");
}
