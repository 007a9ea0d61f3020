//! A round: one pass with every other member, and what they are worth together. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kvcore::{
    placement::{Epoch, Member, MemberId, MemberIndex, Placement},
    slot::{Slot, SlotSet},
    wire::Standing,
};

use super::{
    given::{Given, GivenTo},
    hand_over::{HandOver, HandedOver, Offer},
    pass::{Broken, Pass, Passed},
    tracker::Tracker,
};
use crate::{log::disk::Disk, store::Store};

/// What a member has caught up with since it was started.
#[derive(Debug)]
pub struct CatchUp {
    me: MemberId,
    tracker: Tracker,
    given: Given,
    /// Whom the last pass was with.
    last: Option<MemberId>,
    round: Option<Round>,
    was_ready: bool,
}

/// The round that is under way.
#[derive(Debug)]
struct Round {
    placement: Placement,
    me: MemberIndex,
    /// Slots that this member keeps, or copies.
    mine: SlotSet,
    /// Whom to compare with still, and in which slots.
    left: VecDeque<(Member, SlotSet)>,
    /// To whom slots are handed over still, and how.
    owners: VecDeque<(Member, SlotSet, Offer)>,
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
    /// Slots that enough owners have everything of, since which epoch: what is here of them may go.
    pub given: BTreeMap<Slot, Epoch>,
    /// To whom slots were given away that are not all dropped yet.
    pub given_to: GivenTo,
    /// Slots that are copied: since which epoch, and whom this member has everything from. To be made
    /// durable, with what was copied, before anybody is told.
    pub pulled: Pulled,
}

/// Of slots that are copied: the epoch of their last change, and whom everything is had from.
pub type Pulled = BTreeMap<Slot, (Epoch, BTreeSet<MemberId>)>;

/// How a round ended.
#[derive(Debug)]
pub struct Report {
    /// Why the member is not caught up; `None` when it is.
    pub waiting_for: Option<String>,
    /// Slots that differed from another copy when they were compared.
    pub slots_behind: u32,
    /// Slots that found another home, of which there are records here that their owners were not all
    /// seen to have.
    pub slots_left: u32,
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
            given: Given::default(),
            last: None,
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
        let mut shared = BTreeMap::<MemberIndex, SlotSet>::new();
        let mut mine = SlotSet::empty();
        for slot in Slot::all() {
            let Some(set) = placement.slot(slot).compared_with(me) else {
                continue;
            };
            mine.insert(slot);
            for &other in set.members().iter().filter(|&&other| other != me) {
                shared
                    .entry(other)
                    .or_insert_with(SlotSet::empty)
                    .insert(slot);
            }
        }
        let left = shared.into_iter();
        let left = left.map(|(other, slots)| (placement.member(other).clone(), slots));
        let mut left: VecDeque<_> = left.collect();
        // On from whom the last pass was with: one that ends with a newer placement ends its round.
        let last = left
            .iter()
            .position(|(member, _)| Some(member.id) == self.last);
        left.rotate_left(last.map_or(0, |last| (last + 1) % left.len()));
        // Also where there is nobody to compare with.
        self.tracker
            .observe(placement, &mine, &|slot| store.damages(slot));
        self.round = Some(Round {
            placement: placement.clone(),
            me,
            mine,
            left,
            owners: self
                .given
                .owners(placement, me, &|slot| store.has_records(slot)),
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
        self.last = Some(member.id);
        self.tracker
            .observe(&round.placement, &round.mine, &|slot| store.damages(slot));
        Some((member, Pass::new(round.placement.epoch(), shared)))
    }

    /// The next owner to hand slots over to, and how; before the passes, which go on for as long as
    /// others change.
    pub fn next_hand_over(&mut self) -> Option<(Member, HandOver)> {
        let round = self.round.as_mut()?;
        let (member, slots, offer) = round.owners.pop_front()?;
        round.with = Some(member.id);
        let epoch = round.placement.epoch();
        Some((member, HandOver::new(epoch, &slots, offer)))
    }

    /// Takes the end of the hand-over that was given last.
    pub fn handed_over(&mut self, end: HandedOver) -> Followed {
        let Some(round) = &mut self.round else {
            return Followed::nothing();
        };
        let Some(owner) = round.with.take() else {
            return Followed::nothing();
        };
        self.given.to(owner, &end.whole, &round.placement);
        let followed = Followed {
            given: self.given.enough(&round.placement),
            given_to: self.given.owners_of(&round.placement),
            ..Followed::nothing()
        };
        let Some(newer) = end.broken.and_then(|broken| broken.newer) else {
            return followed;
        };
        self.round = None;
        Followed {
            newer: Some(newer),
            ..followed
        }
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
                passed.newer
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
        let is_left =
            |slot: &Slot| !round.placement.slot(*slot).names(round.me) && store.has_records(*slot);
        let slots_left = Slot::all().filter(is_left).count();
        let first_time = waiting_for.is_none() && !self.was_ready;
        self.was_ready |= first_time;
        Some(Report {
            waiting_for,
            slots_behind: u32::try_from(round.behind.len()).expect("at most 1024"),
            slots_left: u32::try_from(slots_left).expect("at most 1024"),
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
        let copied = |slot: Slot| {
            let pulled = self.tracker.pulled(&round.placement, round.me, slot)?;
            // What was lost since may be what was pulled.
            votes(slot).then_some((slot, pulled))
        };
        Followed {
            promoted,
            all_vote: (promoted > 0 && round.mine.iter().all(votes)).then_some(losses),
            newer: None,
            given: BTreeMap::new(),
            given_to: GivenTo::new(),
            pulled: round.mine.iter().filter_map(copied).collect(),
        }
    }
}

impl Followed {
    fn nothing() -> Self {
        Self {
            promoted: 0,
            all_vote: None,
            newer: None,
            given: BTreeMap::new(),
            given_to: GivenTo::new(),
            pulled: Pulled::new(),
        }
    }
}
