//! The order of opening: what is there, what should be there, what it holds, and where it ends.

use std::sync::Arc;

use super::{
    super::{
        Location, Log, LogOptions, LogStats, OpenError, SegmentId,
        batch::{Active, Batch},
        control::{Occasion, Regime, Trust},
        disk::{Disk, DiskFile},
        hint::Draft,
        reader::Files,
        rotate::Rotation,
        segment::{hint_name, segment_name},
        space::{Segment, Space, State},
        walk::Flaw,
    },
    Damage, Recovered, Recovery,
    inventory::{Inventory, failed},
    plan::Plan,
    renew,
    replay::{Replayed, replay},
    survey::End,
    tail::{self, Behind},
};

/// Opens the log in `disk`.
pub(in super::super) fn open<D: Disk>(
    disk: Arc<D>,
    options: LogOptions,
    visit: &mut dyn FnMut(Location, Recovered<'_>),
) -> Result<(Log<D>, Recovery), OpenError> {
    let segment_bytes = options.segment_bytes;
    if !(LogOptions::SEGMENT_BYTES_MIN..=LogOptions::SEGMENT_BYTES_MAX).contains(&segment_bytes) {
        return Err(OpenError::Options { segment_bytes });
    }
    let mut inventory = Inventory::take(&*disk)?;
    let log = inventory.log_id(&*disk, options.log_id)?;
    let files = Arc::new(Files::new(disk, log));
    for name in &inventory.unfinished {
        files.disk.remove(name).map_err(failed("remove", name))?;
    }
    let reaches = options.reaches;
    let (mut log, mut recovery) = match Plan::make(&files, &inventory)? {
        Some(plan) => plan.carry_out(files, options, &inventory, visit)?,
        None => tail::first_segment(files, options)?,
    };
    tail::reach(&mut log, reaches, &mut recovery)?;
    Ok((log, recovery))
}

impl Plan {
    fn carry_out<D: Disk>(
        mut self,
        files: Arc<Files<D>>,
        options: LogOptions,
        inventory: &Inventory,
        visit: &mut dyn FnMut(Location, Recovered<'_>),
    ) -> Result<(Log<D>, Recovery), OpenError> {
        let mut space = Space::default();
        let mut recovery = self.report();
        let mut last_hint = None;
        for id in self.expected.clone() {
            let at = self.found.get(&id).map(|found| (id, found, self.place(id)));
            let replayed = at
                .map(|at| replay(&files, &options, at, visit))
                .transpose()?;
            let (segment, hint) = self.account(id, replayed, &mut recovery);
            space.insert(id, segment);
            if id == self.last {
                last_hint = hint;
            }
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
                room: kept,
                durable: u32::try_from(self.surveys[&self.last].durable)
                    .unwrap_or(0)
                    .min(kept),
                previous: self.end.point.previous,
                marked: if self.end.point.ends_with_mark {
                    kept
                } else {
                    0
                },
                hint: last_hint,
            },
            batch: Batch::default(),
            next_segment,
            regime: Regime::Strict,
            trust: if recovery.intact {
                Trust::Intact
            } else {
                Trust::InDoubt
            },
            roster_lost: !self.has_roster(),
            rotation: Rotation::Done,
            unfinished_hint: None,
            poison: None,
            counts: LogStats::default(),
            files,
            options,
        };
        self.settle(&mut log)?;
        sweep(&log, inventory)?;
        recovery.segments = log.space.len();
        Ok((log, recovery))
    }

    /// Counts what one segment held; gives its hint to be, if it is to have one.
    fn account<F: DiskFile>(
        &mut self,
        id: SegmentId,
        replayed: Option<Replayed<F>>,
        recovery: &mut Recovery,
    ) -> (Segment, Option<Draft<F>>) {
        let bytes = self.found.get(&id).map_or(0, |found| found.length);
        let Some(replayed) = replayed else {
            let (live, state) = (0, State::Missing);
            return (Segment { bytes, live, state }, None);
        };
        recovery.records += replayed.records;
        recovery.from_hints += usize::from(replayed.from_hint);
        let state = if replayed.has_lost() {
            State::Damaged
        } else {
            State::Sealed
        };
        self.damaged.extend(replayed.damaged);
        let live = replayed.live;
        (Segment { bytes, live, state }, replayed.hint)
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
        let closed = self.is_closed();
        let mark = self.end.point.mark;
        let says_so =
            self.end.point.ends_with_mark && mark.is_some_and(|mark| mark.trust == log.trust);
        match self.end.flaw {
            Some(Flaw::Unreadable) => renew::renew(log, closed)?,
            flaw => {
                let is_longer = self.found[&self.last].length > self.end.kept;
                let behind = match flaw {
                    Some(_) => Behind::Torn,
                    None if is_longer => Behind::Room,
                    None => Behind::Nothing,
                };
                tail::settle(log, behind, closed, says_so)?;
            }
        }
        if closed {
            tail::next_segment(log)
        } else if log.active.hint.is_none() {
            // Its damage is to stay apart from what is written from now on.
            tail::seal(log)
        } else {
            log.space.set_state(self.last, State::Active);
            Ok(())
        }
    }

    fn report(&self) -> Recovery {
        let written = self.surveys[&self.last].written;
        // Where nothing is torn, room may seem to begin a few bytes early.
        let torn_bytes = written.saturating_sub(self.end.kept);
        let at = u32::try_from(self.end.kept).expect("segments are limited");
        Recovery {
            segments: 0,
            records: 0,
            torn_bytes,
            torn_at: (torn_bytes > 0).then_some((self.last, at)),
            is_unwritten: self.end.flaw == Some(Flaw::Unwritten),
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
            && matches!(
                flaw,
                None | Some(Flaw::CutShort | Flaw::BehindFooter | Flaw::Unwritten)
            )
            && point.mark.is_some_and(|mark| {
                mark.trust == Trust::Intact && (mark.regime == Regime::Strict || closed.is_some())
            });
    }
}

/// Removes what does not belong to the log any more: now that what replaced it is durable.
fn sweep<D: Disk>(log: &Log<D>, inventory: &Inventory) -> Result<(), OpenError> {
    let mut stale: Vec<String> = Vec::new();
    let belongs = |id: &SegmentId| log.space.get(*id).is_some();
    let segments = inventory.segments.keys().filter(|id| !belongs(id));
    stale.extend(segments.map(|&id| segment_name(id)));
    let hints = inventory.hints.iter().filter(|id| !belongs(id));
    stale.extend(hints.map(|&id| hint_name(id)));
    for name in &stale {
        log.files
            .disk
            .remove(name)
            .map_err(failed("remove", name))?;
    }
    let synced = log.files.disk.sync_directory();
    synced.map_err(failed("sync", "the directory"))
}
