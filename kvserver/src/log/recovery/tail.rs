//! The end of the log: written once more, cut, marked, and carried on.

use std::sync::Arc;

use super::{
    super::{
        CommitError, Log, LogOptions, LogPlace, LogStats, OpenError, SegmentId,
        batch::{Active, Batch},
        commit::is_full,
        control::{Mark, Occasion, Regime, Trust, push_mark},
        disk::{Disk, DiskFile},
        frame::Previous,
        reader::Files,
        rotate::Rotation,
        sectors::{outside, read_around},
        segment::{Head, creation, hint_name, segment_name},
        space::{Segment, Space, State},
    },
    Damage, Recovery,
    inventory::failed,
};

/// Bytes copied at once.
const COPY_BYTES: u32 = 1024 * 1024;

/// Opens a segment for writing.
pub(super) fn open_file<D: Disk>(files: &Files<D>, id: SegmentId) -> Result<D::File, OpenError> {
    let name = segment_name(id);
    files.disk.open_write(&name).map_err(failed("open", &name))
}

/// Makes a segment durable.
pub(super) fn sync_file<D: Disk>(files: &Files<D>, id: SegmentId) -> Result<(), OpenError> {
    let synced = open_file(files, id)?.sync();
    synced.map_err(failed("sync", &segment_name(id)))
}

/// What is in the file behind what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// Nothing.
    Nothing,
    /// Room that was made ahead.
    Room,
    /// Bytes that were never known to be durable.
    Torn,
}

/// Makes the tail durable up to the active segment's end, and cuts what is behind.
pub(super) fn settle<D: Disk>(
    log: &mut Log<D>,
    behind: Behind,
    sealed: bool,
    says_so: bool,
) -> Result<(), OpenError> {
    let name = segment_name(log.active.id);
    write_again(&log.active.file, log.active.durable, log.active.end)
        .and_then(|()| log.active.file.sync())
        .map_err(failed("sync", &name))?;
    log.active.durable = log.active.end;
    if !sealed && (behind == Behind::Torn || !says_so) {
        // Before the cut: once the torn bytes are gone, only the mark tells of the doubt.
        overwrite_with_mark(log).map_err(failed("mark", &name))?;
    }
    if behind != Behind::Nothing {
        let file = &log.active.file;
        let cut = file.truncate(u64::from(log.active.end));
        cut.and_then(|()| file.sync())
            .map_err(failed("cut", &name))?;
    }
    log.active.room = log.active.end;
    let (id, end) = (log.active.id, u64::from(log.active.end));
    log.space.grow(id, end, 0);
    Ok(())
}

/// Writes the same bytes once more. After a sync that failed they may be in memory only, and
/// believed to be on disk: another sync alone would not write them (Rebello et al., ATC 2020).
fn write_again<F: DiskFile>(file: &F, from: u32, to: u32) -> std::io::Result<()> {
    let mut at = from;
    let mut buffer = Vec::new();
    while at < to {
        let size = COPY_BYTES.min(to - at);
        buffer.resize(size as usize, 0);
        let start = u64::from(at);
        let lost = read_around(file, start, &mut buffer)?;
        // What cannot be read was found to be damaged, and stays as it is.
        for run in outside(start..start + u64::from(size), &lost) {
            let within = |at| usize::try_from(at - start).expect("within the buffer");
            file.write_at(run.start, &buffer[within(run.start)..within(run.end)])?;
        }
        at += size;
    }
    Ok(())
}

fn overwrite_with_mark<D: Disk>(log: &mut Log<D>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let place = (log.active.salt, u64::from(log.active.end));
    let mark = log.mark(Occasion::Idle);
    let previous = push_mark(&mut bytes, place, log.active.previous, mark);
    let file = &log.active.file;
    match file.write_at(place.1, &bytes) {
        // A full disk must not keep an intact log from opening.
        Err(error) if is_full(&error) && log.trust == Trust::Intact => {
            file.truncate(place.1)?;
            return file.sync();
        }
        other => other?,
    }
    file.sync()?;
    log.active.end += previous.bytes;
    log.active.durable = log.active.end;
    log.active.marked = log.active.end;
    log.active.previous = previous;
    Ok(())
}

/// Goes on behind a segment that was sealed before.
pub(super) fn next_segment<D: Disk>(log: &mut Log<D>) -> Result<(), OpenError> {
    let id = log.next_segment;
    let name = segment_name(id);
    // Whoever opens the log next writes it, unless there is one.
    log.active.discard_hint(&*log.files.disk);
    let mut hints = log.space.ids().into_iter();
    let active = loop {
        let begun = match log.create_file(id).map_err(poisoned(&name))? {
            Some(file) => log.begin_segment(id, file).map_err(poisoned(&name))?,
            None => None,
        };
        if let Some(active) = begun {
            break active;
        }
        make_room(log, &mut hints).map_err(failed("begin", &name))?;
    };
    log.active = active;
    log.next_segment = SegmentId(id.0.saturating_add(1));
    Ok(())
}

