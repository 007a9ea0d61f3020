//! Whether a move can still end: a way to do it, tried out from every state.
//!
//! All members that are there do what they can, but for one that stays silent, and so does the
//! author. A rule that blocks everything would look safe without this.

use kvcore::placement::MoveStage;

use super::{Action, Ending, Moves, author::Deed, state::State};

/// Steps after which a way is taken for endless.
const STEPS_MAX: usize = 200;

impl Moves {
    /// Whether the plan can be carried out, whoever is silent.
    pub(super) fn can_end(&self, state: &State) -> bool {
        if state.broken.is_some() {
            return true;
        }
        let is_one_lost = state.members.iter().any(|member| member.is_destroyed);
        let everyone_needed = self.ending != Ending::WithOneSilent || is_one_lost;
        let mut silent = (0..self.members).map(Some);
        self.ends_without(state, None)
            && (everyone_needed || silent.all(|silent| self.ends_without(state, silent)))
    }

    fn ends_without(&self, state: &State, silent: Option<usize>) -> bool {
        let mut state = state.clone();
        for _ in 0..STEPS_MAX {
            let Some(action) = self.helpful(&state, silent) else {
                break;
            };
            self.carry_out(&mut state, action);
        }
        let last = state.history.last();
        let is_gone = |joiner| silent == Some(joiner) || state.members[joiner].is_destroyed;
        // A joiner that is not there is for the author to give up.
        let is_copying = last.stage() == Some(MoveStage::Copying);
        let may_be_reverted = is_copying && last.joiner.is_some_and(is_gone);
        self.is_ended(&state) || may_be_reverted
    }

    /// The next step on the way.
    fn helpful(&self, state: &State, silent: Option<usize>) -> Option<Action> {
        let mut actions = Vec::new();
        self.author_actions(state, &mut actions);
        self.member_actions(state, &mut actions);
        let newest = state.history.end() - 1;
        actions.into_iter().find(|action| match *action {
            Action::Publish(Deed::GoOn(step)) => step != kvcore::placement::moves::Step::Revert,
            Action::Adopt { member, era } => Some(member) != silent && era == newest,
            Action::Publish(Deed::Begin(_)) | Action::Deliver => true,
            Action::Pull { to, from } => {
                state.stream.is_none() && ![to, from].map(Some).contains(&silent)
            }
            Action::Offer { leaver, to } => ![leaver, to].map(Some).contains(&silent),
            _ => false,
        })
    }
}
