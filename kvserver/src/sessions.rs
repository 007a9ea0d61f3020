//! What a placement asks of the data of slots that move. Pure.
//!
//! A session is named by the epoch of its slot's last change. Who joins begins it with an empty slot, and
//! who leaves ends it with one; both are noted in the slot table before they happen, so that a
//! restart neither empties a slot twice nor fills it again out of the log.

use std::collections::{BTreeMap, BTreeSet};

use kvcore::{
    placement::{Epoch, MemberId, Placement},
    slot::{Slot, SlotSet},
    status::SlotSession,
};

use crate::{
    catch_up::{given::GivenTo, round::Pulled},
    log::LogPlace,
    member_files::slot_table::{SessionState, SlotTable, SlotTableError},
};

/// The slots that this member has to empty before it may follow the placement (R3): it joins them,
/// in a session that it has not begun.
pub fn to_open(placement: &Placement, me: MemberId, table: &SlotTable) -> SlotSet {
    let Some(me) = placement.index_of(me) else {
        return SlotSet::empty();
    };
    let is_new = |slot: &Slot| {
        let placed = placement.slot(*slot);
        let begun = table.session(*slot).map(|session| session.epoch);
        placed.is_joining(me) && begun != Some(placed.since())
    };
    Slot::all().filter(is_new).collect()
}

/// The table in which these sessions have begun, with the slots emptied at this place.
pub fn opened(
    table: &SlotTable,
    placement: &Placement,
    slots: &SlotSet,
    place: LogPlace,
) -> Result<SlotTable, SlotTableError> {
    let mut table = table.clone();
    for slot in slots.iter() {
        table.begin_copying(slot, placement.slot(slot).since(), place)?;
    }
    Ok(table)
}

/// The table in which these slots are given away, and emptied at this place.
pub fn given(
    table: &SlotTable,
    slots: &BTreeMap<Slot, Epoch>,
    place: LogPlace,
) -> Result<SlotTable, SlotTableError> {
    let mut table = table.clone();
    for (&slot, &since) in slots {
        table.set_handed_over(slot, since, place)?;
    }
    Ok(table)
}

/// The slots that were emptied for a placement which is not in force yet: until it is, nothing may be
/// asked of them here.
pub fn closed(placement: &Placement, table: &SlotTable) -> SlotSet {
    let sessions = table.iter();
    let is_ahead = |slot: Slot, epoch: Epoch| placement.slot(slot).since() < epoch;
    sessions
        .filter_map(|(slot, state)| Some((slot, state.session?)))
        .filter(|&(slot, session)| is_ahead(slot, session.epoch))
        .map(|(slot, _)| slot)
        .collect()
}

/// Of slots that this member has still to give away: those of which the table does not say that
/// it has.
pub fn is_given(table: &SlotTable, slot: Slot, since: Epoch) -> bool {
    let session = table.session(slot);
    session
        .is_some_and(|session| session.epoch == since && session.state == SessionState::HandedOver)
}

/// What the member says of slots that move.
pub fn report(
    placement: &Placement,
    me: MemberId,
    table: &SlotTable,
    (pulled, given_to): (&Pulled, &GivenTo),
) -> Vec<SlotSession> {
    let Some(me) = placement.index_of(me) else {
        return Vec::new();
    };
    let of = |slot: Slot| {
        let placed = placement.slot(slot);
        let since = placed.since();
        let of = |all: &BTreeMap<Slot, (Epoch, BTreeSet<MemberId>)>| -> Vec<MemberId> {
            let known = all.get(&slot).filter(|(of, _)| *of == since);
            known.map_or_else(Vec::new, |(_, members)| members.iter().copied().collect())
        };
        let is_leaving = placed.is_leaving(me);
        let handed_over = is_leaving && is_given(table, slot, since);
        let pulled = of(pulled);
        let given = if is_leaving { of(given_to) } else { Vec::new() };
        let has_news = handed_over || !pulled.is_empty() || !given.is_empty();
        (placed.names(me) && has_news).then(|| SlotSession {
            slot: slot.number(),
            since,
            pulled,
            given,
            handed_over,
        })
    };
    let moving = Slot::all().filter(|&slot| placement.slot(slot).open().is_some());
    moving.filter_map(of).collect()
}
