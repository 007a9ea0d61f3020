//! Collection of tombstones by sweep rounds, while everything else goes on.
//!
//! The slot, its moves, its writers and its reader are those of [`crate::moves`]. On top of them
//! each member keeps a round and a floor, and a collector sweeps:
//!
//! 1. every member of a stable placement confirms, at that placement, the tombstone or more;
//! 2. every member makes the next round durable, and refuses what began in an earlier one;
//! 3. every member may drop the tombstone, and raises its floor to it.
//!
//! A read, and what it writes back, belongs to the round that its broker knew when it began. An
//! exchange between members and a copy for a joiner belong to the round of the member that pulls.
//! A write of a client belongs to no round; where the key is absent, the floor refuses it.

pub mod shown;
pub mod state;

use stateright::{Model, Property};

use self::state::{Action, Exchange, Fence, State, Sweep};
use crate::moves::{
    self, Collection, Moves,
    configurations::{holders, plain},
    era::{Mask, small},
    state::{MEMBERS_MAX, Read, Version},
};

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// Members confirm, take rounds and drop at whatever placement they are.
    OlderPlacement,
    /// The tombstone is dropped after two of three have taken the round.
    TwoOfThree,
    /// Members take the round before all have confirmed.
    RoundBeforeConfirmed,
    /// Late writes are not held against a floor.
    NoFloor,
    /// Nothing is held against a round.
    NoRounds,
    /// A joiner takes neither round nor floor from its sources.
    JoinerWithoutFloor,
    /// A drop is not durable as the round and the floor are: both are lost when it restarts.
    RoundNotDurable,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::OlderPlacement,
        Self::TwoOfThree,
        Self::RoundBeforeConfirmed,
        Self::NoFloor,
        Self::NoRounds,
        Self::JoinerWithoutFloor,
        Self::RoundNotDurable,
    ];
}

/// What is searched through.
#[derive(Debug, Clone)]
pub struct Sweeps {
    /// The slot and what befalls it.
    pub moves: Moves,
    /// Whether members exchange what they have.
    pub exchanges: bool,
    /// Sweeps that may be begun.
    pub sweeps: u8,
    /// What happens first, as in [`Moves::prelude`].
    pub prelude: Vec<Action>,
    /// The mistake that is planted.
    pub bug: Option<Bug>,
}

impl Sweeps {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn tombstone(&self) -> Version {
        self.moves.deleted.expect("there is one to collect")
    }

    /// Whether what belongs to this round is let in.
    fn is_let_in(&self, state: &State, member: usize, round: u8) -> bool {
        round >= state.fences[member].round || self.has(Bug::NoRounds)
    }

    /// Whether a member takes a fresh write of this version.
    fn is_above_floor(&self, state: &State, member: usize, version: Version) -> bool {
        let is_absent = state.base.members[member].record == 0;
        !is_absent || version > state.fences[member].floor || self.has(Bug::NoFloor)
    }

    /// Whether a step of the slot is let in by rounds and floors.
    fn is_fenced_off(&self, state: &State, action: moves::Action) -> bool {
        use moves::Action::{Ask, Late, Write, WriteBack};
        match action {
            Ask { member } | WriteBack { member } => {
                !self.is_let_in(state, member, state.read_round)
            }
            Write { write, member, .. } | Late { write, member } => {
                !self.is_above_floor(state, member, self.moves.version(write))
            }
            _ => false,
        }
    }

    /// The state after the prelude, where all of its steps are possible from this one.
    fn after_prelude(&self, mut state: State) -> Option<State> {
        for action in &self.prelude {
            let mut possible = Vec::new();
            self.actions(&state, &mut possible);
            if !possible.contains(action) {
                return None;
            }
            state = self.next_state(&state, *action)?;
        }
        Some(state)
    }