/// Removes a hint, since a full disk must not keep a log from opening: only compaction makes room
/// on it. With no hint left, an error that says why no segment was begun.
fn make_room<D: Disk>(
    log: &Log<D>,
    hints: &mut impl Iterator<Item = SegmentId>,
) -> std::io::Result<()> {
    let removed = hints.find(|&id| log.files.disk.remove(&hint_name(id)).is_ok());
    let Some(removed) = removed else {
        let Rotation::Waits(why) = log.rotation.clone() else {
            unreachable!("it is noted why no segment was begun");
        };
        return Err(std::io::Error::other(why));
    };
    tracing::warn!(segment = %removed, "its hint gave way to the next segment");
    Ok(())
}

/// Goes on at or above a place that the log had come to. One that ends before it has lost what was
/// durable, and nothing else tells of that: it is in doubt from now on.
pub(super) fn reach<D: Disk>(
    log: &mut Log<D>,
    place: LogPlace,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    if log.end() >= place {
        return Ok(());
    }
    tracing::error!(ends = %log.end(), "the log was durable up to {place}: its end is lost");
    recovery.intact = false;
    log.trust = Trust::InDoubt;
    let beyond = SegmentId(place.segment.0.saturating_add(1));
    log.next_segment = log.next_segment.max(beyond);
    let name = segment_name(log.next_segment);
    let mut hints = log.space.ids().into_iter();
    while log.end() < place {
        log.rotate().map_err(poisoned(&name))?;
        if log.rotation != Rotation::Done {
            make_room(log, &mut hints).map_err(failed("begin", &name))?;
        }
    }
    recovery.segments = log.space.len();
    Ok(())
}

/// Seals a damaged segment. If there is no room for that, it goes on being written.
pub(super) fn seal<D: Disk>(log: &mut Log<D>) -> Result<(), OpenError> {
    let name = segment_name(log.active.id);
    log.space.set_state(log.active.id, State::Active);
    log.rotate().map_err(poisoned(&name))
}

fn poisoned(name: &str) -> impl FnOnce(CommitError) -> OpenError {
    let name = name.to_owned();
    move |error| failed("begin a segment behind", &name)(std::io::Error::other(error))
}

/// Makes the first segment of a new log.
pub(super) fn first_segment<D: Disk>(
    files: Arc<Files<D>>,
    options: LogOptions,
) -> Result<(Log<D>, Recovery), OpenError> {
    let id = SegmentId(1);
    let name = segment_name(id);
    let file = match files.disk.create(&name) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            files.disk.open_write(&name)
        }
        other => other,
    }
    .map_err(failed("make", &name))?;
    let mark = Mark {
        durable: 0,
        regime: Regime::Strict,
        trust: Trust::Intact,
        occasion: Occasion::Created,
    };
    let head = Head {
        log: files.log,
        segment: id,
    };
    let (bytes, previous): (Vec<u8>, Previous) = creation(head, &[id], mark);
    file.truncate(0)
        .and_then(|()| file.write_at(0, &bytes))
        .and_then(|()| file.sync())
        .and_then(|()| files.disk.sync_directory())
        .map_err(failed("write", &name))?;
    let end = u32::try_from(bytes.len()).expect("a first segment begins small");
    let mut space = Space::default();
    let state = State::Active;
    space.insert(
        id,
        Segment {
            bytes: u64::from(end),
            live: 0,
            state,
        },
    );
    let log = Log {
        space,
        active: Active::new(
            (id, files.salt(id)),
            file,
            (end, previous),
            options.segment_bytes,
        ),
        batch: Batch::default(),
        next_segment: SegmentId(2),
        regime: Regime::Strict,
        trust: Trust::Intact,
        roster_lost: false,
        rotation: Rotation::Done,
        unfinished_hint: None,
        poison: None,
        counts: LogStats::default(),
        files,
        options,
    };
    Ok((log, nothing_lost()))
}

/// What recovery found where there was no log yet.
fn nothing_lost() -> Recovery {
    Recovery {
        segments: 1,
        records: 0,
        torn_bytes: 0,
        torn_at: None,
        is_unwritten: false,
        damage: Damage::None,
        damaged: Vec::new(),
        clean_shutdown: false,
        intact: true,
        from_hints: 0,
    }
}
