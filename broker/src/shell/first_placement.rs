//! The first placement: taken from whoever has one, or made when every server is blank.
//!
//! A placement made here depends on nothing but the servers' member ids and what was asked for,
//! so that two brokers that start at the same time make the same one.

pub mod server_file;

use std::{collections::HashMap, time::Duration};

use futures_util::future::join_all;
use kvcore::{
    limits::COPIES_MAX,
    placement::{
        AuthorId, ClusterId, Digest, Epoch, Member, MemberId, Parts, Placement, PlacementError,
        Quorums, SlotPlacement, majority,
        planner::{PlanError, plan},
    },
    replica::Replica,
    wire::{Refusal, Reply, Request, Secret, handshake::Expected},
};
use kvnet::peer::client::{LinkState, PeerClient};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

pub use self::server_file::{ServerAddress, ServerFileError};
use crate::limits::PROPOSE_MS;

/// How long one round waits for one server.
const ROUND: Duration = Duration::from_secs(2);

/// Pause between two rounds.
const PAUSE: Duration = Duration::from_millis(200);

/// Seeds of the two names that are derived from the members.
const CLUSTER_SEED: u64 = 0x6b76_6173_6972_0001;
const AUTHOR_SEED: u64 = 0x6b76_6173_6972_0002;

/// Whether a first placement may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrap {
    /// When every listed server is reachable and blank.
    Yes,
    /// Never: somebody else is the author.
    No,
}

/// A listed server that could not help, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// Which one.
    pub server: ServerAddress,
    /// Why.
    pub why: String,
}

/// Why there is no placement.
#[derive(Debug, thiserror::Error)]
pub enum FirstPlacementError {
    /// Two servers belong to different clusters.
    #[error("{0} belongs to cluster {1}, {2} to cluster {3}: list the servers of one cluster")]
    TwoClusters(String, ClusterId, String, ClusterId),
    /// Two servers have different placements under one epoch.
    #[error("{0} and {1} have different placements under epoch {2}: two authors at work?")]
    TwoPlacements(String, String, Epoch),
    /// Two lines of the server file lead to one server.
    #[error("{0} and {1} are the same server, member {2}: list it once")]
    SameMember(String, String, MemberId),
    /// Nobody has one, and none may be made.
    #[error(
        "no server has a placement{}: let the cluster's author make one, or start with --bootstrap",
        listed(.0)
    )]
    NotMade(Vec<Unreached>),
    /// Nobody has one, and not every server could take part in the first.
    #[error(
        "no server has a placement, and making the first needs every listed server{}",
        listed(.0)
    )]
    NotAllReached(Vec<Unreached>),
    /// The plan is impossible.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The placement would break a limit.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// Too few accepted it.
    #[error("{accepted} of {servers} servers accepted the first placement, {needed} are needed{}", listed(.others))]
    NotAccepted {
        /// Those that did.
        accepted: usize,
        /// All of them.
        servers: usize,
        /// A majority of all.
        needed: usize,
        /// Those that did not.
        others: Vec<Unreached>,
    },
}

fn listed(servers: &[Unreached]) -> String {
    let each = servers
        .iter()
        .map(|Unreached { server, why }| format!("; {server}: {why}"));
    each.collect()
}

/// The placement of these servers, and those that did not help.
///
/// Takes the newest that any of them has; else, with [`Bootstrap::Yes`], makes the first. Servers
/// that are still starting are waited for until `limit`.
pub async fn learn_or_make(
    servers: &[ServerAddress],
    copies: usize,
    quorums: Quorums,
    bootstrap: Bootstrap,
    secret: &Secret,
    limit: Duration,
) -> Result<(Placement, Vec<Unreached>), FirstPlacementError> {
    let deadline = Instant::now() + limit;
    let peers: Vec<_> = servers
        .iter()
        .map(|server| Peer::start(server, secret))
        .collect();
    loop {
        let round = Round::ask(&peers).await;
        if let Some(placement) = round.newest(servers)? {
            round.complete(&peers, &placement).await;
            return Ok((placement, round.unreached(servers)));
        }
        if bootstrap == Bootstrap::Yes
            && let Some(members) = round.all_blank(servers)?
        {
            let placement = make(members, copies, quorums)?;
            if let Some(placement) = propose(&peers, placement, servers).await? {
                tracing::info!(cluster = %placement.cluster(), "made the first placement");
                return Ok((placement, Vec::new()));
            }
            // Somebody else was faster: take theirs.
        }
        if Instant::now() >= deadline {
            let others = round.unreached(servers);
            return Err(match bootstrap {
                Bootstrap::Yes => FirstPlacementError::NotAllReached(others),
                Bootstrap::No => FirstPlacementError::NotMade(others),
            });
        }
        sleep(PAUSE).await;
    }
}

