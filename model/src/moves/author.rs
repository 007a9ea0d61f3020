//! The author: what it knows of the members, and what it publishes.
//!
//! It goes on by the code's own [`moves::go_on`], and what it publishes is made by the code's own
//! [`SlotPlacement::stepped`]. It knows every member as it is at that moment. What it knows only
//! grows in one session, so an author who knows less does the same later.

use kvcore::placement::{
    Epoch, Holders, MemberIndex, MoveStage, ReplicaSet, SlotPlacement,
    moves::{self, Evidence, Step},
};

use super::{
    Action, Moves,
    bug::Bug,
    era::{Era, Mask},
    state::State,
};

/// What an author does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Begins the change in this place of the plan.
    Begin(u8),
    /// The next stage.
    GoOn(Step),
    /// Publishes a change of another slot.
    ChangeOther,
    /// Takes over: the same stage under a new number, so that sessions begin anew.
    Succeed,
    /// Reverts, without knowing that another author has switched; only with a bug.
    Fork,
}

impl Moves {
    pub(super) fn author_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let last = state.history.last();
        let deeds = self.regular(state, last).into_iter();
        actions.extend(deeds.map(Action::Publish));
        if state.author.others > 0 {
            actions.push(Action::Publish(Deed::ChangeOther));
        }
        if state.author.successions > 0 {
            actions.push(Action::Publish(Deed::Succeed));
        }
        let is_asked = self.has(Bug::TwoAuthors) || self.has(Bug::Undecided);
        let may_fork = is_asked && !state.author.has_forked;
        if may_fork && last.stage() == Some(MoveStage::Switching) {
            actions.push(Action::Publish(Deed::Fork));
        }
    }

    fn regular(&self, state: &State, last: &Era) -> Vec<Deed> {
        let Some(open) = last.slot.open() else {
            return self.upcoming(state).map(Deed::Begin).into_iter().collect();
        };
        let known = Known {
            moves: self,
            state,
            era: last,
        };
        let mut deeds = Vec::new();
        if let Ok(step) = moves::go_on(&last.slot, open, &known) {
            deeds.push(Deed::GoOn(step));
        }
        if open.stage == MoveStage::Copying && state.author.reverts > 0 {
            deeds.push(Deed::GoOn(Step::Revert));
        }
        deeds
    }

    /// Place of the next change of the plan that makes a difference and replaces one replica.
    pub(super) fn upcoming(&self, state: &State) -> Option<u8> {
        let current = state.history.last().slot.current();
        let is_next = |next: &Holders| {
            let joiners = next.set.without(&current.set).count();
            let leavers = current.set.without(&next.set).count();
            next != current && joiners <= 1 && leavers <= 1
        };
        let rest = self.plan.iter().enumerate();
        let mut rest = rest.skip(usize::from(state.author.position));
        rest.find(|(_, next)| is_next(next))
            .map(|(place, _)| super::era::small(place))
    }

    pub(super) fn publish(&self, state: &mut State, deed: Deed) {
        let last = state.history.last();
        let mut number = last.number + 1;
        let mut epoch = Epoch(u64::from(number));
        let slot = match deed {
            Deed::Begin(place) => {
                state.author.position = place + 1;
                let next = self.plan[usize::from(place)].clone();
                let current = last.slot.current().clone();
                SlotPlacement::moving(epoch, MoveStage::Copying, current, next)
            }
            Deed::GoOn(step) => {
                state.author.reverts -= u8::from(step == Step::Revert);
                last.slot.stepped(step, epoch)
            }
            Deed::ChangeOther => {
                state.author.others -= 1;
                last.slot.clone()
            }
            Deed::Succeed => {
                state.author.successions -= 1;
                last.slot.again(epoch)
            }
            Deed::Fork => {
                state.author.has_forked = true;
                if self.has(Bug::TwoAuthors) {
                    number = last.number;
                    epoch = last.slot.since();
                }
                SlotPlacement::stable(epoch, last.slot.current().clone())
            }
        };
        state.history = state.history.with(Era::new(number, slot));
    }
}

/// What the author knows of the members of the newest placement.
struct Known<'a> {
    moves: &'a Moves,
    state: &'a State,
    era: &'a Era,
}

impl Known<'_> {
    fn is_in_session(&self, member: usize) -> bool {
        self.state.era_of(member).since == self.era.since
    }

    fn has_adopted(&self, member: usize) -> bool {
        !self.state.members[member].is_destroyed
            && self.state.era_of(member).number >= self.era.since
    }

    fn current(&self) -> Mask {
        Mask::of(&self.era.slot.current().set)
    }

    /// The members that a member has really pulled from, itself included.
    fn pulled(&self, member: usize) -> Mask {
        let own = if self.has_adopted(member) {
            Mask(0).with(member).and(self.current())
        } else {
            Mask(0)
        };
        if self.is_in_session(member) {
            own.or(self.state.members[member].marks)
        } else {
            own
        }
    }

    fn has_joiner_pulled(&self) -> bool {
        let sources = moves::sources(self.era.slot.current(), self.era.slot.last());
        let joiner = self.era.joiner;
        joiner.is_none_or(|joiner| self.pulled(joiner).count() >= sources)
    }

    /// Whether an acknowledgement is made up, as some bugs do.
    fn is_ack_made_up(&self, member: usize) -> bool {
        if self.moves.has(Bug::LeaveTooEarly) {
            let mut missing = self.current().members();
            return missing.find(|&member| !self.has_adopted(member)) == Some(member);
        }
        if self.moves.has(Bug::LeaveByNext) {
            let next = self.era.slot.last();
            let members = Mask::of(&next.set).members();
            let acked = members.filter(|&member| self.has_adopted(member)).count();
            return acked > next.copies() - next.read_quorum();
        }
        false
    }
}

impl Evidence for Known<'_> {
    fn has_acked(&self, member: MemberIndex) -> bool {
        self.has_adopted(member.get()) || self.is_ack_made_up(member.get())
    }

    fn pulled_from(&self, member: MemberIndex) -> ReplicaSet {
        let pulled = self.pulled(member.get());
        let is_all = match self.moves.bug {
            Some(Bug::SyncFromOne) => self.state.members[member.get()].marks.count() > 0,
            Some(Bug::JoinerIsEnough) => self.has_joiner_pulled(),
            _ => false,
        };
        if is_all {
            self.current().set()
        } else {
            pulled.set()
        }
    }

    fn handed_to(&self, member: MemberIndex) -> ReplicaSet {
        if self.moves.has(Bug::GiveUpAtW1) && self.moves.gives_up {
            return self.era.last().of.set();
        }
        if !self.is_in_session(member.get()) {
            return Mask(0).set();
        }
        self.state.members[member.get()].marks.set()
    }

    fn is_destroyed(&self, member: MemberIndex) -> bool {
        self.state.members[member.get()].is_destroyed
    }

    fn is_given_up(&self, _: MemberIndex) -> bool {
        self.moves.gives_up
    }
}
