//! `kvctl down`, `kill` and `start`.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::{
    admin::{self, Stage},
    launch,
    layout::Layout,
    process::{ProcessId, stop_all},
    state::{self, ClusterState},
};
use crate::limits::{RECONNECT_MAX, STOP_MAX};

/// Stops everything that runs; nothing is wrong when nothing does.
pub fn down(layout: &Layout, say: &dyn Fn(&str)) -> Result<()> {
    let state = ClusterState::require(layout)?;
    let running: Vec<_> = state
        .processes()
        .into_iter()
        .filter(|process| process.is_alive())
        .collect();
    if running.is_empty() {
        say("nothing was running");
        return Ok(());
    }
    // Brokers finish what they have in flight while the servers are still there.
    let brokers = state.brokers.iter().filter_map(|broker| broker.process);
    let killed = stop_all(&brokers.collect::<Vec<_>>())? + stop_all(&running)?;
    let forced = match killed {
        0 => String::new(),
        killed => format!(", {killed} of them killed after {} s", STOP_MAX.as_secs()),
    };
    let plural = if running.len() == 1 { "" } else { "es" };
    say(&format!(
        "stopped {} process{plural}{forced}",
        running.len()
    ));
    Ok(())
}

/// Kills server `number` at once, as a power failure of its process would.
pub fn kill(layout: &Layout, number: u16) -> Result<ProcessId> {
    let state = ClusterState::require(layout)?;
    if state.in_process.is_some_and(ProcessId::is_alive) {
        bail!("this cluster runs in one process (--in-process): no server of it can be killed");
    }
    let process = state
        .server(number)?
        .process
        .filter(|process| process.is_alive());
    let process = process.with_context(|| format!("server {number} is not running"))?;
    process.signal(Signal::KILL)?;
    if !process.wait_ended(Instant::now(), STOP_MAX) {
        bail!("server {number} (process {}) does not end", process.pid);
    }
    Ok(process)
}

/// Starts server `number` again and waits until it has caught up and brokers that need it have it.
pub fn start(layout: &Layout, number: u16) -> Result<ProcessId> {
    let process = state::change(layout, |state| {
        let server = state.server(number)?.clone();
        if state.in_process.is_some_and(ProcessId::is_alive) {
            bail!("this cluster runs in one process (--in-process)");
        }
        if let Some(process) = server.process.filter(|process| process.is_alive()) {
            bail!(
                "server {number} is running already, as process {}",
                process.pid
            );
        }
        let child = launch::server(layout, state, &server)?;
        let process = ProcessId::of(child.id())?;
        let at = state
            .servers
            .iter_mut()
            .find(|server| server.number == number);
        at.context("it was there a moment ago")?.process = Some(process);
        Ok(process)
    })?;
    let state = ClusterState::require(layout)?;
    let name = format!("server-{number}");
    admin::wait(&state.server(number)?.admin, Stage::Ready, Some(process)).with_context(|| {
        let tail = launch::log_tail(layout, &name);
        format!(
            "{name} is not ready; {} ends with:{tail}",
            layout.log(&name).display()
        )
    })?;
    // Brokers try to connect again after a pause; a command given now should not fail for that.
    let peer = &state.server(number)?.peer;
    for broker in &state.brokers {
        admin::wait_reached(&broker.http, peer, RECONNECT_MAX);
    }
    Ok(process)
}
