//! What teaches: help, completions, manual pages.

use std::fs;

use crate::{call::Call, cluster::Cluster};

const COMMANDS: [&str; 17] = [
    "up",
    "down",
    "status",
    "kill",
    "start",
    "load",
    "get",
    "put",
    "delete",
    "query",
    "scan",
    "generate",
    "bench",
    "server",
    "broker",
    "completions",
    "man",
];

/// Those whose whole use is their name and what is said of it.
const PLAIN: [&str; 5] = ["down", "status", "kill", "start", "delete"];

#[test]
fn every_subcommand_explains_itself() {
    let help = Call::new(&["--help"]).ok().out;
    let listed = help.lines().filter_map(|line| line.strip_prefix("  "));
    let listed: Vec<_> = listed.filter_map(|line| line.split("  ").next()).collect();
    assert!(
        help.contains("A first walk:\n  kvctl up --detach"),
        "{help}"
    );
    for command in COMMANDS {
        assert!(listed.contains(&command), "{command}: {listed:?}");
        let help = Call::new(&[command, "--help"]).ok().out;
        let explains = help.contains("Example") || help.contains("Lines are one of these");
        assert!(explains || PLAIN.contains(&command), "{help}");
        let first = help.lines().next().expect("a line");
        assert!(first.len() > 15, "{first}");
    }
    let said = Call::new(&["fly"]).code(2);
    said.remarks("unrecognized subcommand 'fly'");
    Call::new(&[]).code(2).remarks("Usage: kvctl <COMMAND>");
}

#[test]
fn completions_and_manual_pages_are_made() {
    for (shell, part) in [
        ("bash", "_kvctl()"),
        ("zsh", "#compdef kvctl"),
        ("fish", "complete -c kvctl"),
    ] {
        let script = Call::new(&["completions", shell]).ok().out;
        assert!(
            script.contains(part) && script.contains("port-base"),
            "{shell}"
        );
    }
    let cluster = Cluster::new();
    cluster.kvctl(&["man", "pages"]).ok();
    let page = |name: &str| {
        let page = cluster.home().join("pages").join(format!("{name}.1"));
        fs::read_to_string(page).expect("written")
    };
    assert!(page("kvctl").contains(".TH kvctl 1"));
    for command in COMMANDS {
        assert!(
            page(&format!("kvctl-{command}")).contains("SYNOPSIS"),
            "{command}"
        );
    }
    cluster.file("taken", "");
    cluster.kvctl(&["man", "taken"]).code(2).remarks("taken");
}
