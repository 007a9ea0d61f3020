//! What belongs to the log, what of it is missing, and where it ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    super::{
        OpenError, SegmentId,
        disk::Disk,
        frame::SEGMENTS_MAX,
        reader::Files,
        segment::{HEAD_BYTES, hint_name, segment_name},
    },
    Damage, DamagedRange,
    inventory::{Found, Inventory, failed},
    replay::{Place, missing},
    survey::{End, Survey},
};

/// What is known before any record is handed out.
pub(super) struct Plan {
    /// The segments that are there.
    pub found: BTreeMap<SegmentId, Found>,
    /// What the newest of them say.
    pub surveys: BTreeMap<SegmentId, Survey>,
    /// The segment being written when the log stopped.
    pub last: SegmentId,
    /// How that one ends.
    pub end: End,
    /// The segments that belong to the log.
    pub expected: BTreeSet<SegmentId>,
    /// Damage that shows in the order of the segments.
    pub damaged: Vec<DamagedRange>,
    /// A segment that was being made.
    unfinished: Option<SegmentId>,
}

impl Plan {
    /// `None` if there is no log yet.
    pub(super) fn make<D: Disk>(
        files: &Files<D>,
        inventory: &Inventory,
    ) -> Result<Option<Self>, OpenError> {
        let mut found = inventory.segments.clone();
        let mut surveys = BTreeMap::new();
        let mut unfinished = None;
        // From the newest back to one that tells what belongs to the log.
        while let Some((&id, segment)) = found
            .iter()
            .rev()
            .find(|(id, _)| !surveys.contains_key(*id))
        {
            let survey = survey(files, id, segment)?;
            // Alone, it says that those before it are missing.
            let follows = found.len() > 1 || id == SegmentId(1);
            if surveys.is_empty()
                && unfinished.is_none()
                && follows
                && survey.is_unfinished(id, segment)
            {
                unfinished = Some(id);
                found.remove(&id);
                continue;
            }
            let has_roster = survey.roster.is_some();
            surveys.insert(id, survey);
            if has_roster {
                break;
            }
        }
        let Some((&last, _)) = found.last_key_value() else {
            // A hint tells of a segment that was sealed, so of a log.
            return match inventory.hints.first() {
                Some(&id) => Err(OpenError::Unreadable {
                    name: hint_name(id),
                }),
                None => Ok(None),
            };
        };
        let end = surveys[&last].end();
        let mut plan = Self {
            found,
            surveys,
            last,
            end,
            expected: BTreeSet::new(),
            damaged: Vec::new(),
            unfinished,
        };
        plan.expect_segments(files);
        Ok(Some(plan))
    }

    /// Tells which segments belong to the log, and which of them are missing.
    fn expect_segments<D: Disk>(&mut self, files: &Files<D>) {
        let Some((&newest, first)) = self.surveys.first_key_value() else {
            return;
        };
        if let Some(roster) = &first.roster {
            self.expected.extend(roster);
        } else {
            self.expected.extend(self.found.keys());
            self.damaged
                .push(all_lost(newest, "no roster of the log can be read"));
        }
        let mut end = self.last.0.saturating_add(1);
        if self.surveys[&self.last].sealed {
            // The name of the next segment was durable before the footer was written.
            end = end.saturating_add(1);
        }
        if let Some(unfinished) = self.unfinished {
            end = unfinished.0;
        }
        if (end - newest.0) as usize > SEGMENTS_MAX {
            self.damaged
                .push(all_lost(newest, "the segments behind are missing"));
            self.expected.extend(self.found.keys());
        } else {
            self.expected.extend((newest.0..end).map(SegmentId));
        }
        for (&id, survey) in &self.surveys {
            let end = if id == self.last {
                self.end.kept
            } else {
                u64::MAX
            };
            for retired in survey.retired(end) {
                self.expected.remove(&retired);
            }
        }
        // Whatever a retirement says, the log goes on in its last segment.
        self.expected.insert(self.last);
        let gone = self
            .expected
            .iter()
            .filter(|id| !self.found.contains_key(id));
        self.damaged.extend(gone.map(|&id| missing(files, id)));
    }

    /// How a segment stands in the log.
    pub(super) fn place(&self, id: SegmentId) -> Place {
        if id == self.last {
            return Place::Last {
                kept: self.end.kept,
            };
        }
        if self.surveys.contains_key(&id) {
            Place::InnerSurveyed
        } else {
            Place::Inner
        }
    }

    /// Whether nothing more goes into the last segment: it has a footer, or ends within its head,
    /// and stays so as the trace of what stood behind.
    pub(super) fn is_closed(&self) -> bool {
        self.surveys[&self.last].sealed || self.found[&self.last].length < HEAD_BYTES as u64
    }

    /// Whether the last segment tells what belongs to the log.
    pub(super) fn has_roster(&self) -> bool {
        self.surveys[&self.last].roster.is_some()
    }

    /// The number of the next segment: none that was ever used.
    pub(super) fn next_segment(&self) -> Result<SegmentId, OpenError> {
        let highest = self.expected.last().copied().unwrap_or(self.last);
        let next = highest.0.checked_add(1).map(SegmentId);
        let foreign = |reason: &str| OpenError::Foreign {
            name: segment_name(highest),
            reason: reason.to_owned(),
        };
        // Behind a closed segment one is begun, whose roster has to hold all.
        if self.is_closed() && self.expected.len() >= SEGMENTS_MAX {
            return Err(foreign("the log has no room for one more segment"));
        }
        next.ok_or_else(|| foreign("no number is left behind it"))
    }
}

fn survey<D: Disk>(files: &Files<D>, id: SegmentId, found: &Found) -> Result<Survey, OpenError> {
    let name = segment_name(id);
    let file = files.disk.open_read(&name).map_err(failed("open", &name))?;
    Survey::take(&Arc::new(file), files.salt(id), found.length).map_err(failed("read", &name))
}

fn all_lost(segment: SegmentId, reason: &'static str) -> DamagedRange {
    DamagedRange {
        segment,
        range: 0..0,
        slots: Damage::All,
        reason,
    }
}
