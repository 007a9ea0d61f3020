//! Which placement is in force on this member, and which requests it allows. Pure.

use std::sync::Arc;

use kvcore::{
    limits::CLOCK_SKEW_MS_MAX,
    placement::{ClusterId, Epoch, MemberId, Placement},
    slot::{Slot, SlotSet},
    version::{UnixMillis, Version},
    wire::{Intent, Refusal, Scope, ScopedSlots},
};

use crate::limits::REQUEST_AGE_MS_MAX;

/// The placement in force, and what follows from it for this member.
#[derive(Debug, Clone)]
pub struct Authority {
    member: MemberId,
    in_force: Option<Arc<InForce>>,
}

#[derive(Debug)]
struct InForce {
    placement: Placement,
    slots: SlotSet,
    /// Slots that were emptied for a newer placement.
    closed: SlotSet,
}

/// What to do with a placement that was offered.
#[derive(Debug, PartialEq)]
pub enum Offer {
    /// Make it durable, then put it in force.
    Take,
    /// It is in force already.
    Known,
    /// No.
    Refuse(Refusal),
}

impl Authority {
    /// The member with the placement it has durable, if any.
    pub fn new(member: MemberId, placement: Option<Placement>) -> Self {
        let mut authority = Self {
            member,
            in_force: None,
        };
        if let Some(placement) = placement {
            authority.put_in_force(placement);
        }
        authority
    }

    /// The placement in force.
    pub fn placement(&self) -> Option<&Placement> {
        self.in_force.as_ref().map(|in_force| &in_force.placement)
    }

    /// The member itself.
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// The cluster, `None` while the member is blank.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.placement().map(Placement::cluster)
    }

    /// The epoch in force, zero while the member is blank.
    pub fn epoch(&self) -> Epoch {
        self.placement().map_or(Epoch::default(), Placement::epoch)
    }

    /// The slots that name this member.
    pub fn slots(&self) -> SlotSet {
        self.in_force
            .as_ref()
            .map_or_else(SlotSet::empty, |in_force| in_force.slots.clone())
    }

    /// Whether a placement may be taken: of this cluster, by the same author, and newer.
    pub fn judge(&self, offered: &Placement) -> Offer {
        let refuse = |why: String| Offer::Refuse(Refusal::Placement(why));
        let Some(have) = self.placement() else {
            return Offer::Take;
        };
        if offered.cluster() != have.cluster() {
            let (theirs, mine) = (offered.cluster(), have.cluster());
            return refuse(format!(
                "it is for cluster {theirs}, this member belongs to {mine}"
            ));
        }
        if offered.parts().author != have.parts().author {
            let (theirs, mine) = (offered.parts().author, have.parts().author);
            return refuse(format!(
                "it is by author {theirs}, this member follows {mine}"
            ));
        }
        if offered.epoch() == have.epoch() && offered.digest() != have.digest() {
            let epoch = have.epoch();
            return refuse(format!("epoch {epoch} is known here with another content"));
        }
        let age = |placement: &Placement| (placement.epoch(), placement.parts().address_revision);
        match age(offered).cmp(&age(have)) {
            std::cmp::Ordering::Greater => Offer::Take,
            std::cmp::Ordering::Equal => Offer::Known,
            std::cmp::Ordering::Less if offered.epoch() == have.epoch() => Offer::Known,
            std::cmp::Ordering::Less => Offer::Refuse(Refusal::StaleEpoch(have.clone())),
        }
    }

    /// Puts a placement in force that was judged [`Offer::Take`] and is durable.
    pub fn put_in_force(&mut self, placement: Placement) {
        self.put(placement, SlotSet::empty());
    }

    /// Answers for these slots no more until another placement is in force: they are emptied for it.
    pub fn close(&mut self, slots: &SlotSet) {
        if let Some(in_force) = &self.in_force {
            let closed = in_force.closed.iter().chain(slots.iter()).collect();
            self.put(in_force.placement.clone(), closed);
        }
    }

    fn put(&mut self, placement: Placement, closed: SlotSet) {
        let index = placement.index_of(self.member);
        let slots = index.map_or_else(SlotSet::empty, |index| placement.slots_of(index));
        self.in_force = Some(Arc::new(InForce {
            placement,
            slots,
            closed,
        }));
    }

    /// Whether a request for one slot may be carried out.
    pub fn admit(&self, scope: &Scope, now: UnixMillis) -> Result<Admitted, Refusal> {
        admit_age(scope.began_at, now)?;
        self.admit_at(scope.slot, scope.epoch)?;
        Ok(Admitted::Slot(scope.slot, scope.epoch))
    }

    /// Whether a request for several slots may be carried out; all of them must be held.
    pub fn admit_slots(&self, scope: &ScopedSlots, now: UnixMillis) -> Result<Admitted, Refusal> {
        admit_age(scope.began_at, now)?;
        for slot in scope.slots.iter() {
            self.admit_at(slot, scope.epoch)?;
        }
        Ok(Admitted::Slots(Box::new(scope.slots.clone()), scope.epoch))
    }

    /// Whether what was let in before may still be answered: a read that looked a slot up while a
    /// newer placement took it from this member knows nothing.
    pub fn admits_still(&self, admitted: &Admitted) -> Result<(), Refusal> {
        match admitted {
            Admitted::Slot(slot, epoch) => self.admit_at(*slot, *epoch),
            Admitted::Slots(slots, epoch) => {
                let mut slots = slots.iter();
                slots.try_for_each(|slot| self.admit_at(slot, *epoch))
            }
        }
    }

    /// Whether a sender with the placement of this epoch knows all there is about the slot: it has
    /// not changed since, and nothing newer is to be learned first.
    fn admit_at(&self, slot: Slot, epoch: Epoch) -> Result<(), Refusal> {
        let Some(in_force) = &self.in_force else {
            return Err(Refusal::BehindEpoch {
                have: Epoch::default(),
            });
        };
        let placement = &in_force.placement;
        let have = placement.epoch();
        if epoch > have {
            return Err(Refusal::BehindEpoch { have });
        }
        if epoch < placement.slot(slot).since() {
            return Err(Refusal::StaleEpoch(placement.clone()));
        }
        if !in_force.slots.contains(slot) {
            return Err(Refusal::NotHeld(slot));
        }
        if in_force.closed.contains(slot) {
            let what =
                format!("about to follow a newer placement, for which slot {slot} is emptied");
            return Err(Refusal::NotServing(what));
        }
        Ok(())
    }
}

/// What a request was let in for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// One slot, by a sender with the placement of this epoch.
    Slot(Slot, Epoch),
    /// Several slots, likewise.
    Slots(Box<SlotSet>, Epoch),
}

fn admit_age(began_at: UnixMillis, now: UnixMillis) -> Result<(), Refusal> {
    let age_ms = now.since(began_at);
    if age_ms > REQUEST_AGE_MS_MAX {
        return Err(Refusal::TooOld {
            age_ms,
            limit_ms: REQUEST_AGE_MS_MAX,
        });
    }
    Ok(())
}

/// Whether a version may be written now; only fresh ones are held against the clock.
pub fn admit_version(version: Version, intent: Intent, now: UnixMillis) -> Result<(), Refusal> {
    let ahead_ms = version.time().millis().since(now);
    if intent == Intent::Fresh && ahead_ms > CLOCK_SKEW_MS_MAX {
        return Err(Refusal::TooFarAhead {
            ahead_ms,
            limit_ms: CLOCK_SKEW_MS_MAX,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
