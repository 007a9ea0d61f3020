//! An operator from its options to its end: API server, Lease, controllers, HTTP.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result, bail};
use kube::{
    Client, Config,
    runtime::events::{Recorder, Reporter},
};
use kvnet::shutdown::{self, Shutdown};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    act::{REQUEST_MAX, brief},
    cli::Run,
    controller::{self, Options},
    http,
    lease::{self, Claim, Leadership},
    metrics::Metrics,
    names::FIELD_MANAGER,
    observe::caches::{Nodes, Scope},
};

/// Looks after KvClusters until shutdown. Losing the Lease is an error: the process ends, so that
/// nothing of it goes on beside the one that holds it now.
pub async fn run(options: Run, shutdown: Shutdown) -> Result<()> {
    let mut config = Config::infer()
        .await
        .context("no cluster is known: run in one, or set KUBECONFIG")?;
    // Beyond what a watch is asked to last, so that none is cut off, and no request hangs for ever.
    config.read_timeout = Some(READ_MAX);
    let own_namespace = config.default_namespace.clone();
    let client = Client::try_from(config).context("the cluster cannot be talked to")?;
    let metrics = Metrics::new();
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let serving = kvnet::http::serve(listener, http::routes(metrics.clone()), shutdown.clone());
    let serving = tokio::spawn(serving);
    let Some(version) = api_server(&client, &shutdown).await else {
        return Ok(());
    };
    let identity = options.identity.clone().unwrap_or_else(identity);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        kubernetes = version,
        identity,
        "operator started"
    );
    let led = if options.without_leader_election {
        metrics.leads(true);
        let lead = Lead {
            identity,
            leadership: Leadership::without_lease(),
        };
        control(&options, &client, &lead, &metrics, shutdown.clone()).await
    } else {
        let claim = Claim {
            namespace: options.lease_namespace.clone().unwrap_or(own_namespace),
            name: options.lease_name.clone(),
            holder: identity,
        };
        lead(&options, &client, claim, &metrics, shutdown.clone()).await
    };
    metrics.leads(false);
    led?;
    serving.await.context("the HTTP server ended")?;
    Ok(())
}

/// Longest silence on a connection to the API server.
const READ_MAX: Duration = Duration::from_mins(5);

/// Pause before the API server is asked again.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// Waits until the API server answers, and tells its version; `None` on shutdown. Ending instead would
/// leave it to Kubernetes' growing pauses when there is an operator again.
async fn api_server(client: &Client, shutdown: &Shutdown) -> Option<String> {
    loop {
        let version = tokio::time::timeout(REQUEST_MAX, client.apiserver_version());
        let version = tokio::select! {
            version = version => version,
            () = shutdown.stopped() => return None,
        };
        let why = match version {
            Ok(Ok(version)) => return Some(version.git_version),
            Ok(Err(error)) => brief(&error),
            Err(_) => format!("no answer within {} s", REQUEST_MAX.as_secs()),
        };
        tracing::warn!(why, "the API server does not answer, it is asked again");
        tokio::select! {
            () = tokio::time::sleep(ASK_EVERY) => {}
            () = shutdown.stopped() => return None,
        }
    }
}

/// Acts while the Lease is held.
async fn lead(
    options: &Run,
    client: &Client,
    claim: Claim,
    metrics: &Metrics,
    shutdown: Shutdown,
) -> Result<()> {
    let identity = claim.holder.clone();
    let mut held = tokio::select! {
        held = lease::acquire(client.clone(), claim) => held,
        () = shutdown.stopped() => return Ok(()),
    };
    metrics.leads(true);
    let (stop, stopped) = shutdown::channel();
    let lead = Lead {
        identity,
        leadership: held.leadership(),
    };
    let work = control(options, client, &lead, metrics, stopped);
    tokio::pin!(work);
    tokio::select! {
        // Dropped where it stands: its last request names what it was decided on.
        lost = held.keep() => bail!("{lost}"),
        ended = &mut work => {
            ended?;
            bail!("the controllers ended by themselves");
        }
        () = shutdown.stopped() => {}
    }
    stop.stop();
    tokio::select! {
        lost = held.keep() => bail!("{lost}"),
        ended = work => ended?,
    }
    held.release().await;
    Ok(())
}

/// Who acts, and for how long.
struct Lead {
    identity: String,
    leadership: Leadership,
}

/// One controller a scope, until shutdown. One that ends before takes the process with it: a namespace that
/// nobody looks after must not go unnoticed.
async fn control(
    options: &Run,
    client: &Client,
    lead: &Lead,
    metrics: &Metrics,
    shutdown: Shutdown,
) -> Result<()> {
    let scopes: Vec<Scope> = if options.namespaces.is_empty() {
        vec![Scope::All]
    } else {
        // Named twice, it would have two controllers.
        let namespaces: BTreeSet<_> = options.namespaces.iter().cloned().collect();
        namespaces.into_iter().map(Scope::Namespace).collect()
    };
    let reporter = Reporter {
        controller: FIELD_MANAGER.to_owned(),
        instance: Some(lead.identity.clone()),
    };
    let recorder = Recorder::new(client.clone(), reporter);
    let mut controllers = JoinSet::new();
    for scope in scopes {
        let options = Options {
            client: client.clone(),
            scope,
            nodes: if options.without_nodes {
                Nodes::Ignore
            } else {
                Nodes::Watch
            },
            concurrency: options.concurrency,
            default_image: options.image.clone(),
            recorder: recorder.clone(),
            leadership: lead.leadership.clone(),
            metrics: metrics.clone(),
        };
        let shutdown = shutdown.clone();
        let stop = async move { shutdown.stopped().await };
        controllers.spawn(controller::run(options, stop));
    }
    while let Some(ended) = controllers.join_next().await {
        ended.context("a controller ended")??;
    }
    Ok(())
}

/// A name that no other operator has.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:08x}", host.trim(), rand::random::<u32>())
}
