//! What a member knows of its slots and nobody else can tell it: from which place in the log their
//! records count, and how far a session has come in which a slot is copied or handed over.
//!
//! ```text
//! { "format": 1, "crc32": of the slots as JSON without spaces,
//!   "slots": [ { "slot": 5, "segment": 3, "offset": 8192,
//!                "session": { "epoch": 7, "state": "copying" } } ] }
//! ```
//!
//! A slot that was never emptied is not in it. Without it, records that a slot discarded would come
//! back out of the log: hence the checksum, and no reading of a part.

use std::collections::BTreeMap;

use kvcore::{placement::Epoch, slot::Slot};
use serde::{Deserialize, Serialize};

use crate::{
    log::{LogPlace, SegmentId},
    store::ValidFrom,
};

/// The form this program writes, and the only one it reads.
const FORMAT: u32 = 1;

/// Of each slot what there is to say. A change is made to a copy, and the copy written before it
/// takes the place of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "TableJson", into = "TableJson")]
pub struct SlotTable(BTreeMap<Slot, SlotState>);

/// What there is to say of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotState {
    /// Its records count from there on.
    pub valid_from: LogPlace,
    /// The session it is in.
    pub session: Option<Session>,
}

/// The change of one replica of a slot, as the member that joins or leaves has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The epoch of the slot's change; not zero.
    pub epoch: Epoch,
    /// How far it has come.
    pub state: SessionState,
}

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// The member joins: it has discarded what it held, and copies.
    Copying,
    /// The member joins, and has copied from enough sources.
    Copied,
    /// The member leaves: enough owners have everything it held, and it holds nothing.
    HandedOver,
}

/// Why the table was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotTableError {
    /// Records that do not count would count again.
    #[error("the records of slot {slot} count from {have}, it cannot go back to {asked}")]
    Backwards {
        /// The slot.
        slot: Slot,
        /// From where they count.
        have: LogPlace,
        /// From where they should.
        asked: LogPlace,
    },
    /// No slot was ever emptied there.
    #[error("slot {slot} cannot have been emptied at {asked}")]
    NoPlace {
        /// The slot.
        slot: Slot,
        /// The place.
        asked: LogPlace,
    },
    /// The slot is in another session, or none.
    #[error("slot {slot} is in {}, not in one of epoch {asked}", named(*.have))]
    OtherSession {
        /// The slot.
        slot: Slot,
        /// The session it is in.
        have: Option<Session>,
        /// The epoch of the session that was meant.
        asked: Epoch,
    },
    /// Epoch zero is no placement's.
    #[error("slot {0} cannot be in a session of epoch 0")]
    NoEpoch(Slot),
}

fn named(session: Option<Session>) -> String {
    match session {
        Some(Session { epoch, state }) => format!("a session of epoch {epoch} ({state:?})"),
        None => "no session".to_owned(),
    }
}

impl SlotTable {
    /// From where in the log the records of every slot count.
    pub fn valid_from(&self) -> ValidFrom {
        let places = self.0.iter().map(|(&slot, state)| (slot, state.valid_from));
        places.collect()
    }

    /// What there is to say of a slot.
    pub fn of(&self, slot: Slot) -> Option<SlotState> {
        self.0.get(&slot).copied()
    }

    /// The session that a slot is in.
    pub fn session(&self, slot: Slot) -> Option<Session> {
        self.of(slot)?.session
    }

