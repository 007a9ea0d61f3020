//! What the conductor waits for, in words for people.

use std::fmt;

use super::super::{Epoch, MemberId, PlacementError, planner::PlanError};
use crate::slot::{Slot, SlotSet};

/// Something that is waited for, and by which slots; by none where all wait.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// What.
    pub reason: Reason,
    /// The slots that wait for it.
    pub slots: SlotSet,
}

/// Why nothing, or not everything, goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A member has a placement that the author does not know.
    NewerPlacement {
        /// Which member.
        member: MemberId,
        /// The placement's number.
        epoch: Epoch,
    },
    /// A member has the author's epoch with another content.
    OtherContent {
        /// Which member.
        member: MemberId,
        /// The epoch.
        epoch: Epoch,
    },
    /// More members than a placement has.
    TooManyMembers(usize),
    /// What is wanted makes no placement.
    Invalid(PlacementError),
    /// The placement has the highest number that there is.
    NoEpochLeft,
    /// No plan fits the members there are.
    NoPlan(PlanError),
    /// Every copy was on disks that are gone.
    AllCopiesLost,
    /// A member does not answer, and is not replaced yet.
    Away {
        /// Which member.
        member: MemberId,
    },
    /// These have to copy the slot first, each from so many sources.
    Copies {
        /// Who has not.
        missing: Vec<MemberId>,
        /// From how many members of the current set each.
        sources: usize,
    },
    /// The next set could not serve, and switching cannot be undone.
    NextCannotServe {
        /// Who of it does not answer.
        away: Vec<MemberId>,
    },
    /// Members have to acknowledge that reads have switched.
    Acks {
        /// Who has not.
        missing: Vec<MemberId>,
        /// How many of the current set have to.
        needed: usize,
    },
    /// The leaver still hands over what it holds.
    HandOver {
        /// The leaver.
        leaver: MemberId,
    },
    /// The member that is to copy the slot does not answer.
    JoinerAway {
        /// Which member.
        joiner: MemberId,
    },
    /// Too few members that have the slot answer for it.
    Sources {
        /// Who does not, or has not caught up.
        missing: Vec<MemberId>,
        /// How many have to.
        needed: usize,
    },
    /// Another copy of the slot is not whole, so that no live one is taken away.
    OtherCopies {
        /// Who does not answer, or has not caught up.
        missing: Vec<MemberId>,
    },
    /// Slots that are short of copies come first.
    ShortFirst,
    /// As many moves are under way as a member may take part in.
    Limit {
        /// The limit.
        moves_per_member: usize,
    },
}

impl Waiting {
    /// All slots wait for this.
    pub(super) fn of(reason: Reason) -> Self {
        Self {
            reason,
            slots: SlotSet::empty(),
        }
    }

    /// One slot waits for this.
    pub(super) fn slot(slot: Slot, reason: Reason) -> Self {
        Self {
            reason,
            slots: std::iter::once(slot).collect(),
        }
    }
}

/// The same reasons once, with the slots of all, in the order of their weight.
pub(super) fn together(waits: Vec<Waiting>) -> Vec<Waiting> {
    let mut together: Vec<Waiting> = Vec::new();
    for wait in waits {
        match together.iter_mut().find(|have| have.reason == wait.reason) {
            Some(have) => {
                for slot in wait.slots.iter() {
                    have.slots.insert(slot);
                }
            }
            None => together.push(wait),
        }
    }
    together.sort_by_key(|wait| wait.reason.weight());
    together
}

impl Reason {
    /// What a person should hear first: what does not pass by itself, then what takes long.
    fn weight(&self) -> u8 {
        match self {
            Self::NewerPlacement { .. } | Self::OtherContent { .. } => 0,
            Self::TooManyMembers(_)
            | Self::Invalid(_)
            | Self::NoEpochLeft
            | Self::NoPlan(_)
            | Self::AllCopiesLost => 1,
            Self::Away { .. }
            | Self::JoinerAway { .. }
            | Self::Sources { .. }
            | Self::OtherCopies { .. }
            | Self::NextCannotServe { .. } => 2,
            Self::Copies { .. } | Self::Acks { .. } | Self::HandOver { .. } => 3,
            Self::ShortFirst | Self::Limit { .. } => 4,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerPlacement { member, epoch } => write!(
                f,
                "member {member} has epoch {epoch}, which this author does not know: another author \
                 is at work, or this one has an old placement"
            ),
            Self::OtherContent { member, epoch } => write!(
                f,
                "member {member} has epoch {epoch} with another content: two authors published it"
            ),
            Self::TooManyMembers(members) => {
                write!(f, "{}", PlanError::TooManyMembers(*members))
            }
            Self::NoPlan(error) => write!(f, "{error}"),
            Self::Invalid(error) => write!(f, "what is wanted is no placement: {error}"),
            Self::NoEpochLeft => write!(f, "there is no epoch above the one in force"),
            Self::AllCopiesLost => write!(
                f,
                "every copy was on disks that are gone: what they held is lost unless one comes back"
            ),
            Self::Away { member } => write!(
                f,
                "member {member} does not answer; its slots get another home once it has been away \
                 for the time that repair waits"
            ),
            Self::Copies { missing, sources } => {
                write!(f, "{} copy, each from {sources} members", list(missing))
            }
            Self::NextCannotServe { away } => write!(
                f,
                "reads cannot be switched while {} of the next set do not answer",
                list(away)
            ),
            Self::Acks { missing, needed } => write!(
                f,
                "{needed} members have to acknowledge that reads have switched; not yet: {}",
                list(missing)
            ),
            Self::HandOver { leaver } => write!(f, "member {leaver} hands over what it holds"),
            Self::JoinerAway { joiner } => {
                write!(f, "member {joiner} is to copy and does not answer")
            }
            Self::Sources { missing, needed } => write!(
                f,
                "a copy needs {needed} members that have the slot; not caught up or away: {}",
                list(missing)
            ),
            Self::OtherCopies { missing } => write!(
                f,
                "no live copy is taken away while others are not whole: {}",
                list(missing)
            ),
            Self::ShortFirst => write!(f, "slots that are short of copies come first"),
            Self::Limit { moves_per_member } => {
                write!(
                    f,
                    "a member takes part in at most {moves_per_member} moves at once"
                )
            }
        }
    }
}

fn list(members: &[MemberId]) -> String {
    let members = members.iter().map(ToString::to_string);
    members.collect::<Vec<_>>().join(", ")
}
