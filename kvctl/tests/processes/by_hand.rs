//! Servers and a broker started by hand, in the papers' form.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use rustix::process::Signal;

use crate::servers::{ByHand, STOP_MAX};

#[test]
fn a_data_file_is_loaded_and_commands_from_a_pipe_are_answered_in_order() {
    let by_hand = ByHand::start(3);
    let data = "# people\r\n\"person1\" : { \"name\" : \"John\" ; \"address\" : { \"street\" : \"Panepistimiou\" ; \
                \"number\" : 12 } }\r\nbroken line\n\"person2\" : { \"name\" : \"Mary\" }\n";
    by_hand.cluster.file("data.txt", data);
    let commands = "GET person2\nQUERY person1.address.number\nGET nobody\nPUT \"p3\" : { \"a\" : [ 1 ; 2 ] }\n\
                    QUERY p3.a.1\nDELETE p3\nGET p3\nSCAN \"person\" 1\n\nQUERY \"person1.name\"\nDELETE p3";
    let said = by_hand.say(&["-i", "data.txt", "-k", "2"], commands, 1);
    let expected = "\"person2\" : { \"name\" : \"Mary\" }\n\"person1.address.number\" : 12\nNOT FOUND\nOK\n\
                    \"p3.a.1\" : 2\nOK\nNOT FOUND\n\
                    \"person1\" : { \"name\" : \"John\" ; \"address\" : { \"street\" : \"Panepistimiou\" ; \"number\" : 12 } }\n\
                    MORE 1 \"person1\"\n\"person1.name\" : \"John\"\nNOT FOUND\n";
    assert_eq!(said.out, expected);
    // Nothing failed but the file's line, and that is told by the exit code too.
    said.remarks("data.txt:3, column 1: expected a key in quotes");
    assert!(
        !said.err.contains('\u{1b}'),
        "colours in a pipe: {}",
        said.err
    );
    said.remarks("data.txt: 2 stored, 0 existed, 1 bad lines, 0 failed");
    // Keys that exist are left alone; the placement is the one there is.
    by_hand
        .cluster
        .file("data.txt", "\"person2\" : 7\n\"person3\" : 3\n");
    let said = by_hand.say(
        &["-i", "data.txt", "-k", "3"],
        "GET person2\nEXIT\nGET person3\n",
        0,
    );
    assert_eq!(said.out, "\"person2\" : { \"name\" : \"Mary\" }\n");
    said.remarks("1 stored, 1 existed, 0 bad lines");
    let said = by_hand.say(&["-i", "data.txt", "--overwrite"], "GET person2\n", 0);
    assert_eq!(said.out, "\"person2\" : 7\n");
    let said = by_hand.say(&[], "NONSENSE\nGET person2\n", 1);
    assert!(
        said.out.starts_with("ERROR SYNTAX: ") && said.out.ends_with("\n\"person2\" : 7\n"),
        "{}",
        said.out
    );
    by_hand
        .say(&["-i", "nowhere.txt"], "", 2)
        .remarks("nowhere.txt");
}

#[test]
fn reads_go_on_until_the_last_copy_is_gone_and_writes_say_who_is_missing() {
    let mut by_hand = ByHand::start(3);
    by_hand.cluster.file("data.txt", "\"a\" : { \"x\" : 1 }\n");
    by_hand.say(&["-i", "data.txt", "-k", "3"], "GET a\n", 0);
    // One broker sees it happen, others are started into it.
    let mut witness = by_hand.broker(&[]).start();
    witness.remarks("broker started");
    for (dead, expected) in [(1, 0), (2, 1)] {
        by_hand.kill_server(dead);
        let said = by_hand.say(&[], "GET a\nQUERY a.x\nSCAN \"\"\n", 0);
        let answers: Vec<_> = said
            .lines()
            .into_iter()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert_eq!(
            answers,
            [
                "\"a\" : { \"x\" : 1 }",
                "\"a.x\" : 1",
                "\"a\" : { \"x\" : 1 }",
                "END 1"
            ]
        );
        let notes = said
            .lines()
            .into_iter()
            .filter(|line| line.starts_with('#'))
            .count();
        assert_eq!(notes, 3 * expected, "{}", said.out);
        if expected > 0 {
            assert!(
                said.out.contains(&by_hand.address(1)) && said.out.contains(&by_hand.address(2))
            );
        }
    }
    let said = by_hand.say(&[], "PUT a : 2\n", 1);
    assert!(said.out.starts_with("ERROR NOT DONE: "), "{}", said.out);
    assert!(said.out.contains(&by_hand.address(1)) && said.out.contains(&by_hand.address(2)));
    witness.write("GET a\n");
    let said = witness.says("\"a\" : { \"x\" : 1 }\n");
    assert!(
        said.starts_with("# answered by 1 of the 2 copies"),
        "{said}"
    );
    witness.write("GET nobody\n");
    witness.says("NOT FOUND\n");
    by_hand.kill_server(3);
    let said = by_hand.say(&["-k", "3"], "", 2);
    said.remarks("no server has a placement")
        .remarks(&by_hand.address(3));
    witness.write("GET a\n");
    let said = witness.says("ERROR NOT DONE: ");
    assert!(said.contains(&by_hand.address(3)), "{said}");
    assert_eq!(witness.end(STOP_MAX).code, Some(1));
    by_hand.start_server(3);
    by_hand.start_server(1);
    by_hand.start_server(2);
    by_hand.say(&[], "PUT a : 2\n", 0);
}

