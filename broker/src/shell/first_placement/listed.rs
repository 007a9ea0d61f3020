//! A line of the server file: the servers behind its name, and what each of them has.
//!
//! A name may lead to several servers, as that of a headless Service does: each is asked by itself.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt, join_all};
use kvcore::{
    limits::MEMBERS_MAX,
    placement::{MemberId, Placement},
    replica::Replica,
    wire::{Reply, Request, Secret, handshake::Expected},
};
use kvnet::peer::client::{LinkState, PeerClient};
use tokio::time::timeout;

use super::ServerAddress;

/// How long one round waits for one server.
pub(super) const ROUND: Duration = Duration::from_secs(2);

/// Finds the addresses behind a name.
pub trait Names: Send + Sync {
    /// All of them, in any order.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// Names as this machine resolves them.
#[derive(Debug, Clone, Copy)]
pub struct SystemNames;

impl Names for SystemNames {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        let found = tokio::net::lookup_host((host, port));
        async move { Ok(found.await?.collect()) }.boxed()
    }
}

/// One line of the server file.
pub(super) struct Listed {
    pub(super) server: ServerAddress,
    secret: Secret,
    links: HashMap<SocketAddr, Arc<PeerClient>>,
}

/// What one server said in a round.
pub(super) enum Said {
    Placement(Placement),
    Blank(MemberId),
    Nothing(String),
}

/// One server's answer, and the way to ask it more.
pub(super) struct Answer {
    pub(super) address: SocketAddr,
    pub(super) client: Arc<PeerClient>,
    pub(super) said: Said,
}

impl Listed {
    pub(super) fn new(server: &ServerAddress, secret: &Secret) -> Self {
        Self {
            server: server.clone(),
            secret: secret.clone(),
            links: HashMap::new(),
        }
    }

    /// Asks every server behind the name; an error says why there is none.
    pub(super) async fn ask(&mut self, names: &dyn Names) -> Result<Vec<Answer>, String> {
        let addresses = self.resolve(names).await?;
        self.links.retain(|address, _| addresses.contains(address));
        for &address in &addresses {
            let secret = &self.secret;
            self.links.entry(address).or_insert_with(|| {
                let (expected, secret) = (Expected::default(), secret.clone());
                Arc::new(PeerClient::start(address.to_string(), expected, secret))
            });
        }
        let answers = addresses.into_iter().map(|address| {
            let client = Arc::clone(&self.links[&address]);
            async move {
                let said = ask(&client).await;
                Answer {
                    address,
                    client,
                    said,
                }
            }
        });
        Ok(join_all(answers).await)
    }

    async fn resolve(&self, names: &dyn Names) -> Result<Vec<SocketAddr>, String> {
        let ServerAddress { host, port, .. } = &self.server;
        let mut addresses = match timeout(ROUND, names.resolve(host, *port)).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(_)) => Vec::new(),
            Err(_) => {
                let limit = ROUND.as_secs();
                return Err(format!("unknown host `{host}`: not found within {limit} s"));
            }
        };
        if addresses.is_empty() {
            return Err(format!("unknown host `{host}`"));
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MEMBERS_MAX);
        Ok(addresses)
    }
}

async fn ask(client: &PeerClient) -> Said {
    let reached = match client.settled(ROUND).await {
        LinkState::Live(reached) => reached,
        LinkState::Down(why) => return Said::Nothing(why),
        LinkState::New => return Said::Nothing("not connected yet".to_owned()),
    };
    match timeout(ROUND, client.call(Request::FetchPlacement)).await {
        Ok(Ok(Reply::Placement(Some(placement)))) => Said::Placement(placement),
        Ok(Ok(Reply::Placement(None))) => match reached.cluster {
            None => Said::Blank(reached.member),
            Some(cluster) => Said::Nothing(format!(
                "it belongs to cluster {cluster} and has no placement"
            )),
        },
        Ok(Ok(other)) => Said::Nothing(format!("it answered {other:?}")),
        Ok(Err(error)) => Said::Nothing(error.to_string()),
        Err(_) => Said::Nothing(format!("no answer within {} s", ROUND.as_secs())),
    }
}
