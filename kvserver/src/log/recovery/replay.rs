//! Handing out what a segment holds, from its hint or from itself, and finding damage in it.

use std::{ops::Range, sync::Arc};

use super::{
    super::{
        LogOptions, OpenError, SegmentId,
        disk::{Disk, DiskFile},
        entry::{CHUNK_HEAD_BYTES, Values},
        frame::{HEADER_BYTES, Header, Kind},
        hint::{Draft, Hint},
        reader::{Files, location, no_entry},
        segment::{Copies, HEAD_BYTES, HeadState, segment_name},
        walk::{Bad, Step, Walk},
    },
    Damage, DamagedRange, Location, Recovered, RecoveredContent,
    inventory::{Found, failed},
};

/// Who gets what is found.
pub(super) type Visit<'a> = dyn FnMut(Location, Recovered<'_>) + 'a;

/// What was found in one segment.
#[derive(Debug)]
pub(super) struct Replayed<F> {
    /// Records handed out.
    pub records: u64,
    /// Their bytes.
    pub live: u64,
    /// What is wrong.
    pub damaged: Vec<DamagedRange>,
    /// Whether it was read from its hint.
    pub from_hint: bool,
    /// The hint to be of the last segment, unless something in it is lost.
    pub hint: Option<Draft<F>>,
    /// Records that begin below were handed out already.
    behind: u64,
}

/// How a segment stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Others follow: it has to have a footer.
    Inner,
    /// It is among those read already for what they say of the log; has to have a footer.
    InnerSurveyed,
    /// It is the last one: what is to be kept ends here.
    Last {
        /// Where.
        kept: u64,
    },
}

/// Hands out the records of one segment.
pub(super) fn replay<D: Disk>(
    files: &Files<D>,
    options: &LogOptions,
    (id, found, place): (SegmentId, &Found, Place),
    visit: &mut Visit<'_>,
) -> Result<Replayed<D::File>, OpenError> {
    let mut hint = Hint::open_summed(&*files.disk, (files.log, id));
    let whole_head = matches!(found.head, HeadState::Good(_, Copies::Both));
    let mut replayed = Replayed::new();
    if place == Place::Inner && whole_head && !options.load_values {
        hint = hint.filter(Hint::lines_are_good);
        let of_this = |hint: &&Hint<_>| hint.segment_bytes == found.length;
        if let Some(hint) = hint.as_ref().filter(of_this) {
            replayed.from_hint = replayed.hand_out_lines(hint, visit);
        }
        if replayed.from_hint {
            return Ok(replayed);
        }
        // Where it could be read when it was checked, and now not to its end: on from there.
    }
    if !whole_head {
        replayed.damaged.push(DamagedRange {
            segment: id,
            range: 0..HEAD_BYTES as u64,
            slots: Damage::None,
            reason: "a copy of the head does not pass its check",
        });
    }
    if found.length < HEAD_BYTES as u64 && matches!(place, Place::Last { .. }) {
        replayed.damaged.push(DamagedRange {
            segment: id,
            range: found.length..u64::from(u32::MAX),
            slots: Damage::All,
            reason: "the file ends within its head",
        });
    }
    let values = if options.load_values {
        Values::Loaded
    } else {
        Values::Skipped
    };
    let sealed = !matches!(place, Place::Last { .. });
    let draft = || Draft::new(id, options.segment_bytes);
    replayed.hint = (hint.is_none() || !sealed).then(draft);
    replayed.read(files, (id, found, place), values, visit)?;
    if !replayed.damaged.is_empty()
        && let Some(hint) = hint.as_ref().filter(|hint| hint.lines_are_good())
    {
        for damaged in &mut replayed.damaged {
            name_slots(damaged, hint);
        }
    }
    if sealed {
        replayed.finish_hint(files, (id, found.length));
    } else if replayed.has_lost() {
        replayed.discard_hint(files);
    }
    Ok(replayed)
}

/// Where any slot may be touched, the hint knows better.
fn name_slots<F: DiskFile>(damaged: &mut DamagedRange, hint: &Hint<F>) {
    if damaged.slots == Damage::All {
        let Range { start, end } = damaged.range;
        damaged.slots = hint.slots_within(start..end);
    }
}

