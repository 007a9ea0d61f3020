//! A cluster in the foreground: until a signal comes, or until nothing of it runs any more.

use std::time::Duration;

use anyhow::Result;
use kvnet::shutdown::{self, Shutdown};

use super::UpCluster;
use crate::cluster::{down, layout::Layout, state::ClusterState};

/// How often ended processes are looked for, to say so.
const LOOK: Duration = Duration::from_millis(200);

/// Hears SIGINT and SIGTERM from now on, and says which came.
pub fn stop_on_signal(say: impl Fn(&str) + Send + 'static) -> Shutdown {
    let (trigger, shutdown) = shutdown::channel();
    tokio::spawn(async move {
        match shutdown::signal().await {
            Ok(signal) => {
                say(&format!("{signal}: stopping"));
                trigger.stop();
            }
            // Holds the trigger, whose end would be heard as a stop.
            Err(error) => {
                say(&format!("cannot listen for signals: {error}"));
                std::future::pending::<()>().await;
            }
        }
    });
    shutdown
}

/// Waits for `shutdown`, saying when a process ends meanwhile; then stops everything. Ends too when
/// somebody else stopped it all.
pub async fn hold(
    layout: &Layout,
    mut cluster: UpCluster,
    shutdown: &Shutdown,
    say: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    loop {
        tokio::select! {
            () = shutdown.stopped() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
        let before = cluster.children.len();
        cluster
            .children
            .retain_mut(|(name, child)| match child.try_wait() {
                Ok(Some(status)) => {
                    say(&format!("{name} ended: {status}"));
                    false
                }
                _ => true,
            });
        // A server that was started again is no child of this process, but stands in the state.
        if cluster.children.len() < before && !ClusterState::require(layout)?.is_running() {
            say("nothing of the cluster runs any more");
            return Ok(());
        }
    }
    stop(layout, cluster, say).await
}

/// Stops everything.
pub async fn stop(layout: &Layout, cluster: UpCluster, say: &dyn Fn(&str)) -> Result<()> {
    match cluster.in_process {
        Some(in_process) => in_process.stop().await,
        None => down::down(layout, say),
    }
}