/// One listed server.
struct Peer {
    server: ServerAddress,
    client: PeerClient,
}

/// What one server said in a round.
enum Said {
    Placement(Placement),
    Blank(MemberId),
    Nothing(String),
}

impl Peer {
    fn start(server: &ServerAddress, secret: &Secret) -> Self {
        let client = PeerClient::start(server.to_string(), Expected::default(), secret.clone());
        Self {
            server: server.clone(),
            client,
        }
    }

    async fn ask(&self) -> Said {
        let resolved = tokio::net::lookup_host((self.server.host.as_str(), self.server.port));
        if let Ok(Err(_)) = timeout(ROUND, resolved).await {
            return Said::Nothing(format!("unknown host `{}`", self.server.host));
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
struct Round(Vec<Said>);

impl Round {
    async fn ask(peers: &[Peer]) -> Self {
        Self(join_all(peers.iter().map(Peer::ask)).await)
    }

    /// The newest placement; two that contradict each other are an error.
    fn newest(&self, servers: &[ServerAddress]) -> Result<Option<Placement>, FirstPlacementError> {
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
    async fn complete(&self, peers: &[Peer], placement: &Placement) {
        let blank = peers.iter().zip(&self.0).filter(|(_, said)| match said {
            Said::Blank(member) => placement.index_of(*member).is_some(),
            _ => false,
        });
        let offers = blank
            .map(|(peer, _)| timeout(ROUND, peer.client.call(Request::Adopt(placement.clone()))));
        join_all(offers).await;
    }

    /// The members in the order of their ids, when each server is reachable and blank.
    fn all_blank(
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

    fn unreached(&self, servers: &[ServerAddress]) -> Vec<Unreached> {
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

/// The first placement of these members, which are sorted by id.
pub fn make(
    members: Vec<Member>,
    copies: usize,
    quorums: Quorums,
) -> Result<Placement, FirstPlacementError> {
    let sets = plan(&members, copies, None)?;
    let ids: Vec<u8> = members
        .iter()
        .flat_map(|member| *member.id.0.as_bytes())
        .collect();
    let named = |seed| {
        let hash = xxhash_rust::xxh3::xxh3_128_with_seed(&ids, seed);
        uuid::Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid()
    };
    let (cluster, author): (Uuid, Uuid) = (named(CLUSTER_SEED), named(AUTHOR_SEED));
    Ok(Placement::new(Parts {
        cluster: ClusterId(cluster),
        epoch: Epoch(1),
        author: AuthorId(author),
        address_revision: 0,
        copies: u8::try_from(copies).map_err(|_| PlanError::Copies(COPIES_MAX + 1))?,
        quorums,
        members,
        slots: sets
            .into_iter()
            .map(|current| SlotPlacement::Stable { current })
            .collect(),
    })?)
}

/// Gives the placement to everybody; `None` when somebody has another one by now.
async fn propose(
    peers: &[Peer],
    placement: Placement,
    servers: &[ServerAddress],
) -> Result<Option<Placement>, FirstPlacementError> {
    let limit = Duration::from_millis(PROPOSE_MS);
    let offers = peers
        .iter()
        .map(|peer| timeout(limit, peer.client.call(Request::Adopt(placement.clone()))));
    let mut others = Vec::new();
    let mut accepted = 0;
    for (server, answer) in servers.iter().zip(join_all(offers).await) {
        let why = match answer {
            Ok(Ok(Reply::Adopted { digest, .. })) if digest == placement.digest() => {
                accepted += 1;
                continue;
            }
            Ok(Ok(
                Reply::Adopted { .. }
                | Reply::Refused(Refusal::Placement(_) | Refusal::StaleEpoch(_)),
            )) => return Ok(None),
            Ok(Ok(Reply::Refused(refusal))) => refusal.to_string(),
            Ok(Ok(other)) => format!("it answered {other:?}"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {PROPOSE_MS} ms"),
        };
        others.push(Unreached {
            server: server.clone(),
            why,
        });
    }
    let needed = majority(servers.len());
    if accepted >= needed {
        return Ok(Some(placement));
    }
    Err(FirstPlacementError::NotAccepted {
        accepted,
        servers: servers.len(),
        needed,
        others,
    })
}
