//! Directories that cannot be used, or are not what they were.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::cluster::Cluster;

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let cluster = Cluster::new();
    cluster.file("data", "somebody's file");
    let said = cluster.call_up(&[]).code(2);
    said.remarks("cannot make")
        .remarks(cluster.data().to_str().expect("text"));
}

#[test]
fn a_server_that_cannot_use_its_directory_says_why_and_nothing_is_left_running() {
    let cluster = Cluster::new();
    fs::create_dir(cluster.data()).expect("made");
    cluster.file("data/server-2", "somebody's file");
    let said = cluster.call_up(&["--servers", "3"]).code(2);
    said.remarks("server-2 did not start")
        .remarks("server-2.log ends with")
        .remarks("data/server-2");
    assert!(!cluster.is_running());
}

#[test]
fn a_secret_that_others_may_read_is_refused() {
    let cluster = Cluster::up(&["--servers", "1"]);
    cluster.kvctl(&["down"]).ok();
    let secret = cluster.data().join("secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("ours");
    cluster
        .call_up(&[])
        .code(2)
        .remarks("can be read by others")
        .remarks("chmod 600");
    assert!(!cluster.is_running());
}

#[test]
fn an_emptied_server_directory_is_noticed_and_nothing_is_overwritten() {
    let cluster = Cluster::up(&["--servers", "3", "--copies", "2"]);
    for number in 0..50 {
        cluster.kvctl(&["put", &format!("k{number}"), "1"]).ok();
    }
    cluster.kvctl(&["down"]).ok();
    let (lost, kept) = (cluster.data().join("server-2"), cluster.home().join("kept"));
    fs::rename(&lost, &kept).expect("ours");
    let others = [
        cluster.data().join("server-1"),
        cluster.data().join("server-3"),
    ];
    let before: Vec<_> = others.iter().map(|path| names_and_sizes(path)).collect();
    for up in [&["up", "--detach"][..], &["up", "--in-process"]] {
        let said = cluster.kvctl(up).code(2);
        said.remarks("server 2 is member")
            .remarks("emptied or exchanged");
        assert!(!cluster.is_running());
    }
    // Logs may end in another mark, but no file is gone.
    for (path, before) in others.iter().zip(before) {
        let after = names_and_sizes(path);
        for (name, size) in before {
            assert!(after.get(&name).is_some_and(|&now| now >= size), "{name:?}");
        }
    }
    fs::remove_dir_all(&lost).expect("ours");
    fs::rename(&kept, &lost).expect("ours");
    cluster.kvctl(&["up", "--detach"]).ok();
    assert_eq!(cluster.scan().len(), 50);
}

/// A cluster without its data is not one without data.
#[test]
fn emptied_server_directories_are_no_new_cluster_unless_that_is_asked_for() {
    let cluster = Cluster::up(&["--servers", "2"]);
    cluster.kvctl(&["put", "a", "1"]).ok();
    cluster
        .kvctl(&["up", "--detach", "--new-cluster"])
        .code(2)
        .remarks("already runs");
    cluster.kvctl(&["down"]).ok();
    cluster
        .kvctl(&["up", "--detach", "--new-cluster"])
        .code(2)
        .remarks("holds data of cluster");
    for number in 1..=2 {
        let directory = cluster.data().join(format!("server-{number}"));
        fs::remove_dir_all(&directory).expect("ours");
    }
    for up in [&["up", "--detach"][..], &["up", "--in-process"]] {
        cluster
            .kvctl(up)
            .code(2)
            .remarks("every server directory in")
            .remarks("kvctl up --new-cluster");
        assert!(!cluster.data().join("server-1").exists(), "nothing is made");
    }
    cluster.kvctl(&["up", "--detach", "--new-cluster"]).ok();
    cluster.kvctl(&["get", "a"]).code(1);
    cluster.kvctl(&["put", "a", "2"]).ok();
    cluster.kvctl(&["down"]).ok();
    cluster.kvctl(&["up", "--detach"]).ok();
    assert_eq!(cluster.kvctl(&["get", "a"]).ok().out, "2\n");
}

fn names_and_sizes(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| {
            let entry = entry.expect("readable");
            let metadata = entry.metadata().expect("readable");
            (entry.path(), metadata.len())
        })
        .collect()
}
