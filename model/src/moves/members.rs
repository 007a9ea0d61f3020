//! What members do: adopt placements, copy, hand over, drop, collect, lose their disks.

use kvcore::placement::MoveStage;

use super::{
    Action, Collection, Moves,
    bug::Bug,
    era::{Era, Mask, small},
    state::{Member, Read, State, Stream},
};

impl Moves {
    pub(super) fn member_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for member in self.alive(state) {
            let from = state.members[member].era;
            let newer = (from + 1..state.history.end())
                .filter(|&to| state.history.at(to).number > state.history.at(from).number)
                .filter(|&to| !self.is_kept_from(state, member, to));
            actions.extend(newer.map(|era| Action::Adopt { member, era }));
            self.pulls(state, member, actions);
            self.offers(state, member, actions);
            if self.may_drop(state, member) {
                actions.push(Action::Drop { member });
            }
            if self.may_lose(state, member) {
                actions.push(Action::LoseDisk { member });
            }
            if self.has(Bug::EpochNotDurable) && from > 0 {
                actions.push(Action::Restart { member });
            }
        }
        if state.stream.is_some() {
            actions.push(Action::Deliver);
        }
        let may_collect = self.collection == Collection::AtOnce && !state.is_collected;
        if may_collect && self.collecting(state).is_some() {
            actions.push(Action::Collect);
        }
    }

    fn alive<'a>(&'a self, state: &'a State) -> impl Iterator<Item = usize> + 'a {
        (0..self.members).filter(|&member| self.is_there(state, member))
    }

    /// What no majority accepted reaches a minority: here two of five, of whom one holds nothing.
    fn is_kept_from(&self, state: &State, member: usize, place: u8) -> bool {
        let is_switching = state.history.at(place).stage() == Some(MoveStage::Switching);
        self.has(Bug::Undecided) && is_switching && member < 2
    }

    fn pulls(&self, state: &State, to: usize, actions: &mut Vec<Action>) {
        let era = state.era_of(to);
        if era.stage() != Some(MoveStage::Copying) || !self.has_to_pull(era, to) {
            return;
        }
        let sources = Mask::of(&era.slot.current().set);
        for from in self.alive(state).filter(|&from| sources.contains(from)) {
            let has_acked = state.era_of(from).number >= era.since;
            let is_new = from != to && !state.members[to].marks.contains(from);
            if is_new && (has_acked || self.has(Bug::SourceBeforeAck)) {
                actions.push(Action::Pull { to, from });
            }
        }
    }

    /// Whether a member's pull can count: the joiner's always, another's where the joiner's alone
    /// does not do.
    fn has_to_pull(&self, era: &Era, member: usize) -> bool {
        let (current, next) = (era.slot.current(), era.slot.last());
        let is_next = era.last().of.contains(member);
        let leavers = usize::from(era.leaver.is_some());
        let joiners = usize::from(era.joiner.is_some());
        let by_joiner = joiners + current.write_quorum().saturating_sub(leavers);
        let is_needed = self.all_pull || by_joiner < next.write_quorum();
        era.joiner == Some(member) || is_next && is_needed
    }

    fn offers(&self, state: &State, leaver: usize, actions: &mut Vec<Action>) {
        let era = state.era_of(leaver);
        if era.stage() != Some(MoveStage::Leaving) || era.leaver != Some(leaver) {
            return;
        }
        for to in self.alive(state).filter(|&to| era.last().of.contains(to)) {
            let theirs = state.era_of(to);
            let is_late = self.has(Bug::LeaverAfterTime) && theirs.number > era.number;
            let is_new = !state.members[leaver].marks.contains(to);
            if is_new && (theirs.since == era.since || is_late) {
                actions.push(Action::Offer { leaver, to });
            }
        }
    }

    /// A leaver that has handed over, or an outsider whose record the owners have.
    fn may_drop(&self, state: &State, member: usize) -> bool {
        let era = state.era_of(member);
        let held = state.members[member].record;
        if held == 0 {
            return false;
        }
        match era.stage() {
            Some(MoveStage::Leaving) if era.leaver == Some(member) => {
                era.last().is_reached(state.members[member].marks)
            }
            None if !era.named.contains(member) => {
                let has_it = |&owner: &usize| state.members[owner].record >= held;
                let owners = self.alive(state).filter(has_it);
                let owners = owners.fold(Mask(0), Mask::with);
                era.last().is_reached(owners)
            }
            _ => false,
        }
    }

    /// Fewer disks than a write quorum of any live set may be lost.
    fn may_lose(&self, state: &State, member: usize) -> bool {
        let lost = |&member: &usize| state.members[member].is_destroyed;
        let lost = (0..self.members).filter(lost).fold(Mask(0), Mask::with);
        let lost = lost.with(member);
        let last = state.history.last();
        let in_time = self.loses_early || last.stage().is_some() || state.history.end() > 1;
        let mut sets = last.writes.iter();
        let is_within = sets.all(|set| set.of.and(lost).count() < set.needed);
        state.losses > 0 && in_time && last.named.contains(member) && is_within
    }

    /// The place of a stable placement that all its members are at, all with the tombstone.
    fn collecting(&self, state: &State) -> Option<u8> {
        let place = state.members[state.history.last().reads.of.members().next()?].era;
        let era = state.history.at(place);
        let has_it = |member: usize| {
            let Member { era, record, .. } = state.members[member];
            era == place && Some(record) == self.deleted
        };
        let is_stable = era.stage().is_none();
        (is_stable && era.reads.of.members().all(has_it)).then_some(place)
    }

    pub(super) fn adopt(&self, state: &mut State, member: usize, place: u8) {
        let era = state.history.at(place);
        let is_new = era.since != state.era_of(member).since;
        let is_joiner = era.stage() == Some(MoveStage::Copying) && era.joiner == Some(member);
        let known = &mut state.members[member];
        known.era = place;
        if is_new {
            known.marks = Mask(0);
        }
        if is_new && is_joiner && !self.has(Bug::KeepsWhatItHeld) {
            known.record = 0;
        }
    }

    pub(super) fn pull(state: &mut State, to: usize, from: usize) {
        state.stream = Some(Stream {
            from: small(from),
            to: small(to),
            session: state.era_of(to).since,
            version: state.members[from].record,
        });
    }

    pub(super) fn deliver(&self, state: &mut State) {
        let stream = state.stream.take().expect("there is one");
        let to = usize::from(stream.to);
        let era = state.era_of(to);
        let is_copying = era.stage() == Some(MoveStage::Copying);
        let is_its_own = era.since == stream.session || self.has(Bug::ZombieStream);
        let member = &mut state.members[to];
        if is_copying && is_its_own && !member.is_destroyed {
            member.record = member.record.max(stream.version);
            member.marks = member.marks.with(usize::from(stream.from));
        }
    }

    pub(super) fn offer(state: &mut State, leaver: usize, to: usize) {
        let held = state.members[leaver].record;
        state.members[to].record = state.members[to].record.max(held);
        state.members[leaver].marks = state.members[leaver].marks.with(to);
    }

    pub(super) fn lose_disk(&self, state: &mut State, member: usize) {
        state.losses -= 1;
        state.members[member] = Member {
            is_destroyed: !self.has(Bug::BlankOldIdentity),
            ..Member::default()
        };
    }

    /// All members at once: how they come to agree is the model of sweeps.
    pub(super) fn collect(&self, state: &mut State) {
        let place = self.collecting(state).expect("looked at before");
        let members = state.history.at(place).reads.of;
        for member in members.members() {
            state.members[member].record = 0;
        }
        state.is_collected = true;
        // What began before is refused from now on.
        state.read = Read::default();
    }
}
