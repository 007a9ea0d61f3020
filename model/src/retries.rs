//! When a write that was superseded may be tried again under a new version.
//!
//! Version 1 is a write, 2 somebody else's that supersedes it, 3 the first one tried again. If a
//! reader ever sees version 1, its client may delete what it saw; trying again then undoes the
//! delete. So what is tried again must never have been seen, and never be seen later.
//!
//! A member that refuses says whether it ever held what it refuses. It knows that from the one
//! version that its record replaced there. A joiner, which has emptied itself, says "never" of what
//! it may have held before; that was in another epoch of the slot.

use stateright::{Model, Property};

use crate::moves::{
    self, Moves,
    configurations::{holders, plain},
    era::{Era, Mask},
    state::{MEMBERS_MAX, Phase, State as Base, Version},
};

/// When a write is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Sent in one epoch of the slot alone, in which enough members of one live set never held it,
    /// and a write quorum of every live set has what supersedes it.
    Proven,
    /// Enough members of one live set never held it, in whichever epochs they said so.
    NeverHeld,
    /// The same, all of them and the write itself in one epoch.
    NeverHeldInOneEpoch,
    /// A write quorum has refused it.
    WriteQuorumRefused,
    /// Anyone has refused it.
    AnyRefused,
}

impl Rule {
    /// Those that are too weak.
    pub const WRONG: [Self; 4] = [
        Self::NeverHeld,
        Self::NeverHeldInOneEpoch,
        Self::WriteQuorumRefused,
        Self::AnyRefused,
    ];
}

/// What is searched through.
#[derive(Debug, Clone)]
pub struct Retries {
    /// The slot and what befalls it.
    pub moves: Moves,
    /// When it is tried again.
    pub rule: Rule,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The slot.
    pub base: Base,
    /// What each member's record replaced there.
    pub over: [Version; MEMBERS_MAX],
    /// Who has said that it never held it.
    pub never: Mask,
    /// Who has refused it.
    pub refused: Mask,
    /// The epoch of the slot in which it was sent first.
    pub first: u8,
    /// Whether a reader has seen it.
    pub is_seen: bool,
}

/// What is tried again was never seen, and is never seen later.
pub const NOT_TWICE: &str = "what is tried again is not seen as it was tried first";
/// A write is tried again in some run.
pub const RETRIES: &str = "a write is tried again";

const FIRST: usize = 0;
const RETRY: usize = 2;

impl Retries {
    /// Whether the write may be tried again now.
    fn may_retry(&self, state: &State) -> bool {
        let write = state.base.writes[FIRST];
        let era = state.base.history.at(write.era);
        let is_never_held = era.writes.iter().any(|set| {
            let all_but = set.of.count() - set.needed;
            state.never.and(set.of).count() > all_but
        });
        let refused = |set: &crate::moves::era::Quorum| set.is_reached(state.refused);
        let is_one_epoch = state.first == era.since;
        write.phase == Phase::Running
            && match self.rule {
                Rule::Proven => is_one_epoch && is_never_held && era.writes.iter().all(refused),
                Rule::NeverHeldInOneEpoch => is_one_epoch && is_never_held,
                Rule::NeverHeld => is_never_held,
                Rule::WriteQuorumRefused => era.writes.iter().all(refused),
                Rule::AnyRefused => state.refused.count() > 0,
            }
    }

    /// What a member says of the write, when it executes it.
    fn hear(&self, state: &mut State, last: &State, member: usize, place: u8) {
        let era: &Era = last.base.history.at(place);
        let before = last.base.history.at(last.base.writes[FIRST].era);
        if last.base.writes[FIRST].phase == Phase::Idle {
            state.first = era.since;
        } else if era.since != before.since && self.rule != Rule::NeverHeld {
            state.never = Mask(0);
            state.refused = Mask(0);
        }
        if last.base.members[member].record <= 1 {
            return;
        }
        state.refused = state.refused.with(member);
        if last.over[member] < 1 {
            state.never = state.never.with(member);
        }
    }

    /// The state after the prelude, where all of its steps are possible from this one.
    fn after_prelude(&self, mut state: State) -> Option<State> {
        for &action in &self.moves.prelude {
            let mut possible = Vec::new();
            self.actions(&state, &mut possible);
            if !possible.contains(&action) {
                return None;
            }
            state = self.next_state(&state, action)?;
        }
        Some(state)
    }

    /// What members remember of what they replaced.
    fn remember(state: &mut State, last: &State) {
        for member in 0..MEMBERS_MAX {
            let held = last.base.members[member].record;
            let holds = state.base.members[member].record;
            if holds > held {
                state.over[member] = held;
            } else if holds < held {
                state.over[member] = 0;
            }
        }
    }
}

impl Model for Retries {
    type State = State;
    type Action = moves::Action;

