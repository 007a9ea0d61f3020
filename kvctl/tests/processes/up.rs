//! `up`, `down`, `kill`, `start`, `status` in the background.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt};

use serde_json::json;

use crate::{
    call::{Call, wait_until},
    cluster::Cluster,
};

#[test]
fn a_cluster_comes_up_goes_down_and_comes_back_with_its_data() {
    let cluster = Cluster::new();
    let said = cluster.call_up(&[]).ok();
    let ports = cluster.ports.layout();
    for expected in [
        "5/5 ready".to_owned(),
        "1024 satisfied, 0 short, 0 moving".to_owned(),
        format!("127.0.0.1:{}", ports.peer(5)),
        format!("line protocol 127.0.0.1:{}", ports.line(1)),
        format!("HTTP http://127.0.0.1:{}", ports.http(1)),
        "kvctl put --data-dir".to_owned(),
    ] {
        assert!(said.out.contains(&expected), "{expected}: {}", said.out);
    }
    let secret = fs::metadata(cluster.data().join("secret")).expect("made");
    assert_eq!(secret.permissions().mode() & 0o777, 0o600);
    for name in [
        "cluster.json",
        "servers.txt",
        "server-1",
        "server-5",
        "logs/broker-1.log",
    ] {
        assert!(cluster.data().join(name).exists(), "{name}");
    }
    cluster
        .call_up(&[])
        .code(2)
        .remarks("already runs")
        .remarks("kvctl down");
    cluster.kvctl(&["put", "a", r#"{"x":1}"#]).ok();
    cluster.kvctl(&["down"]).ok().remarks("stopped 6 processes");
    assert!(!cluster.is_running());
    cluster.kvctl(&["down"]).ok().remarks("nothing was running");
    cluster
        .kvctl(&["get", "a"])
        .code(2)
        .remarks("is the cluster up? `kvctl up --data-dir");
    let status = cluster.status();
    assert_eq!(
        (&status["slots"]["short"], &status["readyReplicas"]),
        (&json!(1024), &json!(0))
    );
    cluster.kvctl(&["up", "--detach"]).ok();
    assert_eq!(cluster.kvctl(&["get", "a"]).ok().out, "{\"x\":1}\n");
}

#[test]
fn two_clusters_live_side_by_side() {
    let (one, other) = (
        Cluster::up(&["--servers", "2"]),
        Cluster::up(&["--servers", "3"]),
    );
    one.kvctl(&["put", "a", "1"]).ok();
    other.kvctl(&["put", "a", "2"]).ok();
    let line = format!("127.0.0.1:{}", one.ports.layout().line(1));
    assert_eq!(other.kvctl(&["get", "a"]).ok().out, "2\n");
    assert_eq!(
        other.kvctl(&["get", "--broker", &line, "a"]).ok().out,
        "1\n"
    );
    one.kvctl(&["down"]).ok();
    assert!(other.is_running());
    assert_eq!(other.kvctl(&["get", "a"]).ok().out, "2\n");
}

#[test]
fn what_the_directory_has_stays_what_it_is() {
    let cluster = Cluster::up(&["--servers", "2", "--brokers", "2"]);
    cluster.kvctl(&["put", "a", "1"]).ok();
    cluster.kvctl(&["down"]).ok();
    for options in [["--servers", "3"], ["--copies", "1"]] {
        cluster
            .call_up(&options)
            .code(2)
            .remarks("holds a cluster of 2 servers with 2 copies");
    }
    // Ports and brokers are no property of the data.
    let moved = Cluster::new();
    let base = moved.ports.base().to_string();
    cluster
        .kvctl(&["up", "--detach", "--port-base", &base, "--brokers", "1"])
        .ok();
    assert_eq!(cluster.kvctl(&["get", "a"]).ok().out, "1\n");
    let peer = format!("127.0.0.1:{}", moved.ports.layout().peer(1));
    assert_eq!(cluster.status()["members"][0]["address"], json!(peer));
    for (options, expected) in [
        (["--servers", "0"], "--servers goes from 1 to 100, not 0"),
        (
            ["--copies", "9"],
            "--copies goes from 1 to the number of servers, 5, not 9",
        ),
        (["--brokers", "0"], "--brokers goes from 1 to"),
        (["--port-base", "80"], "--port-base goes from 1024 to"),
    ] {
        let nothing = Cluster::new();
        let call = nothing.kvctl(&["up", "--detach", options[0], options[1]]);
        call.code(2).remarks(expected);
    }
}

#[test]
fn a_server_is_killed_and_started_by_its_number() {
    let cluster = Cluster::up(&["--servers", "3"]);
    cluster
        .kvctl(&["start", "1"])
        .code(2)
        .remarks("server 1 is running already");
    cluster
        .kvctl(&["kill", "4"])
        .code(2)
        .remarks("no server 4: they go from 1 to 3");
    cluster
        .kvctl(&["start", "0"])
        .code(2)
        .remarks("no server 0: they go from 1 to 3");
    cluster.kvctl(&["kill", "2"]).ok().remarks("is dead");
    cluster
        .kvctl(&["kill", "2"])
        .code(2)
        .remarks("server 2 is not running");
    let status = cluster.status();
    assert_eq!(
        status["members"][1]["reason"],
        json!("its process has ended")
    );
    assert_eq!(
        (&status["slots"]["short"], &status["readyReplicas"]),
        (&json!(1024), &json!(2))
    );
    cluster.kvctl(&["put", "a", "1"]).ok();
    cluster
        .kvctl(&["start", "2"])
        .ok()
        .remarks("has caught up and serves");
    wait_until("three copies", || {
        let status = cluster.status();
        let keys: u64 = sum_of_keys(&status);
        (status["slots"]["short"] == json!(0) && keys == 3).then_some(())
    });
    cluster.kvctl(&["down"]).ok().remarks("stopped 4 processes");
}

pub(crate) fn sum_of_keys(status: &serde_json::Value) -> u64 {
    let members = status["members"].as_array().expect("a list");
    members
        .iter()
        .filter_map(|member| member["keys"].as_u64())
        .sum()
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left_behind() {
    let cluster = Cluster::new();
    let ports = cluster.ports.layout();
    for (port, whose) in [(ports.admin(2), "server 2"), (ports.line(1), "broker 1")] {
        let other = TcpListener::bind(("127.0.0.1", port)).expect("free");
        let said = cluster.call_up(&["--servers", "2"]).code(2);
        said.remarks(&format!("127.0.0.1:{port} is in use, which {whose} needs"))
            .remarks("--port-base");
        assert!(!cluster.is_running());
        drop(other);
    }
    // What never started does not tie the directory to its numbers.
    cluster.call_up(&["--servers", "3"]).ok();
    // The ports of a cluster that runs are taken too, and it stays unharmed.
    let second = Cluster::new();
    let base = cluster.ports.base().to_string();
    let data = second.data();
    let data = data.to_str().expect("text");
    second
        .kvctl(&["up", "--detach", "--data-dir", data, "--port-base", &base])
        .code(2)
        .remarks("is in use, which server 1 needs");
    assert_eq!(cluster.status()["readyReplicas"], json!(3));
}

#[test]
fn where_no_cluster_is_every_command_says_so() {
    let cluster = Cluster::new();
    for arguments in [
        &["down"][..],
        &["status"],
        &["kill", "1"],
        &["start", "1"],
        &["get", "a"],
        &["scan"],
        &["bench"],
        &["load", "-"],
    ] {
        let said = cluster.kvctl(arguments).code(2);
        said.remarks("no cluster in").remarks("kvctl up");
    }
    let nobody = format!("127.0.0.1:{}", cluster.ports.layout().line(1));
    Call::new(&["get", "--broker", &nobody, "a"])
        .code(2)
        .remarks(&format!("no broker at {nobody}"));
}

/// A cluster in one process opens the files of all its servers.
#[test]
fn a_cluster_in_one_process_may_open_as_many_files_as_the_system_allows() {
    let cluster = Cluster::new();
    let base = cluster.ports.base().to_string();
    let lowered = "ulimit -Sn 300 && exec \"$0\" \"$@\"";
    let mut child = std::process::Command::new("sh")
        .args(["-c", lowered, env!("CARGO_BIN_EXE_kvctl"), "up"])
        .args(["--in-process", "--servers", "1", "--port-base", &base])
        .env("KVASIR_DATA_DIR", cluster.data())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let limits = format!("/proc/{}/limits", child.id());
    wait_until("the cluster", || cluster.is_running().then_some(()));
    let text = fs::read_to_string(&limits).expect("it runs");
    child.kill().expect("ours");
    child.wait().expect("it ends");
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    let figures: Vec<_> = line.expect("there").split_ascii_whitespace().collect();
    assert_eq!(figures[3], figures[4], "{text}");
}
