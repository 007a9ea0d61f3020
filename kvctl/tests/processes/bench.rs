//! `bench` in both loops.

use std::{
    collections::{HashMap, HashSet},
    fs,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{call::wait_until, cluster::Cluster, up::sum_of_keys};

#[test]
fn both_loops_count_what_they_did() {
    let cluster = Cluster::up(&["--servers", "3", "--sync", "never"]);
    let options = [
        "bench",
        "--json",
        "--seconds",
        "2",
        "--keys",
        "500",
        "--mix",
        "60:30:10",
    ];
    for (more, rate) in [
        (&["--concurrency", "8"][..], None),
        (&["--rate", "300"], Some(300.0)),
    ] {
        let report = cluster.kvctl(&[&options[..], more].concat()).ok().json();
        assert_eq!(report["rate"].as_f64(), rate);
        assert_eq!(report["unsent"], 0);
        let seconds = report["seconds"].as_f64().expect("a number");
        assert!((1.9..10.0).contains(&seconds), "{report}");
        let rows = report["operations"].as_array().expect("a list");
        let names: Vec<_> = rows
            .iter()
            .map(|row| row["operation"].as_str().expect("text"))
            .collect();
        assert_eq!(names.len(), 3, "{names:?}");
        let mut total = 0;
        for row in rows {
            let figure = |name: &str| {
                row[name]
                    .as_u64()
                    .unwrap_or_else(|| panic!("{name}: {row}"))
            };
            assert_eq!((figure("not_done"), figure("unknown")), (0, 0), "{row}");
            assert!(figure("count") > 0 && figure("p50_micros") > 0, "{row}");
            assert!(figure("p50_micros") <= figure("p99_micros"), "{row}");
            assert!(figure("p99_micros") <= figure("max_micros"), "{row}");
            total += figure("count");
        }
        // An open loop sends what is due, no more and no less.
        assert!(rate.is_none() || total == 600, "{report}");
    }
    let said = cluster
        .kvctl(&["bench", "--seconds", "0.2", "--keys", "10"])
        .ok();
    assert!(
        said.out.contains("closed loop") && said.out.contains("P99.9"),
        "{}",
        said.out
    );
    for (option, value) in [
        ("--mix", "50"),
        ("--rate", "0"),
        ("--keys", "0"),
        ("--seconds", "x"),
    ] {
        cluster
            .kvctl(&["bench", option, value])
            .code(2)
            .remarks(option);
    }
}

/// What is not sent is not counted, and a run without a broker ends and says so.
#[test]
fn a_broker_that_goes_away_is_waited_for_at_a_bounded_rate_and_not_for_ever() {
    for more in [&["--concurrency", "16"][..], &["--rate", "200"]] {
        let cluster = Cluster::up(&["--servers", "1"]);
        let options = ["bench", "--json", "--seconds", "600", "--no-fill"];
        let bench = cluster.kvctl(&[&options[..], more].concat()).start();
        wait_until("a run", || {
            (sum_of_keys(&cluster.status()) > 0).then_some(())
        });
        cluster.kvctl(&["down"]).ok();
        let said = bench.end(Duration::from_secs(30));
        assert_eq!(said.code, Some(2), "{}", said.err);
        said.remarks("without a broker");
        let report = said.json();
        let rows = report["operations"].as_array().expect("a list");
        let unknown: u64 = rows.iter().filter_map(|row| row["unknown"].as_u64()).sum();
        assert!(unknown <= 1_000, "{report}");
        assert!(report["given_up"].is_string(), "{report}");
    }
}

/// Whatever was sent stands in the history, also when the run is interrupted, and every put wrote
/// something of its own, through more than one broker.
#[test]
fn a_history_is_whole_also_after_an_interruption() {
    let cluster = Cluster::up(&["--servers", "1", "--brokers", "2"]);
    let options = ["--seconds", "600", "--keys", "10", "--mix", "50:40:10"];
    let more = ["--history", "h.ndjson", "--json", "--pause", "1"];
    let bench = cluster.kvctl(&[&["bench"], &options[..], &more].concat());
    let bench = bench.start();
    let line = format!("127.0.0.1:{}", cluster.ports.layout().line(2));
    wait_until("all keys, seen by the second broker", || {
        let said = cluster.kvctl(&["scan", "--broker", &line]).run();
        (said.lines().len() > 5).then_some(())
    });
    bench.signal(Signal::INT);
    let said = bench.end(Duration::from_secs(10));
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.remarks("SIGINT");
    let text = fs::read_to_string(cluster.home().join("h.ndjson")).expect("written");
    let (mut counts, mut values) = (HashMap::<_, u64>::new(), HashSet::new());
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("a whole line");
        assert!(line["start"].as_u64() <= line["end"].as_u64(), "{line}");
        let operation = line["operation"].as_str().expect("text").to_owned();
        if operation == "put" {
            let value = line["value"].as_str().expect("text").to_owned();
            assert_eq!(value.len(), 256, "{line}");
            assert!(values.insert(value), "written twice: {line}");
        }
        if line["outcome"] == "done" {
            let said = [("get", "read"), ("delete", "found")];
            let said = said.iter().find(|(name, _)| *name == operation);
            assert!(
                said.is_none_or(|(_, field)| line.get(field).is_some()),
                "{line}"
            );
            *counts.entry(operation).or_default() += 1;
        }
    }
    let report = said.json();
    for row in report["operations"].as_array().expect("a list") {
        let kind = row["operation"].as_str().expect("text");
        let done = row["count"].as_u64().expect("a number")
            - row["not_done"].as_u64().expect("a number")
            - row["unknown"].as_u64().expect("a number");
        // Every key was written once before.
        let before = if kind == "put" { 10 } else { 0 };
        let written = counts.get(kind).copied().unwrap_or(0);
        // What ended in the moment of the signal may stand in the history alone.
        assert!(
            (done + before..done + before + 64).contains(&written),
            "{kind}: {report}"
        );
    }
}
