//! What space each segment takes, how much of it lives, and which one to compact next.

use std::collections::BTreeMap;

use super::{Location, LogOptions, SegmentId};

/// The segments of the log.
#[derive(Debug, Default)]
pub(super) struct Space(BTreeMap<SegmentId, Segment>);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of records that were not released.
    pub live: u64,
    /// What may be done with it.
    pub state: State,
}

/// What may be done with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is being written.
    Active,
    /// It only gets emptier.
    Sealed,
    /// Bytes in it, or all of it, are lost. It stays as the only trace of that until the slots
    /// were repaired from other copies.
    Damaged,
    /// Its file is not there, and no other trace but this.
    Missing,
    /// A damaged one that was: it goes first, so that it is not reported again.
    Repaired,
}

impl Space {
    /// Adds a segment.
    pub(super) fn insert(&mut self, id: SegmentId, segment: Segment) {
        self.0.insert(id, segment);
    }

    /// Takes a segment out.
    pub(super) fn remove(&mut self, id: SegmentId) -> Option<Segment> {
        self.0.remove(&id)
    }

    /// A segment.
    pub(super) fn get(&self, id: SegmentId) -> Option<Segment> {
        self.0.get(&id).copied()
    }

    /// All numbers in order.
    pub(super) fn ids(&self) -> Vec<SegmentId> {
        self.0.keys().copied().collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Bytes of all, and live ones among them.
    pub(super) fn totals(&self) -> (u64, u64) {
        let sum = |(bytes, live), segment: &Segment| (bytes + segment.bytes, live + segment.live);
        self.0.values().fold((0, 0), sum)
    }

    /// Notes that a segment has grown.
    pub(super) fn grow(&mut self, id: SegmentId, bytes: u64, live: u64) {
        if let Some(segment) = self.0.get_mut(&id) {
            segment.bytes = bytes;
            segment.live += live;
        }
    }

    /// Notes what may be done with a segment.
    pub(super) fn set_state(&mut self, id: SegmentId, state: State) {
        if let Some(segment) = self.0.get_mut(&id) {
            segment.state = state;
        }
    }

    /// The segments in this state.
    pub(super) fn in_state(&self, state: State) -> Vec<SegmentId> {
        let those = self.0.iter().filter(|(_, segment)| segment.state == state);
        those.map(|(&id, _)| id).collect()
    }

    /// Notes that the damaged ones were repaired.
    pub(super) fn repaired(&mut self) {
        for segment in self.0.values_mut() {
            if segment.state == State::Damaged {
                segment.state = State::Repaired;
            }
        }
    }

    /// Notes that a record is dead.
    pub(super) fn release(&mut self, location: Location) {
        if let Some(segment) = self.0.get_mut(&location.segment) {
            segment.live = segment.live.saturating_sub(u64::from(location.length));
        }
    }

    /// The segment to compact next: a repaired one; else one without any live byte; else, once
    /// enough of the whole log is garbage, the one with the least live share, if that is small.
    ///
    /// With all segments live to the same share `u`, copying a segment frees `1 - u` of it, so
    /// the price of a freed byte is `u / (1 - u)` bytes written: at most one below half
    /// (Rosenblum and Ousterhout, "The Design and Implementation of a Log-Structured File
    /// System", 1991). The threshold on the whole log keeps a mostly live one from being copied
    /// for little.
    ///
    /// A segment that is barred is passed over, so that it does not keep the others from being
    /// compacted.
    pub(super) fn victim(&self, options: &LogOptions, barred: &[SegmentId]) -> Option<SegmentId> {
        let in_state = |state| {
            self.0
                .iter()
                .filter(move |(id, segment)| segment.state == state && !barred.contains(id))
        };
        if let Some((&id, _)) = in_state(State::Repaired).next() {
            return Some(id);
        }
        let share = |segment: &Segment| segment.live * 1_000_000 / segment.bytes.max(1);
        let (&id, least) = in_state(State::Sealed).min_by_key(|(_, segment)| share(segment))?;
        let (bytes, live) = self.totals();
        let worth_it = least.live * 100 < least.bytes * u64::from(options.victim_live_percent)
            && (bytes - live.min(bytes)) * 100 >= bytes * u64::from(options.garbage_percent);
        (least.live == 0 || worth_it).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        State::{Active, Damaged, Repaired, Sealed},
        *,
    };

    fn space(segments: &[(u64, State)]) -> Space {
        let numbered = (1..).map(SegmentId).zip(segments);
        Space(
            numbered
                .map(|(id, &(live, state))| {
                    (
                        id,
                        Segment {
                            bytes: 100,
                            live,
                            state,
                        },
                    )
                })
                .collect(),
        )
    }

    #[test]
    fn the_least_live_goes_first_and_only_when_worth_it() {
        let options = LogOptions::default();
        let victim =
            |segments: &[(u64, State)]| space(segments).victim(&options, &[]).map(|id| id.0);
        assert_eq!(victim(&[(40, Sealed), (30, Sealed), (0, Active)]), Some(2));
        assert_eq!(victim(&[(60, Sealed), (55, Sealed), (0, Active)]), None);
        // Half of one segment in ten is not enough garbage to copy for.
        let mut mostly_live = [(100, Sealed); 10];
        mostly_live[4].0 = 45;
        assert_eq!(victim(&mostly_live), None);
        mostly_live[4].0 = 0;
        assert_eq!(victim(&mostly_live), Some(5));
        assert_eq!(victim(&[(0, Damaged), (100, Active)]), None);
        assert_eq!(victim(&[(0, Sealed), (100, Repaired)]), Some(2));
        let two = space(&[(0, Sealed), (10, Sealed), (100, Active)]);
        assert_eq!(two.victim(&options, &[SegmentId(1)]), Some(SegmentId(2)));
    }
}
