//! Moves of one slot: everything that may happen to one key of it, in any order.
//!
//! What decides is the code's own: whether a move may go on ([`kvcore::placement::moves::go_on`]),
//! what comes of a step ([`SlotPlacement::stepped`]), which sets are written and read, and their
//! quorums. The model adds what the world does to it: members that hear of placements late or
//! never, brokers at any older placement, requests that arrive late or twice or never, disks that
//! are lost.
//!
//! Kept small without losing behaviour, as `docs/model.md` argues one by one:
//!
//! - one key, since nothing relates two keys but the sessions of a slot, which are all here;
//! - one slot: another one only raises the placement's number, which [`Deed::ChangeOther`] does;
//! - a request in flight is no part of the state: whoever would let it in may execute it at any time;
//! - a restart with an intact log changes nothing, and what was running may stop for ever anyway;
//! - placements are one chain: that two authors keep it one is the model of [`crate::authors`].

pub mod author;
pub mod bug;
mod clients;
pub mod configurations;
mod ending;
pub mod era;
mod members;
mod settled;
pub mod shown;
pub mod state;

use kvcore::placement::{Epoch, Holders, SlotPlacement};
use stateright::{Model, Property};

use self::{
    author::Deed,
    bug::Bug,
    era::{Era, Mask},
    state::{
        Author, Broken, History, MEMBERS_MAX, Member, Read, State, Version, WRITES_MAX, Write,
    },
};

/// What is searched through: a slot, a plan, and what may go wrong.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says of one thing, apart from all others, whether it happens here"
)]
pub struct Moves {
    /// Its name in tables.
    pub name: &'static str,
    /// How many members there are.
    pub members: usize,
    /// Who holds the slot at first.
    pub start: Holders,
    /// Who is to hold it, one change after the other. One that replaces more than one replica of
    /// what there is by then is left out.
    pub plan: Vec<Holders>,
    /// Whether version 1 is acknowledged from the start, on any write quorum.
    pub preloaded: bool,
    /// How many writers, at most three. They write the versions that follow.
    pub writes: usize,
    /// The version that is a tombstone.
    pub deleted: Option<Version>,
    /// Whether there is a reader.
    pub reader: bool,
    /// Copies that may be given up.
    pub reverts: u8,
    /// Disks that may be lost, never as many as a write quorum of a live set.
    pub losses: u8,
    /// Whether a disk may be lost before the first move.
    pub loses_early: bool,
    /// Members that hold what they hold, and are never heard of.
    pub away: Mask,
    /// Placements that change another slot only.
    pub others: u8,
    /// Authors that take over.
    pub successions: u8,
    /// Whether the author gives leavers up, wherever the code lets it.
    pub gives_up: bool,
    /// Whether the tombstone is collected once all have it.
    pub collection: Collection,
    /// Whether every member of the next set pulls, also where the joiner does.
    pub all_pull: bool,
    /// Whether a version is chosen after asking a read quorum: where write quorums need not meet.
    pub reads_first: bool,
    /// Whether from every state a way to the plan's end is looked for, and whether there has to be
    /// one with any one member silent.
    pub ending: Ending,
    /// What happens first. A search for a bug need not find its way to where it matters.
    pub prelude: Vec<Action>,
    /// The mistake that is planted.
    pub bug: Option<Bug>,
}

/// From where the plan's end has to be within reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// From somewhere.
    Somewhere,
    /// From everywhere, as long as all do their part.
    Everywhere,
    /// From everywhere, also while one member stays silent.
    WithOneSilent,
}

/// How a tombstone goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// It stays.
    Never,
    /// In one step, with whatever began before refused from then on.
    AtOnce,
    /// As [`crate::sweeps`] has it.
    BySweeps,
}

/// One step of anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The author publishes a placement.
    Publish(Deed),
    /// A member makes a newer placement durable and acknowledges it.
    Adopt {
        /// Who.
        member: usize,
        /// Its place in the history.
        era: u8,
    },
    /// A source takes its snapshot for a member that pulls. What was on its way before is lost.
    Pull {
        /// Who pulls.
        to: usize,
        /// The source.
        from: usize,
    },
    /// The copy on its way arrives.
    Deliver,
    /// A leaver hands what it holds to one owner.
    Offer {
        /// Who leaves.
        leaver: usize,
        /// The owner.
        to: usize,
    },
    /// A member that is not named any more, or has handed over, empties the slot.
    Drop {
        /// Who.
        member: usize,
    },
    /// A disk is gone.
    LoseDisk {
        /// Whose.
        member: usize,
    },
    /// A process starts again; only with a bug is it any different then.
    Restart {
        /// Whose.
        member: usize,
    },
    /// The tombstone is collected.
    Collect,
    /// A member executes a write, and its answer counts.
    Write {
        /// Which write.
        write: usize,
        /// The member.
        member: usize,
        /// The broker's placement, by its place in the history.
        era: u8,
    },
    /// A member executes an old request of a write; its answer counts for nothing.
    Late {
        /// Which write.
        write: usize,
        /// The member.
        member: usize,
    },
    /// A member executes what it had let in; only with a bug.
    Finish {
        /// Which write.
        write: usize,
        /// The member.
        member: usize,
    },
    /// A read begins, and this member is the first to answer.
    BeginRead {
        /// The member.
        member: usize,
        /// The broker's placement, by its place in the history.
        era: u8,
    },
    /// A member answers the read.
    Ask {
        /// The member.
        member: usize,
    },
    /// A member answers a read that it had let in; only with a bug.
    Look {
        /// The member.
        member: usize,
    },
    /// The reader writes back what it found.
    WriteBack {
        /// To which member.
        member: usize,
    },
}

