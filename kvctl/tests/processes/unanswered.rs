//! Too few copies alive: what cannot be found out is told from what is not there.

use serde_json::json;

use crate::cluster::Cluster;

#[test]
fn two_dead_copies_of_three() {
    let cluster = Cluster::up(&["--servers", "3"]);
    cluster.kvctl(&["put", "a", r#"{"x":1}"#]).ok();
    cluster.kvctl(&["kill", "1"]).ok();
    assert_eq!(cluster.kvctl(&["get", "a"]).ok().out, "{\"x\":1}\n");
    cluster.kvctl(&["put", "b", "2"]).ok();
    cluster.kvctl(&["kill", "3"]).ok();
    let ports = cluster.ports.layout();
    let dead = [ports.peer(1), ports.peer(3)].map(|port| format!("127.0.0.1:{port}"));
    for read in [
        &["get", "a"][..],
        &["get", "nobody"],
        &["query", "a.x"],
        &["scan"],
    ] {
        let said = cluster.kvctl(read).code(2);
        assert_eq!(said.out, "", "{read:?}");
        said.remarks("could not find out: ")
            .remarks(&dead[0])
            .remarks(&dead[1]);
    }
    for write in [&["put", "a", "3"][..], &["delete", "a"]] {
        let said = cluster.kvctl(write).code(2);
        said.remarks("not done: ")
            .remarks(&dead[0])
            .remarks(&dead[1]);
    }
    for (read, found) in [
        (&["get", "--available", "a"][..], "{\"x\":1}\n"),
        (&["query", "--available", "a.x"], "1\n"),
        (
            &["scan", "--available", "a"],
            "{\"key\":\"a\",\"value\":{\"x\":1}}\n",
        ),
    ] {
        let said = cluster.kvctl(read).ok();
        assert_eq!(said.out, found);
        said.remarks("down: ").remarks(&dead[0]).remarks(&dead[1]);
    }
    let said = cluster.kvctl(&["get", "--available", "nobody"]).code(1);
    said.remarks("answered by 1 of the 2 copies")
        .remarks("NOT FOUND");
    // Refused before anything was sent: nothing of it shows up later.
    cluster.kvctl(&["start", "1"]).ok();
    assert_eq!(cluster.kvctl(&["get", "a"]).ok().out, "{\"x\":1}\n");
    cluster.kvctl(&["start", "3"]).ok();
    assert_eq!(cluster.scan().len(), 2);
    assert_eq!(cluster.status()["slots"]["short"], json!(0));
}
