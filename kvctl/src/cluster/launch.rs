//! Starting one process of the cluster. It is this very program under another subcommand.

use std::{
    fs::{self, OpenOptions},
    num::NonZero,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

use super::{
    layout::Layout,
    state::{BrokerState, ClusterState, ServerState},
};

/// Read by the async runtime of a process: as many threads as cores where it is not set. Processes
/// that share one machine share its cores, and more threads than these would only take turns.
const WORKER_THREADS: &str = "TOKIO_WORKER_THREADS";

/// Starts server `server`; its log goes to a file.
pub fn server(layout: &Layout, state: &ClusterState, server: &ServerState) -> Result<Child> {
    let (address, port) = server
        .peer
        .rsplit_once(':')
        .context("a peer address has a port")?;
    let name = format!("server-{}", server.number);
    let mut command = this_program(layout, state, &name)?;
    command
        .arg("server")
        .args(["--address", address, "--port", port]);
    command.args(["--admin", &server.admin]);
    command.arg("--data-dir").arg(layout.server(server.number));
    command.args(["--mode", &state.mode, "--sync", &state.sync]);
    command.arg("--secret-file").arg(layout.secret());
    command
        .spawn()
        .with_context(|| format!("cannot start {name}"))
}

/// Starts broker `broker`; its log goes to a file.
pub fn broker(layout: &Layout, state: &ClusterState, broker: &BrokerState) -> Result<Child> {
    let name = format!("broker-{}", broker.number);
    let mut command = this_program(layout, state, &name)?;
    command.args(["broker", "--serve-only", "--no-bootstrap"]);
    command.arg("--servers").arg(layout.server_file());
    command.args(["--line", &broker.line, "--http", &broker.http]);
    command.arg("--secret-file").arg(layout.secret());
    command
        .spawn()
        .with_context(|| format!("cannot start {name}"))
}

fn this_program(layout: &Layout, state: &ClusterState, name: &str) -> Result<Command> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let path = layout.log(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    if std::env::var_os(WORKER_THREADS).is_none() {
        let processes = state.servers.len() + state.brokers.len();
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        command.env(
            WORKER_THREADS,
            (cores / processes.max(1)).max(1).to_string(),
        );
    }
    // A group of its own: Ctrl-C reaches `kvctl up` alone, which then stops the others in order.
    command.process_group(0);
    Ok(command)
}

/// The last lines of a process's log, for an error.
pub fn log_tail(layout: &Layout, name: &str) -> String {
    let text = fs::read_to_string(layout.log(name)).unwrap_or_default();
    let mut lines: Vec<_> = text.lines().rev().take(5).collect();
    lines.reverse();
    format!("\n    {}", lines.join("\n    "))
}