impl Moves {
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether a member does anything at all.
    pub(crate) fn is_there(&self, state: &State, member: usize) -> bool {
        !self.away.contains(member) && !state.members[member].is_destroyed
    }

    fn start_with(&self, holders: Mask) -> State {
        let mut members = [Member::default(); MEMBERS_MAX];
        for member in holders.members() {
            members[member].record = 1;
        }
        let slot = SlotPlacement::stable(Epoch(1), self.start.clone());
        State {
            history: History::new(Era::new(1, slot)),
            members,
            writes: [Write::default(); WRITES_MAX],
            read: Read::default(),
            stream: None,
            author: Author {
                reverts: self.reverts,
                others: self.others,
                successions: self.successions,
                ..Author::default()
            },
            floor: u8::from(self.preloaded),
            is_collected: false,
            losses: self.losses,
            broken: None,
        }
    }

    /// The states in which everything may begin.
    pub(crate) fn first_states(&self) -> Vec<State> {
        if !self.preloaded {
            return vec![self.start_with(Mask(0))];
        }
        let all = Mask::of(&self.start.set);
        let enough = |holders: &Mask| {
            holders.and(all) == *holders && holders.count() >= self.start.write_quorum()
        };
        let sets = (0..=all.0).map(Mask).filter(enough);
        sets.map(|holders| self.start_with(holders)).collect()
    }

    /// The state after the prelude, where all of its steps are possible from this one.
    fn after_prelude(&self, mut state: State) -> Option<State> {
        for action in &self.prelude {
            let mut possible = Vec::new();
            self.actions(&state, &mut possible);
            if !possible.contains(action) {
                return None;
            }
            self.carry_out(&mut state, *action);
        }
        Some(state)
    }

    fn carry_out(&self, to: &mut State, action: Action) {
        match action {
            Action::Publish(deed) => self.publish(to, deed),
            Action::Adopt { member, era } => self.adopt(to, member, era),
            Action::Pull { to: member, from } => Self::pull(to, member, from),
            Action::Deliver => self.deliver(to),
            Action::Offer { leaver, to: owner } => Self::offer(to, leaver, owner),
            Action::Drop { member } => to.members[member].record = 0,
            Action::LoseDisk { member } => self.lose_disk(to, member),
            Action::Restart { member } => to.members[member].era = 0,
            Action::Collect => self.collect(to),
            Action::Write { write, member, era } => self.write(to, write, member, era),
            Action::Late { write, member } => self.late(to, write, member),
            Action::Finish { write, member } => self.execute(to, write, member),
            Action::BeginRead { member, era } => self.begin_read(to, member, era),
            Action::Ask { member } => self.ask(to, member),
            Action::Look { member } => self.look(to, member),
            Action::WriteBack { member } => self.write_back(to, member),
        }
        self.settle(to);
    }

    /// Whether every set that reads of the newest placement go to has what was done and read, on a
    /// write quorum. Who lost its disk may have had it.
    pub(crate) fn is_kept(&self, state: &State) -> bool {
        if !state.history.last().slot.read_set().reads_meet_writes() {
            return true;
        }
        let has_it = |&member: &usize| {
            let member = state.members[member];
            member.is_destroyed || self.rank(state, member.record) >= state.floor
        };
        let holders = (0..self.members).filter(has_it).fold(Mask(0), Mask::with);
        state.history.last().reads_kept.is_reached(holders)
    }

    /// Whether some member that is named still has what was done, or may have had it on a disk that
    /// is lost.
    fn is_held(&self, state: &State) -> bool {
        let mut named = state.history.last().named.members();
        named.any(|member| {
            let member = state.members[member];
            member.is_destroyed || self.rank(state, member.record) >= state.floor
        })
    }

    /// Whether the plan is carried out.
    pub(crate) fn is_ended(&self, state: &State) -> bool {
        let is_stable = state.history.last().stage().is_none();
        is_stable && self.upcoming(state).is_none()
    }
}

/// A read returns what was done or read before it began.
pub const NOT_LOST: &str = "what was done or read is not missed";
/// A delete that was done or read is not undone.
pub const NOT_BACK: &str = "what was deleted stays so";
/// A write that is done lies above those before it.
pub const IN_ORDER: &str = "a write is done above those before it";
/// What is acknowledged is not gone from every member.
pub const HELD: &str = "what was done is held by someone";
/// The invariant by which moves are proved.
pub const KEPT: &str = "where reads go, what was done is on a write quorum";
/// From every state the plan can be carried out.
pub const CAN_END: &str = "moves can end, wherever they are";
/// The plan is carried out in some run.
pub const ENDS: &str = "moves end";

impl Model for Moves {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let states = self.first_states().into_iter();
        states
            .filter_map(|state| self.after_prelude(state))
            .collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        self.author_actions(state, actions);
        self.member_actions(state, actions);
        self.client_actions(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.carry_out(&mut state, action);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOT_LOST, |_, state: &State| {
                state.broken != Some(Broken::Lost)
            }),
            Property::always(NOT_BACK, |_, state: &State| {
                state.broken != Some(Broken::Back)
            }),
            Property::always(IN_ORDER, |_, state: &State| {
                state.broken != Some(Broken::Order)
            }),
            Property::always(HELD, Self::is_held),
            // A bug has to show to clients, not only to the proof.
            Property::always(KEPT, |model: &Self, state: &State| {
                model.bug.is_some() || model.is_kept(state)
            }),
            Property::always(CAN_END, |model: &Self, state: &State| {
                model.ending == Ending::Somewhere || model.can_end(state)
            }),
            Property::sometimes(ENDS, Self::is_ended),
        ]
    }
}
