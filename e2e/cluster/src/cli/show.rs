//! Tables for people.

use std::{io::Write, path::Path};

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use kvasir_cluster::{Direction, NodeStatus, Status};

/// Prints how a cluster is.
pub(super) fn status(status: &Status) -> Result<()> {
    let mut nodes = table(&["NODE", "ZONE", "ADDRESS", "STATE"]);
    for node in &status.nodes {
        let address = node.node.address().to_string();
        nodes.add_row([node.node.name(), node.zone.clone(), address, state(node)]);
    }
    let mut usage = table(&["PROGRAM", "PROCESSES", "MEMORY", "CORES"]);
    let (mut processes, mut mebibytes, mut cores) = (0, 0.0, 0.0);
    for one in &status.usage {
        processes += one.processes;
        mebibytes += one.mebibytes;
        cores += one.cores;
        usage.add_row(row(&one.program, one.processes, one.mebibytes, one.cores));
    }
    usage.add_row(row("all", processes, mebibytes, cores));
    let mut text = format!("{nodes}\n");
    for (part, _) in status.control_plane.iter().filter(|(_, runs)| !runs) {
        text.extend([part, " does not run\n"]);
    }
    write!(std::io::stdout(), "{text}\n{usage}\n").context("cannot write to the standard output")
}

fn state(node: &NodeStatus) -> String {
    if !node.is_on {
        return "no power".to_owned();
    }
    let ready = match node.ready.as_deref() {
        Some("True") => "Ready",
        Some("False") => "not Ready",
        Some(_) => "not heard of by the API server",
        None => "not known to the API server",
    };
    let cuts = node.cuts.iter().map(|cut| match cut {
        Direction::Both => ", cut off",
        Direction::Incoming => ", hears nothing",
        Direction::Outgoing => ", is not heard",
    });
    format!("{ready}{}", cuts.collect::<String>())
}

fn row(program: &str, processes: usize, mebibytes: f64, cores: f64) -> [String; 4] {
    let memory = format!("{mebibytes:.0} MiB");
    [
        program.to_owned(),
        processes.to_string(),
        memory,
        format!("{cores:.2}"),
    ]
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head);
    table
}

/// The directory of a program.
pub(super) fn directory(program: &Path) -> String {
    program.parent().unwrap_or(program).display().to_string()
}