#[test]
fn as_many_down_as_there_are_copies_is_said_at_the_start() {
    let mut by_hand = ByHand::start(4);
    by_hand.say(&["-k", "2"], "PUT a : 1\n", 0);
    by_hand.kill_server(2);
    let said = by_hand.say(&[], "GET a\n", 0);
    assert!(!said.err.contains("warning: "), "{}", said.err);
    by_hand.kill_server(4);
    let said = by_hand.say(&[], "", 0);
    let warning =
        "warning: 2 servers are down and there are 2 copies, so results may be incomplete; down: ";
    said.remarks(warning)
        .remarks(&by_hand.address(2))
        .remarks(&by_hand.address(4));
}

#[test]
fn strict_deletes_need_every_copy() {
    let mut by_hand = ByHand::start(3);
    by_hand.say(&["-k", "3"], "PUT a : 1\nPUT b : 1\n", 0);
    by_hand.kill_server(3);
    let said = by_hand.say(&["--strict-delete"], "DELETE a\nGET a\n", 1);
    assert!(
        said.lines()[0].starts_with("ERROR NOT DONE: "),
        "{}",
        said.out
    );
    assert!(
        said.lines()[0].contains(&by_hand.address(3)),
        "{}",
        said.out
    );
    assert!(said.out.ends_with("\"a\" : 1\n"), "{}", said.out);
    let said = by_hand.say(&[], "DELETE b\nGET b\n", 0);
    assert_eq!(said.lines(), ["OK", "NOT FOUND"]);
    by_hand.start_server(3);
    let said = by_hand.say(&["--strict-delete"], "DELETE a\nGET a\nGET b\n", 0);
    assert_eq!(said.lines(), ["OK", "NOT FOUND", "NOT FOUND"]);
}

#[test]
fn server_files_that_are_wrong_are_explained() {
    let by_hand = ByHand::start(1);
    let list = format!(
        "127.0.0.1 {}\nno-such-host.invalid 7400\n",
        by_hand.cluster.ports.layout().peer(1)
    );
    by_hand.cluster.file("servers.txt", list);
    by_hand
        .say(&[], "", 2)
        .remarks("no-such-host.invalid:7400")
        .remarks("unknown host `no-such-host.invalid`");
    for (text, expected) in [
        ("127.0.0.1\n", "servers.txt:1: "),
        ("# nobody\n", "names no server"),
        ("127.0.0.1 1\n127.0.0.1 99999\n", "servers.txt:2: "),
    ] {
        by_hand.cluster.file("servers.txt", text);
        by_hand.say(&[], "", 2).remarks(expected);
    }
    std::fs::remove_file(by_hand.cluster.home().join("servers.txt")).expect("ours");
    by_hand.say(&[], "", 2).remarks("server file servers.txt: ");
}

#[test]
fn two_brokers_started_together_agree() {
    let by_hand = ByHand::start(5);
    let brokers: Vec<_> = (1..=2)
        .map(|number| {
            by_hand
                .broker(&["-k", "3"])
                .input(format!("PUT \"from {number}\" : {number}\n"))
                .start()
        })
        .collect();
    for broker in brokers {
        let said = broker.end(Duration::from_secs(30));
        assert_eq!(
            (said.code, said.out.as_str()),
            (Some(0), "OK\n"),
            "{}",
            said.err
        );
    }
    let said = by_hand.say(&[], "SCAN \"from\"\n", 0);
    assert_eq!(said.lines(), ["\"from 1\" : 1", "\"from 2\" : 2", "END 2"]);
}

#[test]
fn the_line_protocol_answers_over_a_socket_until_sigterm() {
    let by_hand = ByHand::start(3);
    let (line, http) = (
        by_hand.cluster.ports.layout().line(1),
        by_hand.cluster.ports.layout().http(1),
    );
    let (line, http) = (format!("127.0.0.1:{line}"), format!("127.0.0.1:{http}"));
    let arguments = [
        "broker",
        "-s",
        "servers.txt",
        "-k",
        "2",
        "--line",
        &line,
        "--http",
        &http,
    ];
    // Standard input stays open: a prompt that waits must not hold the process up.
    let broker = by_hand.call(&arguments).start();
    broker.remarks("broker started");
    let mut socket = TcpStream::connect(&line).expect("it listens");
    socket
        .write_all(b"PUT a : 1\r\nGET a\nget  a\n\nFLY\nQUERY a.b\n")
        .expect("it reads");
    let mut lines = BufReader::new(socket.try_clone().expect("a socket")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!([next(), next(), next()], ["OK", "\"a\" : 1", "\"a\" : 1"]);
    assert!(next().starts_with("ERROR SYNTAX: `FLY` is no command"));
    assert_eq!(next(), "NOT FOUND");
    // A client that sits there must not hold it up either.
    broker.signal(Signal::TERM);
    let said = broker.end_unfed(STOP_MAX);
    assert_eq!(said.code, Some(0), "{}", said.err);
    TcpStream::connect(&line).expect_err("nobody listens any more");
}
