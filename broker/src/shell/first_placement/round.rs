//! Asking every listed server what it has.

use std::{collections::HashMap, time::Duration};

use futures_util::future::join_all;
use kvcore::{
    placement::{Digest, Epoch, Member, MemberId, Placement},
    replica::Replica,
    wire::{Reply, Request, Secret, handshake::Expected},
};
use kvnet::peer::client::{LinkState, PeerClient};
use tokio::time::timeout;

use super::{FirstPlacementError, ServerAddress, Unreached};

/// How long one round waits for one server.
const ROUND: Duration = Duration::from_secs(2);

/// One listed server.
pub(super) struct Peer {
    server: ServerAddress,
    pub(super) client: PeerClient,
}

/// What one server said in a round.
enum Said {
    Placement(Placement),
    Blank(MemberId),
    Nothing(String),
}

impl Peer {
    pub(super) fn start(server: &ServerAddress, secret: &Secret) -> Self {
        let client = PeerClient::start(server.to_string(), Expected::default(), secret.clone());
        Self {
            server: server.clone(),
            client,
        }
    }

    async fn ask(&self) -> Said {
        let resolved = tokio::net::lookup_host((self.server.host.as_str(), self.server.port));
        match timeout(ROUND, resolved).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Said::Nothing(format!("unknown host `{}`", self.server.host)),
            Err(_) => {
                let (host, limit) = (&self.server.host, ROUND.as_secs());
                return Said::Nothing(format!("unknown host `{host}`: not found within {limit} s"));
            }
        }
        let reached = match self.client.settled(ROUND).await {
            LinkState::Live(reached) => reached,
            LinkState::Down(why) => return Said::Nothing(why),
            LinkState::New => return Said::Nothing("not connected yet".to_owned()),
        };
        match timeout(ROUND, self.client.call(Request::FetchPlacement)).await {
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
}

/// What all of them said, in the order of the server file.
pub(super) struct Round(Vec<Said>);

impl Round {
    pub(super) async fn ask(peers: &[Peer]) -> Self {
        Self(join_all(peers.iter().map(Peer::ask)).await)
    }

    /// The newest placement; two that contradict each other are an error.
    pub(super) fn newest(
        &self,
        servers: &[ServerAddress],
    ) -> Result<Option<Placement>, FirstPlacementError> {
        let mut newest: Option<(&ServerAddress, &Placement)> = None;
        let mut by_epoch: HashMap<Epoch, (&ServerAddress, Digest)> = HashMap::new();
        for (server, said) in servers.iter().zip(&self.0) {
            let Said::Placement(placement) = said else {
                continue;
            };
            let (epoch, digest) = (placement.epoch(), placement.digest());
            if let Some((other, have)) = newest
                && have.cluster() != placement.cluster()
            {
                return Err(FirstPlacementError::TwoClusters(
                    other.to_string(),
                    have.cluster(),
                    server.to_string(),
                    placement.cluster(),
                ));
            }
            let (other, first) = *by_epoch.entry(epoch).or_insert((server, digest));
            if first != digest {
                let (other, server) = (other.to_string(), server.to_string());
                return Err(FirstPlacementError::TwoPlacements(other, server, epoch));
            }
            let age = |p: &Placement| (p.epoch(), p.parts().address_revision);
            if newest.is_none_or(|(_, have)| age(placement) > age(have)) {
                newest = Some((server, placement));
            }
        }
        Ok(newest.map(|(_, placement)| placement.clone()))
    }

    /// Gives the placement to its blank members: whoever made it was interrupted.
    pub(super) async fn complete(&self, peers: &[Peer], placement: &Placement) {
        let blank = peers.iter().zip(&self.0).filter(|(_, said)| match said {
            Said::Blank(member) => placement.index_of(*member).is_some(),
            _ => false,
        });
        let offers = blank
            .map(|(peer, _)| timeout(ROUND, peer.client.call(Request::Adopt(placement.clone()))));
        join_all(offers).await;
    }

    /// The members in the order of their ids, when each server is reachable and blank.
    pub(super) fn all_blank(
        &self,
        servers: &[ServerAddress],
    ) -> Result<Option<Vec<Member>>, FirstPlacementError> {
        let mut members: Vec<(Member, &ServerAddress)> = Vec::new();
        for (server, said) in servers.iter().zip(&self.0) {
            let Said::Blank(id) = *said else {
                return Ok(None);
            };
            if let Some((_, other)) = members.iter().find(|(member, _)| member.id == id) {
                let (other, server) = (other.to_string(), server.to_string());
                return Err(FirstPlacementError::SameMember(other, server, id));
            }
            let member = Member {
                id,
                address: server.to_string(),
                zone: server.zone.clone(),
                weight: 1,
            };
            members.push((member, server));
        }
        members.sort_by_key(|(member, _)| member.id);
        Ok(Some(
            members.into_iter().map(|(member, _)| member).collect(),
        ))
    }

    pub(super) fn unreached(&self, servers: &[ServerAddress]) -> Vec<Unreached> {
        let silent = servers.iter().zip(&self.0).filter_map(|(server, said)| {
            let Said::Nothing(why) = said else {
                return None;
            };
            Some(Unreached {
                server: server.clone(),
                why: why.clone(),
            })
        });
        silent.collect()
    }
}
