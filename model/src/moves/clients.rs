//! What brokers do: write, and read by R11.
//!
//! An answer counts at the moment when a member executes the request: one that arrives later
//! proves less. What is sent may arrive at any later time, or never; so it is not kept in the
//! state, and any member that would still let it in may execute it.

use super::{
    Action, Collection, Moves,
    bug::Bug,
    era::{Era, Mask},
    state::{Broken, Phase, Read, State, Version, Write},
};

impl Moves {
    pub(super) fn client_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for write in 0..self.writes {
            for member in 0..self.members {
                self.write_actions(state, write, member, actions);
            }
        }
        if self.reader {
            for member in 0..self.members {
                self.read_actions(state, member, actions);
            }
        }
    }

    /// The version that a writer writes.
    pub(crate) fn version(&self, write: usize) -> Version {
        u8::from(self.preloaded) + 1 + super::era::small(write)
    }

    /// Placements of which the member lets requests in.
    fn admitted<'a>(
        &'a self,
        state: &'a State,
        member: usize,
    ) -> impl Iterator<Item = (u8, &'a Era)> + 'a {
        let known = state.members[member].era;
        let eras = (0..state.history.end()).map(|place| (place, state.history.at(place)));
        eras.filter(move |&(place, era)| {
            let is_newer = self.has(Bug::NewerWithoutAdopting) && place > known;
            self.is_there(state, member) && (is_newer || state.admits(member, era))
        })
    }

    fn write_actions(&self, state: &State, at: usize, member: usize, actions: &mut Vec<Action>) {
        let write = state.writes[at];
        if write.entered.contains(member) {
            actions.push(Action::Finish { write: at, member });
        }
        let is_fenced = state.is_collected && self.collection == Collection::AtOnce;
        if is_fenced && self.version(at) <= self.deleted.unwrap_or(0) {
            return;
        }
        // Where write quorums need not meet, a version is chosen above what a read quorum has.
        if write.phase == Phase::Idle && self.reads_first && state.floor >= self.version(at) {
            return;
        }
        let held = state.members[member].record;
        for (place, era) in self.admitted(state, member) {
            if !era.live.contains(member) && !self.has(Bug::OutsiderAck) {
                continue;
            }
            let is_counted = write.phase != Phase::Done && place >= write.era;
            let is_same = era.since == state.history.at(write.era).since;
            let is_known = is_same && write.acks.contains(member);
            if is_counted && !is_known {
                let era = place;
                let write = at;
                actions.push(Action::Write { write, member, era });
            } else if !is_counted && place <= write.era && held < self.version(at) {
                actions.push(Action::Late { write: at, member });
            }
        }
    }

    pub(super) fn write(&self, state: &mut State, at: usize, member: usize, place: u8) {
        let floor = state.floor;
        let since = |place: u8| state.history.at(place).since;
        let is_same = since(place) == since(state.writes[at].era);
        let write = &mut state.writes[at];
        if write.phase == Phase::Idle {
            write.phase = Phase::Running;
            write.floor = floor;
        } else if !is_same {
            write.entered = Mask(0);
            if !self.has(Bug::AcksAcrossEpochs) {
                write.acks = Mask(0);
            }
        }
        write.era = place;
        if self.has(Bug::AckBeforeOlderWrites) {
            write.entered = write.entered.with(member);
        } else {
            self.execute(state, at, member);
        }
    }

    /// Stores it and counts the acknowledgement.
    pub(super) fn execute(&self, state: &mut State, at: usize, member: usize) {
        let version = self.version(at);
        let held = state.members[member].record.max(version);
        state.members[member].record = held;
        let write = &mut state.writes[at];
        write.entered.0 &= !(1 << member);
        if write.phase == Phase::Done {
            return;
        }
        if held == version || self.has(Bug::SupersededIsAck) {
            write.acks = write.acks.with(member);
        }
        let acks = write.acks;
        let era = state.history.at(write.era);
        let is_enough = |set: &super::era::Quorum| {
            if self.has(Bug::OutsiderAck) {
                acks.count() >= set.needed
            } else {
                set.is_reached(acks)
            }
        };
        if !era.writes.iter().all(is_enough) {
            return;
        }
        let floor = write.floor;
        *write = Write {
            phase: Phase::Done,
            era: write.era,
            entered: write.entered,
            ..Write::default()
        };
        if floor > version {
            state.broken = Some(Broken::Order);
        }
        state.floor = state.floor.max(version);
    }

    pub(super) fn late(&self, state: &mut State, at: usize, member: usize) {
        let held = &mut state.members[member].record;
        *held = (*held).max(self.version(at));
    }

    fn read_actions(&self, state: &State, member: usize, actions: &mut Vec<Action>) {
        let read = state.read;
        if read.entered.contains(member) {
            actions.push(Action::Look { member });
        }
        for (place, era) in self.admitted(state, member) {
            if era.reads.of.contains(member) {
                let can_end = era.reads.is_reached(self.willing(state, era));
                if can_end && !Self::is_same_start(state, place, member) {
                    actions.push(Action::BeginRead { member, era: place });
                }
                let is_same = era.since == state.history.at(read.era).since;
                let is_open = read.is_running && is_same && !read.is_writing;
                let is_new = !read.replied.contains(member) && !read.entered.contains(member);
                if is_open && is_new {
                    actions.push(Action::Ask { member });
                }
            }
            if Self::may_write_back(state, era, member) {
                actions.push(Action::WriteBack { member });
            }
        }
    }

    /// Whether beginning here would only be the read that has just begun.
    fn is_same_start(state: &State, place: u8, member: usize) -> bool {
        let read = state.read;
        let is_only = read.replied == Mask(0).with(member) && !read.is_writing;
        read.is_running
            && read.era == place
            && is_only
            && read.floor == state.floor
            && read.best == state.members[member].record
    }

    fn may_write_back(state: &State, era: &Era, member: usize) -> bool {
        let read = state.read;
        let is_same = era.since == state.history.at(read.era).since;
        read.is_running
            && is_same
            && read.best > 0
            && era.reads.is_reached(read.replied)
            && era.live.contains(member)
            && !read.holders.contains(member)
            && state.members[member].record <= read.best
    }

    pub(super) fn begin_read(&self, state: &mut State, member: usize, place: u8) {
        state.read = Read {
            is_running: true,
            era: place,
            floor: state.floor,
            ..Read::default()
        };
        self.ask(state, member);
    }

    pub(super) fn ask(&self, state: &mut State, member: usize) {
        if self.has(Bug::ReadAfterDrop) {
            state.read.entered = state.read.entered.with(member);
        } else {
            self.look(state, member);
        }
    }

    /// A member answers with what it has.
    pub(super) fn look(&self, state: &mut State, member: usize) {
        let held = state.members[member].record;
        let read = &mut state.read;
        read.entered.0 &= !(1 << member);
        read.replied = read.replied.with(member);
        if held > read.best {
            read.best = held;
            read.holders = Mask(0).with(member);
        } else if held == read.best {
            read.holders = read.holders.with(member);
        }
        self.answer(state);
    }

    pub(super) fn write_back(&self, state: &mut State, member: usize) {
        state.read.is_writing = true;
        state.members[member].record = state.read.best;
        state.read.holders = state.read.holders.with(member);
        self.answer(state);
    }

    /// Answers, if enough have replied and the result is known on W of every live set.
    fn answer(&self, state: &mut State) {
        let read = state.read;
        let era = state.history.at(read.era);
        if !era.reads.is_reached(read.replied) {
            return;
        }
        let is_known = if self.has(Bug::ReadOneSet) {
            era.reads_kept.is_reached(read.holders)
        } else {
            let mut sets = era.writes.iter();
            sets.all(|set| set.is_reached(read.holders))
        };
        if read.best > 0 && !is_known {
            return;
        }
        if self.rank(state, read.best) < read.floor {
            let is_back = Some(read.floor) == self.deleted && read.best > 0;
            state.broken = Some(if is_back { Broken::Back } else { Broken::Lost });
        }
        state.floor = state.floor.max(read.best);
        state.read = Read::default();
    }

    /// A collected tombstone is as good as the tombstone.
    pub(super) fn rank(&self, state: &State, version: Version) -> Version {
        if version == 0 && state.is_collected {
            self.deleted.unwrap_or(0)
        } else {
            version
        }
    }
}
