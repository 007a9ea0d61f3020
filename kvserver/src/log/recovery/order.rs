//! The order of opening: what is there, what should be there, what it holds, and where it ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    super::{
        Location, Log, LogOptions, LogStats, OpenError, SegmentId,
        batch::{Active, Batch},
        control::{Occasion, Regime, Trust},
        disk::Disk,
        frame::SEGMENTS_MAX,
        reader::Files,
        segment::segment_name,
        space::{Segment, Space, State},
        walk::Flaw,
    },
    Damage, DamagedRange, RecoveredEntry, Recovery,
    inventory::{Found, Inventory, failed},
    replay::{Place, missing, replay},
    survey::{End, Survey},
    tail,
};

/// What is known before any record is handed out.
struct Plan {
    found: BTreeMap<SegmentId, Found>,
    surveys: BTreeMap<SegmentId, Survey>,
    /// The segment being written when the log stopped, and how it ends.
    last: SegmentId,
    end: End,
    /// The segments that belong to the log.
    expected: BTreeSet<SegmentId>,
    /// Damage that shows in the order of the segments.
    damaged: Vec<DamagedRange>,
    /// A segment that was being made.
    unfinished: Option<SegmentId>,
}

/// Opens the log in `disk`.
pub(in super::super) fn open<D: Disk>(
    disk: Arc<D>,
    options: LogOptions,
    visit: &mut dyn FnMut(Location, RecoveredEntry),
) -> Result<(Log<D>, Recovery), OpenError> {
    let segment_bytes = options.segment_bytes;
    if !(LogOptions::SEGMENT_BYTES_MIN..=LogOptions::SEGMENT_BYTES_MAX).contains(&segment_bytes) {
        return Err(OpenError::Options { segment_bytes });
    }
    let inventory = Inventory::take(&*disk)?;
    let log = inventory.log.unwrap_or(options.new_log_id);
    let files = Arc::new(Files::new(disk, log));
    for name in &inventory.unfinished {
        files.disk.remove(name).map_err(failed("remove", name))?;
    }
    match Plan::make(&files, &inventory)? {
        Some(plan) => plan.carry_out(files, options, &inventory, visit),
        None => tail::first_segment(files, options),
    }
}

