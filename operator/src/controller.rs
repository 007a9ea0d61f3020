//! Watches, prober and reconciliations of one scope, put together.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use futures_util::{FutureExt, StreamExt};
use kube::{
    Client,
    runtime::{
        controller::{self, Controller},
        events::Recorder,
        watcher,
    },
};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use crate::{
    context::Memory,
    http_client::HttpClient,
    lease::Leadership,
    metrics::Metrics,
    observe::{
        caches::{Caches, Nodes, Scope},
        prober::{self, Reports},
    },
    reconcile::{Watched, after_failure, reconcile},
};

/// News that wait to be looked at. A reporter waits when they are full; the scheduler behind them
/// keeps one entry a cluster, so they empty quickly.
const NEWS_MAX: usize = 1024;

/// What a controller needs.
#[derive(Clone)]
pub struct Options {
    /// The API server.
    pub client: Client,
    /// Whose clusters it looks after.
    pub scope: Scope,
    /// Whether nodes may be looked at.
    pub nodes: Nodes,
    /// Clusters that are looked at side by side.
    pub concurrency: u16,
    /// Image of servers and brokers where a `KvCluster` names none.
    pub default_image: String,
    /// Where Events go.
    pub recorder: Recorder,
    /// Whether this operator may still act.
    pub leadership: Leadership,
    /// Figures about the operator itself.
    pub metrics: Metrics,
}

/// Looks after all clusters of a scope until `stop`, and lets what is under way finish. That a watch or the
/// prober ends is an error: what is decided on would stand still.
pub async fn run(
    options: Options,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> Result<()> {
    let (triggers, mut news) = mpsc::channel(NEWS_MAX);
    let mut tasks = JoinSet::new();
    let caches = Caches::start(
        &options.client,
        &options.scope,
        options.nodes,
        &triggers,
        &mut tasks,
    );
    let (http, reports) = (HttpClient::default(), Reports::default());
    let pods = caches.pods.all().clone();
    tasks.spawn(prober::run(pods, http.clone(), reports.clone(), triggers));
    let stop = stop.shared();
    tokio::select! {
        listed = listed(&caches, stop.clone()) => if !listed {
            return Ok(());
        },
        Some(ended) = tasks.join_next() => return too_early(ended),
    }
    let context = crate::context::Context {
        client: options.client.clone(),
        http,
        caches,
        reports,
        recorder: options.recorder,
        leadership: options.leadership,
        metrics: options.metrics,
        default_image: options.default_image,
        memory: Arc::new(Memory::default()),
    };
    let memory = context.memory.clone();
    let clusters = options.scope.api::<Watched>(&options.client);
    let news = futures_util::stream::poll_fn(move |context| news.poll_recv(context))
        .map(|cluster| cluster.into_kind_unchecked::<Watched>(()));
    let config = controller::Config::default().concurrency(options.concurrency);
    let controlling = Controller::new(clusters, watcher::Config::default())
        .with_config(config)
        .reconcile_on(news)
        .graceful_shutdown_on(stop)
        .run(reconcile, after_failure, Arc::new(context))
        .for_each(|done| {
            match done {
                Ok((cluster, _)) => tracing::debug!(%cluster, "looked at"),
                Err(controller::Error::ObjectNotFound(cluster)) => {
                    tracing::debug!(%cluster, "is gone");
                    memory.forget(&cluster.into_kind_unchecked(()));
                }
                Err(error) => log(&error),
            }
            std::future::ready(())
        });
    tokio::select! {
        () = controlling => {}
        Some(ended) = tasks.join_next() => return too_early(ended),
    }
    tasks.shutdown().await;
    Ok(())
}

/// What is decided on would stand still.
fn too_early(ended: Result<(), JoinError>) -> Result<()> {
    ended.context("a watch or the prober ended")?;
    bail!("a watch or the prober ended by itself")
}

/// Waits until all watches have brought their first lists; `false` on shutdown. Waited for here, once: a
/// store of kube 5.0 wakes only the last of several that wait for it.
async fn listed(caches: &Caches, stop: impl Future<Output = ()>) -> bool {
    tokio::pin!(stop);
    loop {
        tokio::select! {
            listed = caches.ready() => match listed {
                Ok(()) => return true,
                Err(error) => tracing::error!(%error, "nothing is looked after yet"),
            },
            () = &mut stop => return false,
        }
    }
}

/// A failed reconciliation was logged where it failed; the rest is about watches.
fn log<R, W>(error: &controller::Error<R, W>)
where
    R: std::error::Error + 'static,
    W: std::error::Error + 'static,
{
    match error {
        controller::Error::ReconcilerFailed(..) => {}
        error => tracing::warn!(%error, "a watch failed, it is tried again"),
    }
}