/// The damage of a segment whose file is gone.
pub(super) fn missing<D: Disk>(files: &Files<D>, id: SegmentId) -> DamagedRange {
    let mut damaged = DamagedRange {
        segment: id,
        range: 0..0,
        slots: Damage::All,
        reason: "the file is missing",
    };
    if let Some(hint) = Hint::open(&*files.disk, (files.log, id)) {
        damaged.range = 0..hint.segment_bytes;
        name_slots(&mut damaged, &hint);
    }
    damaged
}

impl<F: DiskFile> Replayed<F> {
    fn new() -> Self {
        Self {
            records: 0,
            live: 0,
            damaged: Vec::new(),
            from_hint: false,
            hint: None,
            behind: 0,
        }
    }

    /// Whether anything that touches a slot is missing.
    pub(super) fn has_lost(&self) -> bool {
        let damaged = &mut self.damaged.iter();
        damaged.any(|damaged| damaged.slots != Damage::None)
    }

    /// Writes the hint of a segment that nothing follows in, unless it is damaged.
    fn finish_hint<D: Disk<File = F>>(&mut self, files: &Files<D>, (id, bytes): (SegmentId, u64)) {
        if !self.damaged.is_empty() {
            return self.discard_hint(files);
        }
        let Some(hint) = self.hint.take() else { return };
        if let Err(error) = hint.finish(&*files.disk, files.log, bytes) {
            tracing::warn!(segment = id.0, %error, "no hint was written");
        }
    }

    fn discard_hint<D: Disk<File = F>>(&mut self, files: &Files<D>) {
        if let Some(hint) = self.hint.take() {
            hint.discard(&*files.disk);
        }
    }

    /// Hands out what a hint says; false if it could not be read to its end.
    fn hand_out_lines(&mut self, hint: &Hint<F>, visit: &mut Visit<'_>) -> bool {
        hint.visit(&mut |location, entry| {
            self.behind = u64::from(location.offset) + u64::from(location.length);
            self.hand_out(location, entry, visit);
        })
    }

    fn hand_out(&mut self, location: Location, entry: Recovered<'_>, visit: &mut Visit<'_>) {
        self.records += 1;
        self.live += u64::from(location.length);
        visit(location, entry);
    }

    fn read<D: Disk<File = F>>(
        &mut self,
        files: &Files<D>,
        (id, found, place): (SegmentId, &Found, Place),
        values: Values,
        visit: &mut Visit<'_>,
    ) -> Result<(), OpenError> {
        let name = segment_name(id);
        let file = files.disk.open_read(&name).map_err(failed("open", &name))?;
        let end = match place {
            Place::Last { kept } => kept,
            Place::Inner | Place::InnerSurveyed => found.length,
        };
        let mut walk = Walk::new(Arc::new(file), files.salt(id), end);
        let mut sealed = false;
        while let Some(step) = walk.step().map_err(failed("read", &name))? {
            match step {
                Step::Bad(bad) => self.note_bad(id, *bad),
                Step::Record {
                    offset,
                    header,
                    body,
                } => {
                    sealed |= header.kind == Kind::Footer;
                    let Some(slot) = header.slot else { continue };
                    let at = location(id, offset, &header);
                    match Recovered::from_body(header.kind, slot, body, values) {
                        Some(entry) => {
                            if let Some(hint) = &mut self.hint {
                                let part = &body[..kept_part(&entry, &header)];
                                hint.push(&*files.disk, (at, header.kind, slot), part);
                            }
                            if offset >= self.behind {
                                self.hand_out(at, entry, visit);
                            }
                        }
                        None => self.damaged.push(no_entry(at, &header)),
                    }
                }
            }
        }
        if !sealed && !matches!(place, Place::Last { .. }) {
            self.damaged.push(DamagedRange {
                segment: id,
                // However long it was.
                range: end..u64::from(u32::MAX),
                slots: Damage::All,
                reason: "the footer is missing, and what stood before it",
            });
        }
        Ok(())
    }

    fn note_bad(&mut self, id: SegmentId, bad: Bad) {
        self.damaged.push(bad.at(id));
    }
}

/// Bytes of a record's body that its hint keeps.
fn kept_part(entry: &Recovered<'_>, header: &Header) -> usize {
    let body_bytes = header.record_bytes() as usize - HEADER_BYTES;
    match entry {
        Recovered::Chunk { .. } => CHUNK_HEAD_BYTES,
        Recovered::Record { content, .. } => match content {
            RecoveredContent::Whole(meta, _) => body_bytes - meta.length as usize,
            RecoveredContent::Tombstone | RecoveredContent::Chunked(..) => body_bytes,
        },
    }
}
