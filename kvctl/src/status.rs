//! `kvctl status`: the cluster's health and how its data is spread.

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use kvcore::{placement::Placement, slot::Slot, status::MemberStatus};
use serde::Serialize;

use crate::cluster::{
    admin,
    layout::Layout,
    state::{ClusterState, ServerState},
};

/// The whole cluster. Field names are those of a `KvCluster`'s status.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Epoch of the newest placement seen.
    pub epoch: u64,
    /// Copies of each key.
    pub copies: usize,
    /// Slots by state.
    pub slots: SlotCounts,
    /// Servers that there should be.
    pub replicas: usize,
    /// Servers that have caught up and serve.
    pub ready_replicas: usize,
    /// Brokers that answer.
    pub ready_brokers: usize,
    /// Every server.
    pub members: Vec<MemberRow>,
}

/// Slots by state.
#[derive(Debug, Default, Serialize)]
pub struct SlotCounts {
    /// All copies are on members that serve.
    pub satisfied: u32,
    /// Copies are missing.
    pub short: u32,
    /// A replica is being changed.
    pub moving: u32,
    /// Copies differed when last compared, summed over members.
    pub behind: u32,
}

/// One server.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRow {
    /// Its number in this cluster.
    pub number: u16,
    /// Its id, once it has answered.
    pub id: Option<String>,
    /// Its peer address.
    pub address: String,
    /// Whether it has caught up and serves.
    pub ready: bool,
    /// Slots it holds.
    pub slots: u32,
    /// Keys with a value.
    pub keys: u64,
    /// Memory of tries and values, in bytes.
    pub bytes: u64,
    /// Size of its log, in bytes.
    pub log_bytes: u64,
    /// Epoch of its placement.
    pub epoch: u64,
    /// Version of its program.
    pub version: Option<String>,
    /// Why it is not ready.
    pub reason: Option<String>,
}

/// Asks everybody.
pub fn gather(layout: &Layout) -> Result<ClusterStatus> {
    let state = ClusterState::require(layout)?;
    let heard: Vec<(&ServerState, Result<MemberStatus>)> = state
        .servers
        .iter()
        .map(|server| (server, admin::status(&server.admin)))
        .collect();
    let placement = newest_placement(&heard);
    let members: Vec<_> = heard
        .iter()
        .map(|(server, heard)| row(server, heard))
        .collect();
    let ready_brokers = state
        .brokers
        .iter()
        .filter(|broker| admin::is_ready(&broker.http).unwrap_or(false));
    Ok(ClusterStatus {
        epoch: placement
            .as_ref()
            .map_or(0, |placement| placement.epoch().0),
        copies: placement.as_ref().map_or(state.copies, Placement::copies),
        slots: placement.map_or_else(unknown_slots, |placement| count(&placement, &heard)),
        replicas: state.servers.len(),
        ready_replicas: members.iter().filter(|member| member.ready).count(),
        ready_brokers: ready_brokers.count(),
        members,
    })
}

fn newest_placement(heard: &[(&ServerState, Result<MemberStatus>)]) -> Option<Placement> {
    let answered = heard.iter().filter(|(_, status)| status.is_ok());
    let newest = answered.max_by_key(|(_, status)| {
        status
            .as_ref()
            .map(|status| status.epoch)
            .unwrap_or_default()
    });
    newest.and_then(|(server, _)| admin::placement(&server.admin).ok())
}

/// Nobody says where the slots are, so no copy is known to serve.
fn unknown_slots() -> SlotCounts {
    SlotCounts {
        short: Slot::all().count().try_into().unwrap_or(u32::MAX),
        ..SlotCounts::default()
    }
}

fn count(placement: &Placement, heard: &[(&ServerState, Result<MemberStatus>)]) -> SlotCounts {
    let good: Vec<_> = heard
        .iter()
        .filter_map(|(_, status)| status.as_ref().ok())
        .filter(|status| status.ready && status.slots_unsynced == 0 && status.slots_damaged == 0)
        .filter_map(|status| placement.index_of(status.id))
        .collect();
    let mut counts = SlotCounts::default();
    for slot in Slot::all() {
        let placed = placement.slot(slot);
        let copies = placed
            .read_set()
            .members()
            .iter()
            .filter(|m| good.contains(m))
            .count();
        if placed.next().is_some() {
            counts.moving += 1;
        }
        if copies >= placement.copies() {
            counts.satisfied += 1;
        } else {
            counts.short += 1;
        }
    }
    let statuses = heard.iter().filter_map(|(_, status)| status.as_ref().ok());
    counts.behind = statuses.map(|status| status.slots_behind).sum();
    counts
}

fn row(server: &ServerState, heard: &Result<MemberStatus>) -> MemberRow {
    let (number, address) = (server.number, server.peer.clone());
    match heard {
        Ok(status) => MemberRow {
            number,
            id: Some(status.id.to_string()),
            address,
            ready: status.ready,
            slots: status.slots,
            keys: status.keys,
            bytes: status.memory_bytes,
            log_bytes: status.log_bytes,
            epoch: status.epoch.0,
            version: Some(status.program.clone()),
            reason: status.reason.clone(),
        },
        Err(error) => MemberRow {
            number,
            id: None,
            address,
            ready: false,
            slots: 0,
            keys: 0,
            bytes: 0,
            log_bytes: 0,
            epoch: 0,
            version: None,
            reason: Some(match server.process {
                Some(process) if process.is_alive() => format!("it does not answer: {error}"),
                Some(_) => "its process has ended".to_owned(),
                None => "it was not started".to_owned(),
            }),
        },
    }
}

/// The status as JSON.
pub fn to_json(status: &ClusterStatus) -> Result<String> {
    serde_json::to_string_pretty(status).context("the status serialises")
}

/// The status for people.
pub fn to_text(status: &ClusterStatus) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "SERVER", "ADDRESS", "READY", "SLOTS", "KEYS", "MEMORY", "LOG", "NOTE",
    ]);
    for member in &status.members {
        table.add_row([
            member.number.to_string(),
            member.address.clone(),
            if member.ready {
                "yes".to_owned()
            } else {
                "no".to_owned()
            },
            member.slots.to_string(),
            member.keys.to_string(),
            size(member.bytes),
            size(member.log_bytes),
            member.reason.clone().unwrap_or_default(),
        ]);
    }
    for column in [3, 4, 5, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let SlotCounts {
        satisfied,
        short,
        moving,
        behind,
    } = status.slots;
    format!(
        "epoch {}, {} copies; slots: {satisfied} satisfied, {short} short, {moving} moving, \
         {behind} behind; servers {}/{} ready, brokers ready: {}\n\n{table}",
        status.epoch, status.copies, status.ready_replicas, status.replicas, status.ready_brokers
    )
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}
