//! A broker process: a placement, a broker on it, and its listening sockets.
//!
//! The broker's own program uses it, and so does `kvctl` to be a broker.

use std::{sync::Arc, time::Duration};

use kvcore::{
    placement::{Placement, Quorums},
    wire::Secret,
};
use kvnet::{clock::SystemClock, shutdown::Shutdown};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    command::execute::incomplete,
    control::Control,
    http,
    line::{self, LineLimits},
    shell::{
        Broker, BrokerOptions, TcpDial,
        first_placement::{Bootstrap, FirstPlacementError, ServerAddress, learn_or_make},
    },
};

/// How long a round of looking for the first placement may take.
const FIRST_PLACEMENT_LIMIT: Duration = Duration::from_secs(5);

/// Where the first placement comes from.
#[derive(Debug, Clone)]
pub enum PlacementSource {
    /// It is given.
    Known(Placement),
    /// It is asked of these servers, or made for them.
    Servers {
        /// The servers.
        servers: Vec<ServerAddress>,
        /// Copies of each slot, for a placement that is made.
        copies: usize,
        /// Quorums, for a placement that is made.
        quorums: Quorums,
        /// Whether one may be made.
        bootstrap: Bootstrap,
        /// What to do when there is none.
        patience: Patience,
    },
}

/// What to do without a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Say so and end.
    GiveUp,
    /// Say so and keep asking.
    KeepAsking,
}

/// Everything a broker process needs.
#[derive(Debug)]
pub struct ProcessOptions {
    /// Where the placement comes from.
    pub source: PlacementSource,
    /// The cluster's secret.
    pub secret: Secret,
    /// How the broker behaves.
    pub broker: BrokerOptions,
    /// The line protocol's socket.
    pub line: Option<TcpListener>,
    /// The HTTP socket.
    pub http: Option<TcpListener>,
}

/// A broker with its servers.
#[derive(Debug)]
pub struct BrokerProcess {
    broker: Broker,
    servers: JoinSet<()>,
}

/// Runs a broker until shutdown; open connections get [`kvnet::limits::DRAIN_MAX`] to finish.
pub async fn run(options: ProcessOptions, shutdown: Shutdown) -> Result<(), FirstPlacementError> {
    if let Some(process) = BrokerProcess::start(options, shutdown).await? {
        process.finished().await;
    }
    Ok(())
}

impl BrokerProcess {
    /// Starts serving; `None` when shutdown came before there was a placement.
    ///
    /// HTTP answers at once, so that others can see what the process waits for.
    pub async fn start(
        options: ProcessOptions,
        shutdown: Shutdown,
    ) -> Result<Option<Self>, FirstPlacementError> {
        let mut servers = JoinSet::new();
        let clock = Arc::new(SystemClock);
        let control = Control::new(options.secret.clone(), clock, shutdown.clone());
        if let Some(listener) = options.http {
            listens("HTTP listens", &listener);
            servers.spawn(http::serve(listener, control.clone(), shutdown.clone()));
        }
        let placement = tokio::select! {
            placement = options.source.placement(&options.secret, &control) => placement?,
            () = shutdown.stopped() => {
                while servers.join_next().await.is_some() {}
                return Ok(None);
            }
        };
        let dial = Arc::new(TcpDial::new(options.secret));
        let broker = Broker::start(placement, dial, Arc::new(SystemClock), options.broker).await;
        control.announce(broker.clone());
        let placement = broker.view().placement().clone();
        tracing::info!(
            cluster = %placement.cluster(), epoch = %placement.epoch(),
            servers = placement.members().len(), copies = placement.copies(), "broker started"
        );
        if let Some(warning) = incomplete(&broker) {
            tracing::warn!("{warning}");
        }
        if let Some(listener) = options.line {
            let limits = LineLimits::default();
            listens("line protocol listens", &listener);
            servers.spawn(line::serve(listener, broker.clone(), limits, shutdown));
        }
        Ok(Some(Self { broker, servers }))
    }

    /// The broker, for work in this process.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Waits until every server has ended, which they do after shutdown.
    pub async fn finished(mut self) {
        while self.servers.join_next().await.is_some() {}
    }
}

/// The port may have been chosen by the system.
fn listens(what: &str, listener: &TcpListener) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "{what}");
    }
}

impl PlacementSource {
    /// The first placement: known, asked for, made, or pushed by the cluster's author.
    async fn placement(
        self,
        secret: &Secret,
        control: &Control,
    ) -> Result<Placement, FirstPlacementError> {
        // Who may be making the first one must not be stopped half-way: what is pushed meanwhile is
        // held against it afterwards.
        let may_be_pushed = matches!(
            self,
            Self::Servers {
                bootstrap: Bootstrap::No,
                ..
            }
        );
        tokio::select! {
            asked = self.asked(secret) => asked,
            pushed = control.first_pushed(), if may_be_pushed => Ok(pushed),
        }
    }

    async fn asked(self, secret: &Secret) -> Result<Placement, FirstPlacementError> {
        let (servers, copies, quorums, bootstrap, patience) = match self {
            Self::Known(placement) => return Ok(placement),
            Self::Servers {
                servers,
                copies,
                quorums,
                bootstrap,
                patience,
            } => (servers, copies, quorums, bootstrap, patience),
        };
        loop {
            let limit = FIRST_PLACEMENT_LIMIT;
            match learn_or_make(&servers, copies, quorums, bootstrap, secret, limit).await {
                Ok((placement, unreached)) => {
                    for server in unreached {
                        tracing::warn!(server = %server.server, why = server.why, "not reached");
                    }
                    return Ok(placement);
                }
                Err(error) if patience == Patience::KeepAsking => {
                    tracing::warn!(%error, "no placement yet");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
