//! What commands are answered, line by line.

use std::time::Duration;

use broker::{command::Command, machine::read::Demand, shell::BrokerOptions};

use crate::support::{Cluster, cluster, cluster_with};

async fn check(cluster: &Cluster, dialogue: &[(&str, &str)]) {
    for (line, expected) in dialogue {
        assert_eq!(cluster.say(line).await, *expected, "{line}");
    }
}

#[tokio::test]
async fn a_dialogue() {
    let cluster = cluster(3, 2).await;
    check(&cluster, &[
        ("GET person1", "NOT FOUND\n"),
        (
            r#"PUT "person1" : { "name" : "John" ; "address" : { "street" : "Panepistimiou" } }"#,
            "OK\n",
        ),
        (
            "GET person1",
            "\"person1\" : { \"name\" : \"John\" ; \"address\" : { \"street\" : \"Panepistimiou\" } }\n",
        ),
        ("QUERY person1.name", "\"person1.name\" : \"John\"\n"),
        ("query person1.address.street", "\"person1.address.street\" : \"Panepistimiou\"\n"),
        ("QUERY person1.address.number", "NOT FOUND\n"),
        ("ADD person1 : 1", "EXISTS\n"),
        ("ADD person2 : 1", "OK\n"),
        ("DELETE person2", "OK\n"),
        ("DELETE person2", "NOT FOUND\n"),
        ("PUT 0xff00 : 0x0102#7", "OK\n"),
        ("GET 0xff00", "0xff00 : 0x0102#7\n"),
        ("PUT a b : [ 1 ; 2.5 ]", "OK\n"),
        ("GET a b", "\"a b\" : [ 1 ; 2.5 ]\n"),
        ("QUERY a b.1", "\"a b.1\" : 2.5\n"),
        ("PUT http://x/:8 : 1", "OK\n"),
        ("GET http://x/:8", "\"http://x/:8\" : 1\n"),
        ("HELLO", "ERROR SYNTAX: `HELLO` is no command: there are GET, QUERY, PUT, ADD, DELETE, SCAN and HELP\n"),
    ])
    .await;
}

#[tokio::test]
async fn scans_page_and_end() {
    let cluster = cluster(3, 2).await;
    for name in ["a", "b", "c", "d e"] {
        assert_eq!(cluster.say(format!("PUT {name} : 1")).await, "OK\n");
    }
    check(
        &cluster,
        &[
            ("SCAN \"\" 2", "\"a\" : 1\n\"b\" : 1\nMORE 2 \"b\"\n"),
            ("SCAN \"\" 2 AFTER \"b\"", "\"c\" : 1\n\"d e\" : 1\nEND 2\n"),
            ("scan \"\" after c", "\"d e\" : 1\nEND 1\n"),
            ("SCAN d", "\"d e\" : 1\nEND 1\n"),
            ("SCAN 0x61", "\"a\" : 1\nEND 1\n"),
            ("SCAN x", "END 0\n"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_miss_gives_the_hint_that_helps() {
    let cluster = cluster(3, 2).await;
    let hint = |path: &str| {
        format!("# hint: a dot that belongs to a name is escaped: QUERY {path}\nNOT FOUND\n")
    };
    check(&cluster, &[
        (r#"PUT python3.11 : { "Depends" : { "libc6" : 2 } }"#, "OK\n"),
        ("QUERY python3.11.Depends", &hint(r"python3\.11.Depends")),
        (r"QUERY python3\.11.Depends.libc6", "\"python3\\\\.11.Depends.libc6\" : 2\n"),
        (r#"PUT k : { "a.b" : { "c.d.e" : 1 } }"#, "OK\n"),
        ("QUERY k.a.b.c", &hint(r"k.a\.b.c")),
        (r"QUERY k.a\.b.c.d.e", &hint(r"k.a\.b.c\.d\.e")),
        (
            r"GET python3\.11",
            "# hint: GET takes a key as it stands, nothing is escaped: GET python3.11\nNOT FOUND\n",
        ),
        ("PUT raw : 0x00", "OK\n"),
        ("QUERY raw.a", "# the key's value is raw bytes, not a document: GET shows it\nNOT FOUND\n"),
    ])
    .await;
}

#[tokio::test]
async fn missing_copies_are_told_from_missing_keys() {
    let options = BrokerOptions {
        demand: Demand::Available,
        operation: Duration::from_millis(500),
        ..BrokerOptions::default()
    };
    let cluster = cluster_with(3, 3, options).await;
    assert_eq!(cluster.say("PUT a : 1").await, "OK\n");
    tokio::time::sleep(Duration::from_millis(20)).await;
    cluster.members[0].set_down(true);
    assert_eq!(cluster.say("GET a").await, "\"a\" : 1\n");
    cluster.members[1].set_down(true);
    let down = "down: 10.0.0.1:7001 (00000000-0000-0000-0000-000000000001): not connected; \
                10.0.0.1:7002 (00000000-0000-0000-0000-000000000002): not connected";
    let note = format!("# answered by 1 of the 2 copies a read quorum has; {down}\n");
    assert_eq!(cluster.say("GET a").await, format!("{note}\"a\" : 1\n"));
    assert_eq!(cluster.say("GET b").await, format!("{note}NOT FOUND\n"));
    let strict = cluster.say("QUORUM GET a").await;
    assert!(
        strict.starts_with("ERROR NOT DONE: slot 543 needs 2 of its 3 members"),
        "{strict}"
    );
    assert!(
        cluster
            .say("PUT a : 2")
            .await
            .starts_with("ERROR NOT DONE: ")
    );
    let scan = cluster.say("SCAN \"\"").await;
    assert!(
        scan.starts_with("# fewer copies than a read quorum has answered for 1024 of"),
        "{scan}"
    );
    assert!(scan.ends_with("\"a\" : 1\nEND 1\n"), "{scan}");
    cluster.members[2].set_down(true);
    assert!(cluster.say("GET a").await.starts_with("ERROR NOT DONE: "));
}

#[tokio::test]
async fn as_many_down_as_there_are_copies_is_a_warning_on_every_read() {
    let cluster = cluster(4, 2).await;
    cluster.members[0].set_down(true);
    cluster.members[3].set_down(true);
    let scan = cluster.say("AVAILABLE SCAN \"\"").await;
    let expected = "ERROR NOT DONE: ";
    // Slots that only the two hold cannot be scanned at all.
    assert!(
        scan.starts_with(expected) || scan.contains("# warning: 2 servers are down"),
        "{scan}"
    );
    let names = (0..).map(|number| format!("k{number}"));
    let live = |name: &String| {
        let slot = cluster.placement.slot(crate::support::key(name).slot());
        slot.current()
            .members()
            .iter()
            .all(|member| matches!(member.0, 1 | 2))
    };
    let name = names
        .into_iter()
        .find(live)
        .expect("some slot is on the other two");
    let answer = cluster.say(format!("GET {name}")).await;
    assert!(
        answer.starts_with("# warning: 2 servers are down and there are 2 copies, so results may"),
        "{answer}"
    );
    assert!(
        answer.contains("10.0.0.1:7001") && answer.ends_with("NOT FOUND\n"),
        "{answer}"
    );
}

#[test]
fn only_reads_are_carried_out_twice() {
    let only_reads = |line: &str| Command::parse(line.as_bytes()).expect("valid").only_reads();
    assert!(only_reads("GET a") && only_reads("SCAN a"));
    assert!(!only_reads("PUT a : 1") && !only_reads("DELETE a"));
}
