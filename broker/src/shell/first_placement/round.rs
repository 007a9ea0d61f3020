//! What all listed servers said, and what follows from it.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::join_all;
use kvcore::{
    placement::{Digest, Epoch, Member, MemberId, Placement},
    replica::Replica,
    wire::Request,
};
use kvnet::peer::client::PeerClient;
use tokio::time::timeout;

use super::{
    FirstPlacementError, ServerAddress, Unreached,
    listed::{Answer, Listed, Names, ROUND, Said},
};

/// What one line of the server file came to.
struct Heard {
    server: ServerAddress,
    /// One a server behind the name; an error where there is none.
    answers: Result<Vec<Answer>, String>,
}

/// A blank server that can take part in the first placement.
pub(super) struct Blank {
    pub(super) server: ServerAddress,
    pub(super) member: MemberId,
    pub(super) client: Arc<PeerClient>,
}

impl Blank {
    /// As the first placement names it.
    pub(super) fn to_member(&self) -> Member {
        Member {
            id: self.member,
            address: self.server.to_string(),
            zone: self.server.zone.clone(),
            weight: 1,
        }
    }
}

/// What all of them said, in the order of the server file.
pub(super) struct Round(Vec<Heard>);

impl Heard {
    fn answers(&self) -> &[Answer] {
        self.answers.as_deref().unwrap_or_default()
    }

    /// One of the servers behind the name, for people.
    fn shown(&self, answer: &Answer) -> String {
        if self.answers().len() == 1 {
            self.server.to_string()
        } else {
            format!("{} at {}", self.server, answer.address)
        }
    }

    /// The blank members behind the name, each once.
    fn blanks(&self) -> Vec<Blank> {
        let mut blanks: Vec<Blank> = Vec::new();
        for answer in self.answers() {
            let Said::Blank(member) = answer.said else {
                continue;
            };
            if blanks.iter().all(|blank| blank.member != member) {
                blanks.push(Blank {
                    server: self.server.clone(),
                    member,
                    client: Arc::clone(&answer.client),
                });
            }
        }
        blanks
    }

    /// Why nobody behind the name could help; `None` where somebody could.
    fn why_unreached(&self) -> Option<String> {
        let answers = match &self.answers {
            Ok(answers) => answers,
            Err(why) => return Some(why.clone()),
        };
        let mut reasons = Vec::new();
        for answer in answers {
            let Said::Nothing(why) = &answer.said else {
                return None;
            };
            reasons.push(match answers.len() {
                1 => why.clone(),
                _ => format!("at {}: {why}", answer.address),
            });
        }
        Some(reasons.join(", "))
    }
}

impl Round {
    pub(super) async fn ask(listed: &mut [Listed], names: &dyn Names) -> Self {
        let heard = listed.iter_mut().map(|listed| async {
            Heard {
                answers: listed.ask(names).await,
                server: listed.server.clone(),
            }
        });
        Self(join_all(heard).await)
    }

    /// The newest placement; two that contradict each other are an error.
    pub(super) fn newest(&self) -> Result<Option<Placement>, FirstPlacementError> {
        let mut newest: Option<(String, &Placement)> = None;
        let mut by_epoch: HashMap<Epoch, (String, Digest)> = HashMap::new();
        for (server, placement) in self.placements() {
            let (epoch, digest) = (placement.epoch(), placement.digest());
            if let Some((other, have)) = &newest
                && have.cluster() != placement.cluster()
            {
                return Err(FirstPlacementError::TwoClusters(
                    other.clone(),
                    have.cluster(),
                    server,
                    placement.cluster(),
                ));
            }
            let first = by_epoch.entry(epoch);
            let (other, first) = first.or_insert_with(|| (server.clone(), digest));
            if *first != digest {
                let other = other.clone();
                return Err(FirstPlacementError::TwoPlacements(other, server, epoch));
            }
            let age = |p: &Placement| (p.epoch(), p.parts().address_revision);
            let is_newest = newest
                .as_ref()
                .is_none_or(|(_, have)| age(placement) > age(have));
            if is_newest {
                newest = Some((server, placement));
            }
        }
        Ok(newest.map(|(_, placement)| placement.clone()))
    }

    /// Every placement that somebody has, with who it is.
    fn placements(&self) -> impl Iterator<Item = (String, &Placement)> {
        self.0.iter().flat_map(|heard| {
            let answers = heard.answers().iter();
            answers.filter_map(move |answer| match &answer.said {
                Said::Placement(placement) => Some((heard.shown(answer), placement)),
                Said::Blank(_) | Said::Nothing(_) => None,
            })
        })
    }

    /// Gives the placement to its blank members: whoever made it was interrupted.
    pub(super) async fn complete(&self, placement: &Placement) {
        let blanks = self.0.iter().flat_map(Heard::blanks);
        let named = blanks.filter(|blank| placement.index_of(blank.member).is_some());
        let offers = named.map(|blank| {
            let offer = blank.client.call(Request::Adopt(placement.clone()));
            timeout(ROUND, offer)
        });
        join_all(offers).await;
    }

    /// The servers in the order of their members' ids, when each is reachable and blank.
    pub(super) fn all_blank(&self) -> Result<Option<Vec<Blank>>, FirstPlacementError> {
        let mut all: Vec<Blank> = Vec::new();
        for heard in &self.0 {
            let mut blanks = heard.blanks();
            if blanks.len() > 1 {
                let server = heard.server.to_string();
                return Err(FirstPlacementError::SeveralServers(server, blanks.len()));
            }
            let Some(blank) = blanks.pop() else {
                return Ok(None);
            };
            if let Some(other) = all.iter().find(|other| other.member == blank.member) {
                let (other, server) = (other.server.to_string(), blank.server.to_string());
                return Err(FirstPlacementError::SameMember(other, server, blank.member));
            }
            all.push(blank);
        }
        all.sort_by_key(|blank| blank.member);
        Ok(Some(all))
    }

    pub(super) fn unreached(&self) -> Vec<Unreached> {
        let silent = self.0.iter().filter_map(|heard| {
            Some(Unreached {
                server: heard.server.clone(),
                why: heard.why_unreached()?,
            })
        });
        silent.collect()
    }
}
