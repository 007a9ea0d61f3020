//! From which place in the log the records of each slot count.

use kvcore::{limits::SLOTS, slot::Slot};

use crate::log::LogPlace;

/// For every slot the place below which its records do not count, since the slot was emptied there:
/// see [`super::writer::Writer::discard`]. By default all count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidFrom(Box<[LogPlace]>);

impl Default for ValidFrom {
    fn default() -> Self {
        Self(vec![LogPlace::START; SLOTS].into())
    }
}

impl ValidFrom {
    /// The place of a slot.
    pub fn of(&self, slot: Slot) -> LogPlace {
        self.0[slot.index()]
    }

    /// The highest place of all.
    pub fn highest(&self) -> LogPlace {
        let highest = self.0.iter().max();
        *highest.expect("there are slots")
    }

    /// Has the records of a slot count from a place on.
    pub fn set(&mut self, slot: Slot, place: LogPlace) {
        self.0[slot.index()] = place;
    }
}

impl FromIterator<(Slot, LogPlace)> for ValidFrom {
    fn from_iter<I: IntoIterator<Item = (Slot, LogPlace)>>(places: I) -> Self {
        let mut valid_from = Self::default();
        for (slot, place) in places {
            valid_from.set(slot, place);
        }
        valid_from
    }
}
