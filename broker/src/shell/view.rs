//! A placement and the replicas it names, together.

use std::{cmp::Ordering, collections::HashMap, sync::Arc, time::Duration};

use kvcore::{
    placement::{AuthorId, ClusterId, Epoch, MemberId, Parts, Placement},
    replica::Replica,
};
use kvnet::peer::dial::Dial;
use parking_lot::Mutex;

/// A placement and its members' replicas, in the same order.
#[derive(Debug)]
pub struct View {
    placement: Placement,
    replicas: Vec<Arc<dyn Replica>>,
}

impl View {
    /// The placement.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// One replica a member, in the placement's order.
    pub fn replicas(&self) -> &[Arc<dyn Replica>] {
        &self.replicas
    }
}

/// Why a placement is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    /// It is another cluster's.
    #[error("it is for cluster {offered}, this broker serves {ours}")]
    Cluster {
        /// The cluster it is for.
        offered: ClusterId,
        /// The cluster that this broker serves.
        ours: ClusterId,
    },
    /// Somebody else decided it than the placement in use.
    #[error("it is by author {offered}, this broker follows {ours}")]
    Author {
        /// Who decided it.
        offered: AuthorId,
        /// Who decided the placement in use.
        ours: AuthorId,
    },
    /// Two placements have one number.
    #[error("epoch {0} is known with another content: two authors at work?")]
    Digest(Epoch),
    /// The placement in use is newer.
    #[error("it is older: epoch {epoch} with address revision {revision} is in use")]
    Older {
        /// Epoch of the placement in use.
        epoch: Epoch,
        /// Revision of its addresses.
        revision: u64,
    },
}

/// What to do with a placement that was offered.
#[derive(Debug, PartialEq, Eq)]
enum Offer {
    /// Use it.
    Take,
    /// It is in use already.
    Known,
}

/// Whether a placement may be taken: of this cluster, by the same author, and newer.
fn judge(have: &Placement, offered: &Placement) -> Result<Offer, LearnError> {
    let (theirs, ours) = (offered.parts(), have.parts());
    if theirs.cluster != ours.cluster {
        return Err(LearnError::Cluster {
            offered: theirs.cluster,
            ours: ours.cluster,
        });
    }
    if theirs.author != ours.author {
        return Err(LearnError::Author {
            offered: theirs.author,
            ours: ours.author,
        });
    }
    if theirs.epoch == ours.epoch && offered.digest() != have.digest() {
        return Err(LearnError::Digest(theirs.epoch));
    }
    let age = |parts: &Parts| (parts.epoch, parts.address_revision);
    match age(theirs).cmp(&age(ours)) {
        Ordering::Greater => Ok(Offer::Take),
        Ordering::Equal => Ok(Offer::Known),
        Ordering::Less => Err(LearnError::Older {
            epoch: ours.epoch,
            revision: ours.address_revision,
        }),
    }
}

/// Keeps connections over changes of the placement.
#[derive(Debug)]
pub(super) struct Members {
    dial: Arc<dyn Dial>,
    known: Mutex<HashMap<(MemberId, String), Arc<dyn Replica>>>,
}

impl Members {
    pub(super) fn new(dial: Arc<dyn Dial>) -> Self {
        Self {
            dial,
            known: Mutex::new(HashMap::new()),
        }
    }

    /// The view of a placement; replicas of members no longer named are dropped.
    pub(super) fn view(&self, placement: Placement) -> View {
        let mut known = self.known.lock();
        let mut kept = HashMap::new();
        let replicas = placement.members().iter().map(|member| {
            let name = (member.id, member.address.clone());
            let replica = known
                .remove(&name)
                .unwrap_or_else(|| self.dial.dial(placement.cluster(), member));
            kept.insert(name, Arc::clone(&replica));
            replica
        });
        let replicas = replicas.collect();
        *known = kept;
        View {
            placement,
            replicas,
        }
    }

    /// The view of `offered`, `None` where it is in use already.
    pub(super) fn learn(
        &self,
        current: &View,
        offered: Placement,
    ) -> Result<Option<View>, LearnError> {
        Ok(match judge(current.placement(), &offered)? {
            Offer::Take => Some(self.view(offered)),
            Offer::Known => None,
        })
    }

    /// Waits until every member was tried once.
    pub(super) async fn settle(&self, view: &View) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
        let untried = |view: &View| {
            view.replicas()
                .iter()
                .any(|r| r.trouble().as_deref() == Some("not connected yet"))
        };
        while untried(view) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use kvcore::placement::{Member, Quorums};
    use uuid::Uuid;

    use super::*;
    use crate::shell::first_placement;

    fn have() -> Placement {
        let member = Member {
            id: MemberId(Uuid::from_u128(1)),
            address: "10.0.0.1:7400".to_owned(),
            zone: String::new(),
            weight: 1,
        };
        let made = first_placement::make(vec![member], 1, Quorums::default());
        changed(&made.expect("valid"), |parts| {
            (parts.epoch, parts.address_revision) = (Epoch(5), 5);
        })
    }

    fn changed(placement: &Placement, change: impl FnOnce(&mut Parts)) -> Placement {
        let mut parts = placement.parts().clone();
        change(&mut parts);
        Placement::new(parts).expect("still valid")
    }

    #[test]
    fn only_what_is_newer_by_the_same_author_for_the_same_cluster_is_taken() {
        let judge = |change: fn(&mut Parts)| super::judge(&have(), &changed(&have(), change));
        assert_eq!(judge(|_| ()), Ok(Offer::Known));
        assert_eq!(judge(|parts| parts.address_revision = 6), Ok(Offer::Take));
        let newer = judge(|parts| (parts.epoch, parts.address_revision) = (Epoch(6), 0));
        assert_eq!(newer, Ok(Offer::Take));
        let older = Err(LearnError::Older {
            epoch: Epoch(5),
            revision: 5,
        });
        assert_eq!(judge(|parts| parts.address_revision = 4), older);
        let older_epoch = judge(|parts| (parts.epoch, parts.address_revision) = (Epoch(4), 9));
        assert_eq!(older_epoch, older);
        let same_number = judge(|parts| parts.members[0].zone = "b".to_owned());
        assert_eq!(same_number, Err(LearnError::Digest(Epoch(5))));
        let stranger = judge(|parts| {
            (parts.epoch, parts.author) = (Epoch(6), AuthorId(Uuid::from_u128(9)));
        });
        assert!(matches!(stranger, Err(LearnError::Author { .. })));
        let elsewhere = judge(|parts| {
            (parts.epoch, parts.cluster) = (Epoch(6), ClusterId(Uuid::from_u128(9)));
        });
        assert!(matches!(elsewhere, Err(LearnError::Cluster { .. })));
    }
}
