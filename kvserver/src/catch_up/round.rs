//! A round: one pass with every other member, and what they are worth together. Pure.

use std::collections::VecDeque;

use kvcore::{
    placement::{Member, MemberId, Placement},
    slot::SlotSet,
    wire::Standing,
};

use super::{
    pass::{Broken, Pass, Passed},
    tracker::Tracker,
};
use crate::{log::disk::Disk, store::Store};

/// What a member has caught up with since it was started.
#[derive(Debug)]
pub struct CatchUp {
    me: MemberId,
    tracker: Tracker,
    round: Option<Round>,
    was_ready: bool,
}

/// The round that is under way.
#[derive(Debug)]
struct Round {
    placement: Placement,
    mine: SlotSet,
    /// Whom to compare with still, and in which slots.
    left: VecDeque<(Member, SlotSet)>,
    /// Whom with now.
    with: Option<MemberId>,
    behind: SlotSet,
}

/// What followed from the end of a pass.
#[derive(Debug)]
pub struct Followed {
    /// Slots that vote from now on.
    pub promoted: usize,
    /// Where those were the last that did not, how many records had been lost by then: the log may
    /// be told that up to there it is repaired.
    pub all_vote: Option<u64>,
    /// A newer placement to adopt; the round is over.
    pub newer: Option<Placement>,
}

/// How a round ended.
#[derive(Debug)]
pub struct Report {
    /// Why the member is not caught up; `None` when it is.
    pub waiting_for: Option<String>,
    /// Slots that differed from another copy when they were compared.
    pub slots_behind: u32,
    /// Whether this was the first round to end caught up.
    pub first_time: bool,
    /// As after a pass: a member without others is promoted by its rounds alone.
    pub followed: Followed,
}

impl CatchUp {
    /// A member that was just started.
    pub fn new(me: MemberId) -> Self {
        Self {
            me,
            tracker: Tracker::default(),
            round: None,
            was_ready: false,
        }
    }

    /// Begins a round by this placement; false when it does not name this member.
    pub fn begin<D: Disk>(&mut self, placement: &Placement, store: &Store<D>) -> bool {
        self.round = None;
        let Some(me) = placement.index_of(self.me) else {
            return false;
        };
        let mine = placement.slots_of(me);
        let others = placement.members().iter().zip(0..).map(|(member, index)| {
            let theirs = placement.slots_of(kvcore::placement::MemberIndex(index));
            let shared: SlotSet = mine.iter().filter(|&slot| theirs.contains(slot)).collect();
            (member.clone(), shared)
        });
        let left = others.filter(|(member, shared)| member.id != self.me && !shared.is_empty());
        let left = left.collect();
        // Also where there is nobody to compare with.
        self.tracker.observe(&mine, &|slot| store.damages(slot));
        self.round = Some(Round {
            placement: placement.clone(),
            mine,
            left,
            with: None,
            behind: SlotSet::empty(),
        });
        true
    }

    /// The next member to compare with, and the pass to run.
    pub fn next_pass<D: Disk>(&mut self, store: &Store<D>) -> Option<(Member, Pass)> {
        let round = self.round.as_mut()?;
        let (member, shared) = round.left.pop_front()?;
        round.with = Some(member.id);
        self.tracker
            .observe(&round.mine, &|slot| store.damages(slot));
        Some((member, Pass::new(round.placement.epoch(), shared)))
    }

    /// Takes the end of the pass that was given last.
    pub fn ended<D: Disk>(&mut self, end: Result<Passed, Broken>, store: &Store<D>) -> Followed {
        let Some(round) = &mut self.round else {
            return Followed::nothing();
        };
        let Some(with) = round.with.take() else {
            return Followed::nothing();
        };
        let newer = match end {
            Ok(passed) => {
                for slot in passed.differed.iter() {
                    round.behind.insert(slot);
                }
                self.tracker
                    .passed(with, &passed, &|slot| store.damages(slot));
                None
            }
            Err(Broken { why, newer }) => {
                self.tracker.failed(with, why);
                newer
            }
        };
        if newer.is_some() {
            self.round = None;
            return Followed {
                newer,
                ..Followed::nothing()
            };
        }
        self.promote(store)
    }

    /// Ends the round; `None` where none is under way.
    pub fn finish<D: Disk>(&mut self, store: &Store<D>) -> Option<Report> {
        let followed = self.promote(store);
        let round = self.round.take()?;
        let waiting_for =
            self.tracker
                .waiting_for(&round.placement, self.me, &round.mine, &|slot| {
                    store.standing(slot)
                });
        let first_time = waiting_for.is_none() && !self.was_ready;
        self.was_ready |= first_time;
        Some(Report {
            waiting_for,
            slots_behind: u32::try_from(round.behind.len()).expect("at most 1024"),
            first_time,
            followed,
        })
    }

    /// Lets slots vote that have synced with enough other members.
    fn promote<D: Disk>(&mut self, store: &Store<D>) -> Followed {
        let Some(round) = &self.round else {
            return Followed::nothing();
        };
        // Before the standings are looked at: a loss behind that is not what was repaired.
        let losses = store.losses();
        let mut promoted = 0;
        for slot in round.mine.iter() {
            let standing = store.standing(slot);
            if standing != Standing::Voter
                && let Some(damages) =
                    self.tracker
                        .may_vote(&round.placement, self.me, slot, standing)
                && store.let_vote(slot, damages)
            {
                promoted += 1;
            }
        }
        let votes = |slot| store.standing(slot) == Standing::Voter;
        Followed {
            promoted,
            all_vote: (promoted > 0 && round.mine.iter().all(votes)).then_some(losses),
            newer: None,
        }
    }
}

impl Followed {
    fn nothing() -> Self {
        Self {
            promoted: 0,
            all_vote: None,
            newer: None,
        }
    }
}
