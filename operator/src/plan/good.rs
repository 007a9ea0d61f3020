//! Which members hold good copies: those that answer, and say that they have caught up.

use kvcore::{
    placement::{Holders, MemberId, Placement, SlotPlacement},
    slot::Slot,
};

use crate::observed::Observed;

/// For every member of a placement, whether its copies are good now.
#[derive(Debug, Clone)]
pub struct Good(Vec<bool>);

impl Good {
    /// What the servers' last answers say.
    pub fn members(placement: &Placement, observed: &Observed) -> Self {
        let mut good = vec![false; placement.members().len()];
        for status in observed
            .servers
            .values()
            .filter_map(|pod| pod.heard.answer())
        {
            if let Some(index) = placement.index_of(status.id)
                && status.ready
                && status.cluster == Some(placement.cluster())
            {
                good[index.get()] = true;
            }
        }
        Self(good)
    }

    /// As if this member were gone.
    pub fn lose(&mut self, placement: &Placement, member: MemberId) {
        if let Some(index) = placement.index_of(member) {
            self.0[index.get()] = false;
        }
    }

    /// Good members of a set.
    pub fn of(&self, holders: &Holders) -> usize {
        holders
            .members()
            .iter()
            .filter(|member| self.0[member.get()])
            .count()
    }

    /// The first slot that cannot be read or written.
    pub fn slot_without_quorum(&self, placement: &Placement) -> Option<Slot> {
        Slot::all().find(|&slot| self.spare(placement.slot(slot)) < 0)
    }

    /// How many more members of the slot may go before it loses a quorum; negative when it has.
    pub fn spare(&self, placed: &SlotPlacement) -> i64 {
        let spare = |holders: &Holders, quorum: usize| {
            let signed = |count: usize| i64::try_from(count).expect("a set is small");
            signed(self.of(holders)) - signed(quorum)
        };
        let read = placed.read_set();
        let reads = spare(read, read.read_quorum());
        let sets = placed.write_sets().into_iter();
        let writes = sets.map(|holders| spare(holders, holders.write_quorum()));
        writes.min().map_or(reads, |writes| writes.min(reads))
    }
}