    /// All slots of which there is something to say.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, SlotState)> + '_ {
        self.0.iter().map(|(&slot, &state)| (slot, state))
    }

    /// Whether there is nothing to say of any slot.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The member joins: it has emptied the slot at this place and copies, in a session that is later
    /// than any before it, or in the same one again while that copies.
    pub fn begin_copying(
        &mut self,
        slot: Slot,
        epoch: Epoch,
        place: LogPlace,
    ) -> Result<(), SlotTableError> {
        let state = SessionState::Copying;
        self.begin(slot, Session { epoch, state }, place)
    }

    /// It has copied from enough sources in this session; true if that is news.
    pub fn set_copied(&mut self, slot: Slot, epoch: Epoch) -> Result<bool, SlotTableError> {
        let have = self.session(slot);
        let known = self.0.get_mut(&slot);
        let session = known.and_then(|known| known.session.as_mut());
        match session {
            Some(session)
                if session.epoch == epoch && session.state != SessionState::HandedOver =>
            {
                let before = std::mem::replace(&mut session.state, SessionState::Copied);
                Ok(before == SessionState::Copying)
            }
            _ => Err(SlotTableError::OtherSession {
                slot,
                have,
                asked: epoch,
            }),
        }
    }

    /// The member leaves: enough owners have everything, and it has emptied the slot at this place.
    pub fn set_handed_over(
        &mut self,
        slot: Slot,
        epoch: Epoch,
        place: LogPlace,
    ) -> Result<(), SlotTableError> {
        let state = SessionState::HandedOver;
        self.begin(slot, Session { epoch, state }, place)
    }

    /// The member has emptied the slot at this place, which is in no session any more.
    pub fn set_discarded(&mut self, slot: Slot, place: LogPlace) -> Result<(), SlotTableError> {
        self.set(slot, place, None)
    }

    /// The slot is in no session any more; from where its records count stays.
    pub fn end_session(&mut self, slot: Slot) {
        if let Some(known) = self.0.get_mut(&slot) {
            known.session = None;
        }
    }

    fn begin(
        &mut self,
        slot: Slot,
        session: Session,
        place: LogPlace,
    ) -> Result<(), SlotTableError> {
        if session.epoch == Epoch::default() {
            return Err(SlotTableError::NoEpoch(slot));
        }
        let have = self.session(slot);
        let may = have.is_none_or(|have| have.epoch < session.epoch || have == session);
        if !may {
            return Err(SlotTableError::OtherSession {
                slot,
                have,
                asked: session.epoch,
            });
        }
        self.set(slot, place, Some(session))
    }

    fn set(
        &mut self,
        slot: Slot,
        place: LogPlace,
        session: Option<Session>,
    ) -> Result<(), SlotTableError> {
        if place.segment == LogPlace::START.segment {
            return Err(SlotTableError::NoPlace { slot, asked: place });
        }
        if let Some(have) = self.of(slot)
            && have.valid_from > place
        {
            return Err(SlotTableError::Backwards {
                slot,
                have: have.valid_from,
                asked: place,
            });
        }
        let state = SlotState {
            valid_from: place,
            session,
        };
        self.0.insert(slot, state);
        Ok(())
    }
}

/// The table as its file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableJson {
    format: u32,
    crc32: u32,
    slots: Vec<SlotJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotJson {
    slot: Slot,
    segment: u32,
    offset: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<Session>,
}

/// Why a file holds no table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NoTable {
    #[error("it has format {0}; this program reads format {FORMAT}: run the one that wrote it")]
    UnknownFormat(u32),
    #[error("its checksum is {said}, that of its slots {found}")]
    Checksum { said: u32, found: u32 },
    #[error("slot {0} is not in its place")]
    Order(Slot),
    #[error(transparent)]
    Content(#[from] SlotTableError),
}

impl From<SlotTable> for TableJson {
    fn from(table: SlotTable) -> Self {
        let slots: Vec<_> = table
            .iter()
            .map(|(slot, state)| SlotJson {
                slot,
                segment: state.valid_from.segment.0,
                offset: state.valid_from.offset,
                session: state.session,
            })
            .collect();
        Self {
            format: FORMAT,
            crc32: checksum(&slots),
            slots,
        }
    }
}

impl TryFrom<TableJson> for SlotTable {
    type Error = NoTable;

    fn try_from(json: TableJson) -> Result<Self, NoTable> {
        if json.format != FORMAT {
            return Err(NoTable::UnknownFormat(json.format));
        }
        let (said, found) = (json.crc32, checksum(&json.slots));
        if said != found {
            return Err(NoTable::Checksum { said, found });
        }
        let mut table = Self::default();
        for of in json.slots {
            let place = LogPlace {
                segment: SegmentId(of.segment),
                offset: of.offset,
            };
            let last = table.0.last_key_value();
            if last.is_some_and(|(&last, _)| last >= of.slot) {
                return Err(NoTable::Order(of.slot));
            }
            match of.session {
                Some(session) => table.begin(of.slot, session, place)?,
                None => table.set_discarded(of.slot, place)?,
            }
        }
        Ok(table)
    }
}

fn checksum(slots: &[SlotJson]) -> u32 {
    let text = serde_json::to_vec(slots).expect("numbers and names are JSON");
    crc32fast::hash(&text)
}

#[cfg(test)]
mod tests;
