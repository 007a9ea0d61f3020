//! Which owners have everything of the slots that this member gives away. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kvcore::{
    placement::{Epoch, Member, MemberId, MemberIndex, Placement, SlotPlacement},
    slot::{Slot, SlotSet},
};

use super::hand_over::Offer;

/// Owners that have everything, by slot.
#[derive(Debug, Default)]
pub(super) struct Given(BTreeMap<Slot, To>);

#[derive(Debug)]
struct To {
    /// The slot's last change before they were asked.
    since: Epoch,
    owners: BTreeSet<MemberId>,
}

impl Given {
    /// Whom to go to, with which slots: those that this member hands over, and those of which it
    /// has records although they found another home.
    pub(super) fn owners(
        &mut self,
        placement: &Placement,
        me: MemberIndex,
        has_records: &dyn Fn(Slot) -> bool,
    ) -> VecDeque<(Member, SlotSet, Offer)> {
        let mut to = BTreeMap::<(MemberIndex, Offer), SlotSet>::new();
        for slot in Slot::all() {
            let placed = placement.slot(slot);
            let Some(offer) = offer(placed, me, || has_records(slot)) else {
                self.0.remove(&slot);
                continue;
            };
            let fresh = || To {
                since: placed.since(),
                owners: BTreeSet::new(),
            };
            let given = self.0.entry(slot).or_insert_with(fresh);
            if given.since != placed.since() {
                *given = fresh();
            }
            for &owner in placed.read_set().members() {
                if !given.owners.contains(&placement.member(owner).id) {
                    let slots = to.entry((owner, offer)).or_insert_with(SlotSet::empty);
                    slots.insert(slot);
                }
            }
        }
        to.into_iter()
            .map(|((owner, offer), slots)| (placement.member(owner).clone(), slots, offer))
            .collect()
    }

    /// Notes that an owner has everything of these slots.
    pub(super) fn to(&mut self, owner: MemberId, slots: &SlotSet, placement: &Placement) {
        for slot in slots.iter() {
            let given = self.0.get_mut(&slot);
            if let Some(given) = given.filter(|of| of.since == placement.slot(slot).since()) {
                given.owners.insert(owner);
            }
        }
    }

    /// To whom each slot was given, since which epoch.
    pub(super) fn owners_of(&self, placement: &Placement) -> GivenTo {
        let all = self.0.iter();
        let now = all.filter(|(slot, given)| given.since == placement.slot(**slot).since());
        now.map(|(&slot, given)| (slot, (given.since, given.owners.clone())))
            .collect()
    }

    /// Slots that a write quorum of their owners has.
    pub(super) fn enough(&self, placement: &Placement) -> BTreeMap<Slot, Epoch> {
        let all = self.owners_of(placement).into_iter();
        let enough = all.filter(|(slot, (_, owners))| {
            owners.len() >= placement.slot(*slot).read_set().write_quorum()
        });
        enough.map(|(slot, (since, _))| (slot, since)).collect()
    }
}

/// Of slots that are given away: the epoch of their last change, and who has everything.
pub type GivenTo = BTreeMap<Slot, (Epoch, BTreeSet<MemberId>)>;

/// How a slot is given away, if it is.
fn offer(
    placed: &SlotPlacement,
    me: MemberIndex,
    has_records: impl FnOnce() -> bool,
) -> Option<Offer> {
    if placed.is_leaving(me) {
        return Some(Offer::Bring);
    }
    (!placed.names(me) && has_records()).then_some(Offer::Look)
}
