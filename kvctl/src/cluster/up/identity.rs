//! Whether the server directories hold the cluster that `cluster.json` names.
//!
//! Asked before anything is started or written: servers that find their directories empty are
//! blank, and a new cluster made of them would answer that nothing was ever stored.

use anyhow::{Result, bail};
use kvserver::member_files::read_placement;

use crate::cluster::{layout::Layout, state::ClusterState};

/// Checks the directories; with `new_cluster`, forgets the cluster of which nothing is left.
pub(super) fn check(layout: &Layout, state: &mut ClusterState, new_cluster: bool) -> Result<()> {
    let mut found = None;
    for server in &state.servers {
        let Ok(placement) = read_placement(&layout.server(server.number)) else {
            // Not empty, at least; what is wrong with it the server itself says.
            return Ok(());
        };
        if let Some(placement) = placement {
            found = Some((server.number, placement.cluster()));
            break;
        }
    }
    let root = layout.root().display();
    match (state.cluster, found) {
        (_, Some((number, cluster))) if new_cluster => bail!(
            "{root}/server-{number} holds data of cluster {cluster}: --new-cluster is for when \
             that is gone from every server directory; choose another --data-dir, or empty them"
        ),
        (Some(known), Some((number, cluster))) if known != cluster => bail!(
            "{root}/server-{number} holds data of cluster {cluster}, but cluster.json names \
             cluster {known}: bring the right directories back"
        ),
        (Some(known), None) if !new_cluster => bail!(
            "every server directory in {root} is empty, but cluster.json names cluster {known}: \
             bring its directories back, or begin a new, empty cluster in their place with \
             `kvctl up --new-cluster`"
        ),
        (Some(_), None) => state.cluster = None,
        (_, Some((_, cluster))) => state.cluster = Some(cluster),
        (None, None) => {}
    }
    Ok(())
}
