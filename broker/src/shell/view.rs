//! A placement and the replicas it names, together.

use std::{collections::HashMap, sync::Arc, time::Duration};

use kvcore::{
    placement::{ClusterId, Epoch, MemberId, Placement},
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
#[derive(Debug, thiserror::Error)]
pub(super) enum LearnError {
    #[error("it belongs to another cluster, {0}")]
    Cluster(ClusterId),
    #[error("epoch {0} is known with another content: two authors at work?")]
    Digest(Epoch),
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

    /// The view of `offered`, `None` where it is not newer than what is in use.
    pub(super) fn learn(
        &self,
        current: &View,
        offered: Placement,
    ) -> Result<Option<View>, LearnError> {
        let have = current.placement();
        if offered.cluster() != have.cluster() {
            return Err(LearnError::Cluster(offered.cluster()));
        }
        if offered.epoch() == have.epoch() && offered.digest() != have.digest() {
            return Err(LearnError::Digest(offered.epoch()));
        }
        let age = |placement: &Placement| (placement.epoch(), placement.parts().address_revision);
        Ok((age(&offered) > age(have)).then(|| self.view(offered)))
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