    fn base_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut base = Vec::new();
        self.moves.actions(&state.base, &mut base);
        for action in base {
            if let moves::Action::BeginRead { member, era } = action {
                let newest = state.fences.iter().map(|fence| fence.round).max();
                let rounds = 0..=newest.unwrap_or(0);
                let rounds = rounds.filter(|&round| self.is_let_in(state, member, round));
                actions.extend(rounds.map(|round| Action::BeginRead { member, era, round }));
            } else if !self.is_fenced_off(state, action) {
                actions.push(Action::Base(action));
            }
        }
    }

    fn sweep_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let base = &state.base;
        if state.sweeps > 0 {
            let stable = (0..base.history.end()).filter(|&place| {
                let is_used = base.members.iter().any(|member| member.era == place);
                is_used && base.history.at(place).stage().is_none()
            });
            actions.extend(stable.map(|era| Action::Begin { era }));
        }
        let Some(sweep) = state.sweep else {
            return;
        };
        let all = base.history.at(sweep.era).reads.of;
        let fenced_enough = if self.has(Bug::TwoOfThree) {
            sweep.fenced.count() >= 2
        } else {
            sweep.fenced == all
        };
        let early = self.has(Bug::RoundBeforeConfirmed);
        let at_era = |member: &usize| {
            base.members[*member].era == sweep.era || self.has(Bug::OlderPlacement)
        };
        for member in all.members().filter(at_era) {
            let record = base.members[member].record;
            let has_it = record >= self.tombstone()
                || record == 0 && state.fences[member].floor >= self.tombstone();
            if has_it && !sweep.confirmed.contains(member) {
                actions.push(Action::Confirm { member });
            }
            if (sweep.confirmed == all || early) && !sweep.fenced.contains(member) {
                actions.push(Action::Fence { member });
            }
            let may_drop = sweep.confirmed == all && fenced_enough;
            if may_drop && record == self.tombstone() {
                actions.push(Action::Collect { member });
            }
        }
    }

    fn exchange_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.exchange.is_some() {
            actions.push(Action::Arrive);
        }
        let base = &state.base;
        for to in (0..self.moves.members).filter(|_| self.exchanges) {
            let era = base.era_of(to);
            let set = era.reads.of;
            let both = set.contains(to) && era.stage().is_none();
            for from in set.members().filter(|&from| from != to && both) {
                let is_alike = base.era_of(from).since == era.since;
                let is_newer = base.members[from].record > base.members[to].record;
                if is_alike && is_newer {
                    actions.push(Action::Exchange { to, from });
                }
            }
        }
    }

    fn after(&self, state: &mut State, last: &State, action: moves::Action) {
        match action {
            moves::Action::Pull { to, from } => {
                state.stream = Some((state.fences[to].round, state.fences[from]));
            }
            moves::Action::Deliver => self.after_delivery(state, last),
            _ => {}
        }
        if !state.base.read.is_running {
            state.read_round = 0;
        }
    }

    /// What a copy brings beside the record. One of an earlier round is refused as a whole.
    fn after_delivery(&self, state: &mut State, last: &State) {
        let Some((round, source)) = state.stream.take() else {
            return;
        };
        let stream = last.base.stream.expect("it was delivered");
        let to = usize::from(stream.to);
        if !self.is_let_in(last, to, round) {
            state.base.members[to] = last.base.members[to];
            return;
        }
        let marks = |state: &State| state.base.members[to].marks;
        if marks(state) != marks(last) && !self.has(Bug::JoinerWithoutFloor) {
            let fence = &mut state.fences[to];
            fence.round = fence.round.max(source.round);
            fence.floor = fence.floor.max(source.floor);
        }
    }

    fn arrive(&self, state: &mut State) {
        let exchange = state.exchange.take().expect("there is one");
        let to = usize::from(exchange.to);
        let is_alike = state.base.era_of(to).since == exchange.since;
        if is_alike && self.is_let_in(state, to, exchange.round) {
            let held = &mut state.base.members[to].record;
            *held = (*held).max(exchange.version);
        }
    }

    fn step(&self, state: &mut State, last: &State, action: Action) -> Option<()> {
        match action {
            Action::Base(action) => {
                state.base = self.moves.next_state(&last.base, action)?;
                self.after(state, last, action);
            }
            Action::BeginRead { member, era, round } => {
                state.base.read = Read::default();
                let action = moves::Action::BeginRead { member, era };
                state.base = self.moves.next_state(&state.base, action)?;
                state.read_round = round * u8::from(state.base.read.is_running);
            }
            Action::Begin { era } => {
                state.sweeps -= 1;
                let newest = state.fences.iter().map(|fence| fence.round).max();
                state.sweep = Some(Sweep {
                    era,
                    round: newest.unwrap_or(0) + 1,
                    confirmed: Mask(0),
                    fenced: Mask(0),
                });
            }
            Action::Confirm { member } => {
                let sweep = state.sweep.as_mut()?;
                sweep.confirmed = sweep.confirmed.with(member);
            }
            Action::Fence { member } => {
                let sweep = state.sweep.as_mut()?;
                sweep.fenced = sweep.fenced.with(member);
                let fence = &mut state.fences[member];
                fence.round = fence.round.max(sweep.round);
            }
            Action::Collect { member } => {
                state.base.members[member].record = 0;
                state.base.is_collected = true;
                let fence = &mut state.fences[member];
                fence.floor = fence.floor.max(self.tombstone());
            }
            Action::Exchange { to, from } => {
                state.exchange = Some(Exchange {
                    to: small(to),
                    version: state.base.members[from].record,
                    since: state.base.era_of(to).since,
                    round: state.fences[to].round,
                });
            }
            Action::Arrive => self.arrive(state),
            Action::Forget { member } => state.fences[member] = Fence::default(),
        }
        Some(())
    }
}

