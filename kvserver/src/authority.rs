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
        let index = placement.index_of(self.member);
        let slots = index.map_or_else(SlotSet::empty, |index| placement.slots_of(index));
        self.in_force = Some(Arc::new(InForce { placement, slots }));
    }

    /// Whether a request for one slot may be carried out.
    pub fn admit(&self, scope: &Scope, now: UnixMillis) -> Result<(), Refusal> {
        let in_force = self.admit_epoch(scope.epoch, scope.began_at, now)?;
        if in_force.slots.contains(scope.slot) {
            Ok(())
        } else {
            Err(Refusal::NotHeld(scope.slot))
        }
    }

    /// Whether a request for several slots may be carried out; all of them must be held.
    pub fn admit_slots(&self, scope: &ScopedSlots, now: UnixMillis) -> Result<(), Refusal> {
        let in_force = self.admit_epoch(scope.epoch, scope.began_at, now)?;
        let foreign = scope
            .slots
            .iter()
            .find(|&slot: &Slot| !in_force.slots.contains(slot));
        foreign.map_or(Ok(()), |slot| Err(Refusal::NotHeld(slot)))
    }

    fn admit_epoch(
        &self,
        epoch: Epoch,
        began_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<&InForce, Refusal> {
        let age_ms = now.since(began_at);
        if age_ms > REQUEST_AGE_MS_MAX {
            return Err(Refusal::TooOld {
                age_ms,
                limit_ms: REQUEST_AGE_MS_MAX,
            });
        }
        let Some(in_force) = &self.in_force else {
            return Err(Refusal::BehindEpoch {
                have: Epoch::default(),
            });
        };
        let have = in_force.placement.epoch();
        match epoch.cmp(&have) {
            std::cmp::Ordering::Less => Err(Refusal::StaleEpoch(in_force.placement.clone())),
            std::cmp::Ordering::Greater => Err(Refusal::BehindEpoch { have }),
            std::cmp::Ordering::Equal => Ok(in_force),
        }
    }
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