impl Plan {
    /// `None` if there is no log yet.
    fn make<D: Disk>(files: &Files<D>, inventory: &Inventory) -> Result<Option<Self>, OpenError> {
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
            if surveys.is_empty() && unfinished.is_none() && survey.is_unfinished(id, segment) {
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
        let Some((&last, tail)) = found.last_key_value() else {
            return Ok(None);
        };
        let end = surveys[&last].end(tail.length);
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
        match &first.roster {
            Some(roster) => self.expected.extend(roster),
            None => {
                self.expected.extend(self.found.keys());
                self.damaged
                    .push(all_lost(newest, "no roster of the log can be read"));
            }
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

    fn place(&self, id: SegmentId) -> Place {
        if id == self.last {
            return Place::Last {
                kept: self.end.kept,
            };
        }
        match self.surveys.contains_key(&id) {
            true => Place::InnerSurveyed,
            false => Place::Inner,
        }
    }

    fn carry_out<D: Disk>(
        mut self,
        files: Arc<Files<D>>,
        options: LogOptions,
        inventory: &Inventory,
        visit: &mut dyn FnMut(Location, RecoveredEntry),
    ) -> Result<(Log<D>, Recovery), OpenError> {
        let mut space = Space::default();
        let mut recovery = self.report();
        let mut last_lines = None;
        for &id in &self.expected {
            let mut segment = Segment {
                bytes: 0,
                live: 0,
                state: State::Missing,
            };
            if let Some(found) = self.found.get(&id) {
                let replayed = replay(&files, &options, (id, found, self.place(id)), visit)?;
                recovery.records += replayed.records;
                recovery.from_hints += usize::from(replayed.from_hint);
                segment.bytes = found.length;
                segment.live = replayed.live;
                let lost = |damaged: &DamagedRange| damaged.slots != Damage::None;
                segment.state = match replayed.damaged.iter().any(lost) {
                    true => State::Damaged,
                    false => State::Sealed,
                };
                if id == self.last && segment.state == State::Sealed {
                    last_lines = Some(replayed.lines);
                }
                self.damaged.extend(replayed.damaged);
            }
            space.insert(id, segment);
        }
        self.judge(&mut recovery);
        let next_segment = self.next_segment()?;
        let (file, salt) = (tail::open_file(&files, self.last)?, files.salt(self.last));
        let kept = u32::try_from(self.end.kept).expect("segments are limited");
        let mut log = Log {
            space,
            active: Active {
                id: self.last,
                file,
                salt,
                end: kept,
                durable: u32::try_from(self.surveys[&self.last].durable)
                    .unwrap_or(0)
                    .min(kept),
                previous: self.end.point.previous,
                marked: if self.end.point.ends_with_mark {
                    kept
                } else {
                    0
                },
                lines: last_lines,
            },
            batch: Batch::default(),
            next_segment,
            regime: Regime::Strict,
            trust: if recovery.intact {
                Trust::Intact
            } else {
                Trust::InDoubt
            },
            poison: None,
            counts: LogStats::default(),
            files,
            options,
        };
        self.settle(&mut log)?;
        self.sweep(&log, inventory)?;
        recovery.segments = log.space.len();
        Ok((log, recovery))
    }

    /// Makes durable what is kept, cuts what is not, and makes the log ready for writing.
    fn settle<D: Disk>(&self, log: &mut Log<D>) -> Result<(), OpenError> {
        for &id in self
            .found
            .keys()
            .filter(|&&id| id != self.last && self.expected.contains(&id))
        {
            tail::sync_file(&log.files, id)?;
        }
        let sealed = self.surveys[&self.last].sealed;
        let mark = self.end.point.mark;
        let says_so =
            self.end.point.ends_with_mark && mark.is_some_and(|mark| mark.trust == log.trust);
        tail::settle(log, self.end.flaw.is_some(), sealed, says_so)?;
        if sealed {
            tail::next_segment(log)
        } else if log.active.lines.is_none() {
            // Its damage is to stay apart from what is written from now on.
            tail::seal(log)
        } else {
            log.space.set_state(self.last, State::Active);
            Ok(())
        }
    }

    /// Removes what does not belong to the log any more: now that what replaced it is durable.
    fn sweep<D: Disk>(&self, log: &Log<D>, inventory: &Inventory) -> Result<(), OpenError> {
        let mut stale: Vec<String> = Vec::new();
        let belongs = |id: &SegmentId| log.space.get(*id).is_some();
        let segments = inventory.segments.keys().filter(|id| !belongs(id));
        stale.extend(segments.map(|&id| segment_name(id)));
        let hints = inventory.hints.iter().filter(|id| !belongs(id));
        stale.extend(hints.map(|&id| super::super::segment::hint_name(id)));
        for name in &stale {
            log.files
                .disk
                .remove(name)
                .map_err(failed("remove", name))?;
        }
        let synced = log.files.disk.sync_directory();
        synced.map_err(failed("sync", "the directory"))
    }

    /// The number of the next segment: none that was ever used.
    fn next_segment(&self) -> Result<SegmentId, OpenError> {
        let highest = self.expected.last().copied().unwrap_or(self.last);
        let next = highest.0.checked_add(1).map(SegmentId);
        next.ok_or_else(|| OpenError::Foreign {
            name: segment_name(highest),
            reason: "no number is left behind it".to_owned(),
        })
    }

    fn report(&self) -> Recovery {
        let torn_bytes = self.found[&self.last].length - self.end.kept;
        let at = u32::try_from(self.end.kept).expect("segments are limited");
        Recovery {
            segments: 0,
            records: 0,
            torn_bytes,
            torn_at: (torn_bytes > 0).then_some((self.last, at)),
            damage: Damage::None,
            damaged: Vec::new(),
            clean_shutdown: false,
            intact: false,
            from_hints: 0,
        }
    }

    /// Whether anything that was acknowledged may be missing.
    fn judge(&mut self, recovery: &mut Recovery) {
        recovery.damaged = std::mem::take(&mut self.damaged);
        for damaged in &recovery.damaged {
            recovery.damage =
                std::mem::replace(&mut recovery.damage, Damage::None).and(&damaged.slots);
        }
        let End { point, flaw, .. } = self.end;
        let closed = point.mark.filter(|mark| {
            point.ends_with_mark && flaw.is_none() && mark.occasion == Occasion::Closed
        });
        recovery.clean_shutdown = closed.is_some();
        recovery.intact = recovery.damage == Damage::None
            // Bad bytes may be a torn batch that nobody was promised, or one that rotted.
            && matches!(flaw, None | Some(Flaw::CutShort | Flaw::BehindFooter))
            && point.mark.is_some_and(|mark| {
                mark.trust == Trust::Intact && (mark.regime == Regime::Strict || closed.is_some())
            });
    }
}

fn survey<D: Disk>(files: &Files<D>, id: SegmentId, found: &Found) -> Result<Survey, OpenError> {
    let name = segment_name(id);
    let file = files.disk.open_read(&name).map_err(failed("open", &name))?;
    Survey::take(Arc::new(file), files.salt(id), found.length).map_err(failed("read", &name))
}

fn all_lost(segment: SegmentId, reason: &'static str) -> DamagedRange {
    DamagedRange {
        segment,
        range: 0..0,
        slots: Damage::All,
        reason,
    }
}
