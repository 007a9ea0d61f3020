//! Counting: how many members of every live set have a record.

use kvcore::{
    placement::{MemberIndex, Placement, ReplicaSet},
    planted::{self, Bug},
    slot::Slot,
};
use smallvec::SmallVec;

use super::few::Few;

/// Write quorums of a slot: so many of each of its live sets.
#[derive(Debug, Clone)]
pub struct WriteQuorum {
    sets: SmallVec<[(ReplicaSet, usize); 1]>,
    holders: Few<MemberIndex, (), 4>,
}

impl WriteQuorum {
    /// Nobody has the record yet.
    pub fn new(placement: &Placement, slot: Slot) -> Self {
        let sets = placement.slot(slot).write_sets().into_iter();
        let sets = sets.map(|holders| {
            let fewer = usize::from(planted::is(Bug::QuorumOffByOne));
            (holders.set.clone(), holders.write_quorum() - fewer)
        });
        Self {
            sets: sets.collect(),
            holders: Few::default(),
        }
    }

    /// Notes that the member has the record durable, and counts.
    pub fn add(&mut self, member: MemberIndex) {
        self.holders.insert(member, ());
    }

    /// Whether the member is known to have the record.
    pub fn has(&self, member: MemberIndex) -> bool {
        self.holders.has(member)
    }

    /// Everyone the record goes to, once each.
    pub fn members(&self) -> SmallVec<[MemberIndex; 8]> {
        let sets = self.sets.iter();
        let mut all: SmallVec<_> = sets.flat_map(|(set, _)| set.members()).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether enough members of every set have the record.
    pub fn is_reached(&self) -> bool {
        self.shortfall(|_| false).is_none()
    }

    /// The first set that would stay short even if every member that `may_still` says so came
    /// to have the record: members needed, members of the set, members able.
    pub fn shortfall(
        &self,
        may_still: impl Fn(MemberIndex) -> bool,
    ) -> Option<(usize, usize, usize)> {
        self.sets.iter().find_map(|(set, needed)| {
            let able = set
                .members()
                .iter()
                .filter(|&&member| self.has(member) || may_still(member));
            let able = able.count();
            (able < *needed).then_some((*needed, set.members().len(), able))
        })
    }

    /// The most members any set needs.
    pub fn needed(&self) -> usize {
        self.sets
            .iter()
            .map(|(_, needed)| *needed)
            .max()
            .unwrap_or(0)
    }
}
