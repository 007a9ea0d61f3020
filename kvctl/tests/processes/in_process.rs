//! The whole store in one process.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::cluster::Cluster;

#[test]
fn one_process_is_a_whole_store_and_its_data_outlives_it() {
    let cluster = Cluster::new();
    let base = cluster.ports.base().to_string();
    let arguments = ["up", "--in-process", "--servers", "3", "--port-base", &base];
    let up = cluster.kvctl(&arguments).start();
    up.says("Ctrl-C stops the cluster");
    cluster.kvctl(&["put", "a", r#"{"x":[1,2]}"#]).ok();
    assert_eq!(cluster.kvctl(&["get", "a"]).ok().out, "{\"x\":[1,2]}\n");
    assert_eq!(cluster.kvctl(&["query", "a.x.1"]).ok().out, "2\n");
    cluster.kvctl(&["put", "b", "2"]).ok();
    cluster.kvctl(&["delete", "b"]).ok();
    assert_eq!(cluster.scan(), [r#"{"key":"a","value":{"x":[1,2]}}"#]);
    let status = cluster.status();
    assert_eq!(
        (&status["readyReplicas"], &status["readyBrokers"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(status["slots"]["satisfied"], json!(1024));
    cluster
        .kvctl(&["kill", "1"])
        .code(2)
        .remarks("--in-process");
    cluster
        .kvctl(&["start", "1"])
        .code(2)
        .remarks("--in-process");
    cluster.call_up(&[]).code(2).remarks("already runs");
    up.signal(Signal::INT);
    let said = up.end(Duration::from_secs(12));
    assert_eq!(said.code, Some(0), "{}", said.err);
    cluster.call_up(&[]).ok();
    assert_eq!(cluster.scan().len(), 1);
    assert_eq!(cluster.status()["slots"]["short"], json!(0));
}

#[test]
fn down_stops_it_from_elsewhere_and_it_goes_on_with_what_processes_stored() {
    let cluster = Cluster::up(&["--servers", "3", "--copies", "2"]);
    cluster.kvctl(&["put", "a", "1"]).ok();
    cluster.kvctl(&["down"]).ok();
    let up = cluster.kvctl(&["up", "--in-process"]).start();
    up.says("Ctrl-C stops the cluster");
    assert_eq!(cluster.kvctl(&["get", "a"]).ok().out, "1\n");
    cluster.kvctl(&["put", "b", "2"]).ok();
    cluster.kvctl(&["down"]).ok().remarks("stopped 1 process");
    let said = up.end(Duration::from_secs(12));
    assert_eq!(said.code, Some(0), "{}", said.err);
    cluster.call_up(&[]).ok();
    assert_eq!(cluster.scan().len(), 2);
}
