//! States that differ in nothing that can still matter are made one.
//!
//! Only without a planted bug: many a bug makes matter what otherwise cannot.

use kvcore::placement::MoveStage;

use super::{
    Moves,
    era::{Era, Mask, Quorum},
    state::{Phase, Read, State},
};

impl Moves {
    /// Forgets what can have no effect any more.
    pub(super) fn settle(&self, state: &mut State) {
        if self.bug.is_some() {
            return;
        }
        if state
            .stream
            .is_some_and(|stream| !is_awaited(state, usize::from(stream.to), stream.session))
        {
            state.stream = None;
        }
        if state.read.is_running && !self.can_go_on(state) {
            state.read = Read::default();
        }
        for at in 0..self.writes {
            let write = state.writes[at];
            let era = state.history.at(write.era);
            let reachable = self.willing(state, era).or(write.acks);
            let can_end = era.writes.iter().all(|set| set.is_reached(reachable));
            if write.phase == Phase::Running && !can_end {
                state.writes[at].acks = Mask(0);
            }
        }
    }

    /// Members that let in a request of this placement, now or once they have adopted it.
    pub(super) fn willing(&self, state: &State, era: &Era) -> Mask {
        let is_willing = |&member: &usize| {
            self.is_there(state, member) && state.era_of(member).since <= era.number
        };
        (0..self.members)
            .filter(is_willing)
            .fold(Mask(0), Mask::with)
    }

    /// Whether the read may still be answered, or write something back.
    fn can_go_on(&self, state: &State) -> bool {
        let read = state.read;
        let era = state.history.at(read.era);
        let willing = self.willing(state, era);
        if !era.reads.is_reached(read.replied) {
            return era.reads.is_reached(read.replied.or(willing));
        }
        let is_open = |set: &Quorum| willing.and(set.of).0 & !read.holders.0 != 0;
        era.writes.iter().any(is_open)
    }
}

/// Whether the member still takes a stream of this session.
fn is_awaited(state: &State, to: usize, session: u8) -> bool {
    let era = state.era_of(to);
    let is_copying = era.stage() == Some(MoveStage::Copying) && era.since == session;
    is_copying && !state.members[to].is_destroyed
}