    fn init_states(&self) -> Vec<State> {
        let state = |base| State {
            base,
            over: [0; MEMBERS_MAX],
            never: Mask(0),
            refused: Mask(0),
            first: 0,
            is_seen: false,
        };
        let states = self.moves.first_states().into_iter().map(state);
        states
            .filter_map(|state| self.after_prelude(state))
            .collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<moves::Action>) {
        let is_idle = state.base.writes[RETRY].phase == Phase::Idle;
        let may_retry = self.may_retry(state);
        self.moves.actions(&state.base, actions);
        actions.retain(|action| match action {
            moves::Action::Write { write: RETRY, .. } => !is_idle || may_retry,
            // Once it is tried again, what was tried first is left to itself.
            moves::Action::Write { write: FIRST, .. } => is_idle,
            // No request of it is older than the epoch in which it was sent first.
            moves::Action::Late {
                write: FIRST,
                member,
            } => state.base.era_of(*member).since >= state.first,
            _ => true,
        });
    }

    fn next_state(&self, last: &State, action: moves::Action) -> Option<State> {
        let mut state = last.clone();
        let moved = self.moves.next_state(&last.base, action);
        let is_said = matches!(action, moves::Action::Write { write: FIRST, .. });
        state.base = match moved {
            Some(base) => base,
            None if is_said => last.base.clone(),
            None => return None,
        };
        if let moves::Action::Write {
            write: FIRST,
            member,
            era,
        } = action
        {
            self.hear(&mut state, last, member, era);
        }
        Self::remember(&mut state, last);
        let is_read = !is_said && !matches!(action, moves::Action::Write { .. });
        state.is_seen |= is_read && last.base.floor == 0 && state.base.floor == 1;
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOT_TWICE, |_, state: &State| {
                !state.is_seen || state.base.writes[RETRY].phase == Phase::Idle
            }),
            Property::sometimes(RETRIES, |_, state: &State| {
                state.base.writes[RETRY].phase != Phase::Idle
            }),
        ]
    }
}

fn with(rule: Rule, moves: Moves) -> Retries {
    let moves = Moves {
        preloaded: false,
        writes: 3,
        ..moves
    };
    Retries { moves, rule }
}

/// Nobody moves.
fn at_rest(name: &'static str, read: u8, write: u8) -> Moves {
    plain(name, 3, holders(&[0, 1, 2], read, write), Vec::new())
}

/// One replica is replaced.
fn moving(name: &'static str, read: u8, write: u8) -> Moves {
    let plan = vec![holders(&[1, 2, 3], read, write)];
    Moves {
        plan,
        members: 4,
        gives_up: true,
        ..at_rest(name, read, write)
    }
}

/// What every test run searches through.
pub fn small_ones() -> Vec<Retries> {
    vec![
        with(Rule::Proven, at_rest("retries: 3,2,2", 2, 2)),
        with(Rule::Proven, at_rest("retries: 3,3,1", 1, 3)),
    ]
}

/// What takes longer. Each begins with writes that have reached somebody.
pub fn large_ones() -> Vec<Retries> {
    let begun = |written: &[(usize, usize)], moves: Moves| {
        let write = |&(write, member): &(usize, usize)| moves::Action::Write {
            write,
            member,
            era: 0,
        };
        let prelude = written.iter().map(write).collect();
        with(Rule::Proven, Moves { prelude, ..moves })
    };
    let two = [(1, 0), (FIRST, 1), (FIRST, 0)];
    let three = [(1, 0), (FIRST, 1), (FIRST, 2), (FIRST, 0)];
    vec![
        begun(&two, moving("retries: 3,2,2, moving", 2, 2)),
        begun(&three, moving("retries: 3,3,1, moving", 1, 3)),
    ]
}

/// Where a rule shows to be too weak.
pub fn showing(rule: Rule) -> Retries {
    let moves = match rule {
        Rule::AnyRefused | Rule::WriteQuorumRefused | Rule::Proven => at_rest("retries", 2, 2),
        Rule::NeverHeld => Moves {
            plan: vec![holders(&[0, 1, 2], 1, 3)],
            ..at_rest("retries", 2, 2)
        },
        Rule::NeverHeldInOneEpoch => Moves {
            prelude: refused_by_the_leaver(),
            ..moving("retries", 1, 3)
        },
    };
    with(rule, moves)
}

/// Two of three have the write; the third one refuses it, is no source for the joiner, and leaves.
fn refused_by_the_leaver() -> Vec<moves::Action> {
    use kvcore::placement::moves::Step;
    use moves::{Action, author::Deed};

    let write = |write, member| Action::Write {
        write,
        member,
        era: 0,
    };
    let adopted = |era, members: &[usize]| -> Vec<_> {
        let adopt = |&member: &usize| Action::Adopt { member, era };
        members.iter().map(adopt).collect()
    };
    let publish = |deed| vec![Action::Publish(deed)];
    let written = [
        write(1, 0),
        write(FIRST, 1),
        write(FIRST, 2),
        write(FIRST, 0),
    ];
    [
        written.to_vec(),
        vec![write(RETRY, 0)],
        publish(Deed::Begin(0)),
        adopted(1, &[1, 3]),
        vec![Action::Pull { to: 3, from: 1 }, Action::Deliver],
        publish(Deed::GoOn(Step::Switch)),
        adopted(2, &[0, 1, 2]),
        publish(Deed::GoOn(Step::Leave)),
        adopted(3, &[1, 2, 3]),
    ]
    .concat()
}
