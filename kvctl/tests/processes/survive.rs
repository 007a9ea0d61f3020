//! Servers killed during and after a load: nothing acknowledged is lost.

use std::{fmt::Write, time::Duration};

use serde_json::json;

use crate::{call::wait_until, cluster::Cluster, up::sum_of_keys};

const RECORDS: u64 = 10_000;

#[test]
fn nothing_acknowledged_is_lost_and_servers_catch_up_by_themselves() {
    let cluster = Cluster::up(&[]);
    let mut text = String::new();
    for number in 0..RECORDS {
        let _ = writeln!(
            text,
            "{{\"key\":\"k{number}\",\"value\":{{\"n\":{number},\"of\":[\"records\"]}}}}"
        );
    }
    let mut expected: Vec<_> = text.lines().collect();
    expected.sort_unstable_by_key(|line| line.split('"').nth(3));
    cluster.file("records.ndjson", &text);
    let mut load = cluster.kvctl(&["load", "records.ndjson"]).start();
    wait_until("the first records", || {
        (sum_of_keys(&cluster.status()) > 1000).then_some(())
    });
    cluster.kvctl(&["kill", "2"]).ok();
    assert!(!load.has_ended(), "killed in the middle");
    let said = load.end(Duration::from_mins(1));
    assert_eq!(said.code, Some(0), "{}", said.err);
    // An unknown outcome is tried again, and may then find itself.
    said.remarks("0 rejected, 0 failed");
    cluster.kvctl(&["kill", "4"]).ok();
    cluster.kvctl(&["start", "2"]).ok();
    cluster.kvctl(&["start", "4"]).ok();
    let scanned = cluster.scan();
    assert_eq!(scanned.len(), expected.len());
    assert!(scanned == expected, "every record is read back equal");
    let status = wait_until("every copy", || {
        let status = cluster.status();
        let is_whole =
            status["slots"]["short"] == json!(0) && status["slots"]["behind"] == json!(0);
        (is_whole && sum_of_keys(&status) == 3 * RECORDS).then_some(status)
    });
    check_fields(&status);
}

/// Scripts rely on these names, and so will those who read a cluster's status in Kubernetes.
fn check_fields(status: &serde_json::Value) {
    assert_eq!(status["epoch"], json!(1));
    assert_eq!(status["copies"], json!(3));
    let slots = json!({"satisfied": 1024, "short": 0, "moving": 0, "behind": 0});
    assert_eq!(status["slots"], slots);
    let ready = (
        &status["replicas"],
        &status["readyReplicas"],
        &status["readyBrokers"],
    );
    assert_eq!(ready, (&json!(5), &json!(5), &json!(1)));
    let members = status["members"].as_array().expect("a list");
    let (mut slots, mut numbers) = (0, Vec::new());
    for member in members {
        let mut names: Vec<_> = member.as_object().expect("a map").keys().cloned().collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "address", "bytes", "epoch", "id", "keys", "logBytes", "number", "ready", "reason",
                "slots", "version",
            ]
        );
        // A share of everything, as even as the slots are.
        let keys = member["keys"].as_u64().expect("a number");
        assert!((3 * RECORDS / 5).abs_diff(keys) < RECORDS / 10, "{member}");
        slots += member["slots"].as_u64().expect("a number");
        numbers.push(member["number"].as_u64().expect("a number"));
        assert_eq!(
            (&member["ready"], &member["reason"]),
            (&json!(true), &json!(null))
        );
    }
    assert_eq!((slots, numbers), (3 * 1024, vec![1, 2, 3, 4, 5]));
}
