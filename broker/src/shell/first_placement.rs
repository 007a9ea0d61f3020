//! The first placement: taken from whoever has one, or made when every server is blank.
//!
//! A placement made here depends on nothing but the servers' member ids and what was asked for,
//! so that two brokers that start at the same time make the same one.

mod listed;
mod round;
pub mod server_file;

use std::time::Duration;

use futures_util::future::join_all;
use kvcore::{
    limits::COPIES_MAX,
    placement::{
        AuthorId, ClusterId, Epoch, Member, MemberId, Parts, Placement, PlacementError, Quorums,
        SlotPlacement, majority,
        planner::{PlanError, plan},
    },
    replica::Replica,
    wire::{Refusal, Reply, Request, Secret},
};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use self::{
    listed::Listed,
    round::{Blank, Round},
};
pub use self::{
    listed::{Names, SystemNames},
    server_file::{ServerAddress, ServerFileError},
};
use crate::limits::PROPOSE_MS;

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
    /// A name leads to several blank servers.
    #[error(
        "{0} leads to {1} servers: to make the first placement, list each under an address of its own"
    )]
    SeveralServers(String, usize),
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
/// Takes the newest that any of them has; else, with [`Bootstrap::Yes`], makes the first. Behind a
/// name there may be several servers, which are all asked. Servers that are still starting are waited
/// for until `limit`.
pub async fn learn_or_make(
    servers: &[ServerAddress],
    copies: usize,
    quorums: Quorums,
    bootstrap: Bootstrap,
    secret: &Secret,
    limit: Duration,
) -> Result<(Placement, Vec<Unreached>), FirstPlacementError> {
    let names = SystemNames;
    let wish = Wish {
        copies,
        quorums,
        bootstrap,
    };
    learn_or_make_by(&names, servers, wish, secret, limit).await
}

/// What a placement should be like, if it has to be made.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Copies of each slot.
    pub copies: usize,
    /// Read and write quorums.
    pub quorums: Quorums,
    /// Whether it may be made at all.
    pub bootstrap: Bootstrap,
}

/// The same with other names than this machine's.
pub async fn learn_or_make_by(
    names: &dyn Names,
    servers: &[ServerAddress],
    wish: Wish,
    secret: &Secret,
    limit: Duration,
) -> Result<(Placement, Vec<Unreached>), FirstPlacementError> {
    let deadline = Instant::now() + limit;
    let mut listed: Vec<_> = servers
        .iter()
        .map(|server| Listed::new(server, secret))
        .collect();
    loop {
        let round = Round::ask(&mut listed, names).await;
        if let Some(placement) = round.newest()? {
            round.complete(&placement).await;
            return Ok((placement, round.unreached()));
        }
        if wish.bootstrap == Bootstrap::Yes
            && let Some(blanks) = round.all_blank()?
        {
            let members = blanks.iter().map(Blank::to_member).collect();
            let placement = make(members, wish.copies, wish.quorums)?;
            if let Some(placement) = propose(&blanks, placement).await? {
                tracing::info!(cluster = %placement.cluster(), "made the first placement");
                return Ok((placement, Vec::new()));
            }
            // Somebody else was faster: take theirs.
        }
        if Instant::now() >= deadline {
            let others = round.unreached();
            return Err(match wish.bootstrap {
                Bootstrap::Yes => FirstPlacementError::NotAllReached(others),
                Bootstrap::No => FirstPlacementError::NotMade(others),
            });
        }
        sleep(PAUSE).await;
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
        slots: SlotPlacement::all_stable(sets, Epoch(1), quorums),
    })?)
}

/// Gives the placement to everybody; `None` when somebody has another one by now.
async fn propose(
    blanks: &[Blank],
    placement: Placement,
) -> Result<Option<Placement>, FirstPlacementError> {
    let limit = Duration::from_millis(PROPOSE_MS);
    let offers = blanks
        .iter()
        .map(|blank| timeout(limit, blank.client.call(Request::Adopt(placement.clone()))));
    let mut others = Vec::new();
    let mut accepted = 0;
    for (blank, answer) in blanks.iter().zip(join_all(offers).await) {
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
            server: blank.server.clone(),
            why,
        });
    }
    let needed = majority(blanks.len());
    if accepted >= needed {
        return Ok(Some(placement));
    }
    Err(FirstPlacementError::NotAccepted {
        accepted,
        servers: blanks.len(),
        needed,
        others,
    })
}