/// A tombstone goes away in some run.
pub const COLLECTS: &str = "a tombstone is collected everywhere";

impl Model for Sweeps {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let bases = self.moves.init_states().into_iter();
        let state = |base| State {
            base,
            fences: [Fence::default(); MEMBERS_MAX],
            sweep: None,
            sweeps: self.sweeps,
            read_round: 0,
            stream: None,
            exchange: None,
        };
        let states = bases.map(state);
        states
            .filter_map(|state| self.after_prelude(state))
            .collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.base.broken.is_some() {
            return;
        }
        self.base_actions(state, actions);
        self.sweep_actions(state, actions);
        self.exchange_actions(state, actions);
        if self.has(Bug::RoundNotDurable) {
            let fences = state.fences.iter().enumerate();
            let fenced = fences.filter(|(_, fence)| **fence != Fence::default());
            actions.extend(fenced.map(|(member, _)| Action::Forget { member }));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, last, action)?;
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        use moves::state::Broken;
        vec![
            Property::always(moves::NOT_LOST, |_, state: &State| {
                state.base.broken != Some(Broken::Lost)
            }),
            Property::always(moves::NOT_BACK, |_, state: &State| {
                state.base.broken != Some(Broken::Back)
            }),
            Property::always(moves::KEPT, |model: &Self, state: &State| {
                model.moves.is_kept(&state.base)
            }),
            Property::sometimes(COLLECTS, |model: &Self, state: &State| {
                let all = state.base.history.last().reads.of;
                let is_empty = |member: usize| state.base.members[member].record == 0;
                state.base.floor >= model.tombstone()
                    && state.base.is_collected
                    && all.members().all(is_empty)
            }),
        ]
    }
}

impl Sweeps {
    /// Three members, nobody moves.
    pub(crate) fn at_rest(name: &'static str) -> Self {
        let start = holders(&[0, 1, 2], 2, 2);
        Self {
            moves: Moves {
                writes: 2,
                preloaded: false,
                deleted: Some(2),
                collection: Collection::BySweeps,
                ..plain(name, 3, start, Vec::new())
            },
            exchanges: true,
            sweeps: 1,
            prelude: Vec::new(),
            bug: None,
        }
    }

    /// The same while another replica comes in.
    pub(crate) fn while_moving(name: &'static str) -> Self {
        let mut sweeps = Self::at_rest(name);
        sweeps.moves.members = 4;
        sweeps.moves.plan = vec![holders(&[1, 2, 3], 2, 2)];
        sweeps.moves.preloaded = true;
        sweeps.moves.writes = 1;
        sweeps.moves.gives_up = true;
        sweeps.exchanges = false;
        sweeps
    }
}

/// What every test run searches through.
pub fn small_ones() -> Vec<Sweeps> {
    vec![Sweeps::at_rest("sweeps: at rest")]
}

/// What takes longer.
pub fn large_ones() -> Vec<Sweeps> {
    let two = Sweeps {
        sweeps: 2,
        ..Sweeps::at_rest("sweeps: two sweeps")
    };
    vec![two, Sweeps::while_moving("sweeps: while moving")]
}
