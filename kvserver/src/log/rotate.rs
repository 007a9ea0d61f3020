//! The change of segments: sealing one and beginning the next.
//!
//! The order lets recovery tell every crash within from damage: the next file's name is durable
//! before the footer is written, and the footer before the next file has a head. So behind a footer
//! a file follows, and before a head everything is durable.
//!
//! A segment that cannot be followed, for want of room or of descriptors, goes on being written:
//! what was committed stands whatever comes of this.

use std::{io, mem};

use super::{
    CommitError, Log, SegmentId,
    batch::Active,
    control::{Mark, Occasion, footer},
    disk::{Disk, DiskFile},
    frame::SEGMENTS_MAX,
    segment::{Head, creation, segment_name},
    space::{Segment, State},
};

impl<D: Disk> Log<D> {
    /// Seals the active segment and begins the next one.
    pub(super) fn rotate(&mut self) -> Result<(), CommitError> {
        let next = self.next_segment;
        let Some(after_next) = next.0.checked_add(1) else {
            self.not_now("no number is left for another segment".to_owned());
            return Ok(());
        };
        if self.space.len() >= SEGMENTS_MAX {
            self.not_now(format!("a log has at most {SEGMENTS_MAX} segments"));
            return Ok(());
        }
        self.sync_active()?;
        let Some(file) = self.create_file(next)? else {
            return Ok(());
        };
        let unsealed = self.active.end;
        if !self.seal()? {
            return Ok(());
        }
        let Some(active) = self.begin_segment(next, file)? else {
            self.active.end = unsealed;
            return self.unseal();
        };
        self.next_segment = SegmentId(after_next);
        self.rotation = Rotation::Done;
        let sealed = mem::replace(&mut self.active, active);
        self.account_sealed(sealed);
        Ok(())
    }

    /// Notes why the segment could not be followed; told once until one can be.
    fn not_now(&mut self, why: String) {
        if self.rotation == Rotation::Done {
            tracing::warn!(
                segment = self.active.id.0,
                why,
                "no segment follows for now"
            );
        }
        self.rotation = Rotation::Waits(why);
    }

    /// Makes the file of the next segment, empty; `None` if that cannot be done now.
    pub(super) fn create_file(&mut self, id: SegmentId) -> Result<Option<D::File>, CommitError> {
        let name = segment_name(id);
        let disk = &self.files.disk;
        let created = match disk.create(&name) {
            // An attempt that did not come as far as a head.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk
                .open_write(&name)
                .and_then(|file| file.truncate(0).map(|()| file)),
            other => other,
        };
        let file = match created {
            Ok(file) => file,
            Err(error) => {
                self.not_now(error.to_string());
                return Ok(None);
            }
        };
        self.counts.fsyncs += 1;
        match self.files.disk.sync_directory() {
            Ok(()) => Ok(Some(file)),
            Err(error) => Err(self.poison("the directory could not be synced", &error)),
        }
    }

    /// Writes the footer and syncs it; false if there is no room.
    fn seal(&mut self) -> Result<bool, CommitError> {
        if let Err(error) = self.active.cut_room() {
            return Err(self.poison("room could not be given back", &error));
        }
        let active = &self.active;
        let bytes = footer(active.salt, active.end, active.previous);
        if let Err(error) = active.file.write_at(u64::from(active.end), &bytes) {
            return match self.take_back(&error) {
                CommitError::DiskFull { reason } => {
                    self.not_now(reason);
                    Ok(false)
                }
                other => Err(other),
            };
        }
        self.active.end += u32::try_from(bytes.len()).expect("a footer is short");
        self.sync_active()?;
        Ok(true)
    }

    /// Takes the footer off again.
    fn unseal(&mut self) -> Result<(), CommitError> {
        self.counts.fsyncs += 1;
        let file = &self.active.file;
        let end = u64::from(self.active.end);
        if let Err(error) = file.truncate(end).and_then(|()| file.sync()) {
            return Err(self.poison("a footer could not be taken off", &error));
        }
        self.active.durable = self.active.end;
        Ok(())
    }

    /// Writes what a segment begins with, durably; `None` if there is no room.
    pub(super) fn begin_segment(
        &mut self,
        id: SegmentId,
        file: D::File,
    ) -> Result<Option<Active<D::File>>, CommitError> {
        let mut roster = self.space.ids();
        roster.push(id);
        let mark = Mark {
            durable: 0,
            ..self.mark(Occasion::Created)
        };
        let head = Head {
            log: self.files.log,
            segment: id,
        };
        let (bytes, previous) = creation(head, &roster, mark);
        if let Err(error) = file.write_at(0, &bytes) {
            self.not_now(error.to_string());
            return Ok(None);
        }
        self.counts.fsyncs += 1;
        if let Err(error) = file.sync() {
            return Err(self.poison("a new segment could not be synced", &error));
        }
        let end = u32::try_from(bytes.len()).expect("rosters are limited");
        let segment = Segment {
            bytes: u64::from(end),
            live: 0,
            state: State::Active,
        };
        self.space.insert(id, segment);
        let (salt, segment_bytes) = (self.files.salt(id), self.options.segment_bytes);
        let active = Active::new((id, salt), file, (end, previous), segment_bytes);
        Ok(Some(active))
    }

    /// Accounts for a segment that was sealed; its hint is finished when there is time.
    fn account_sealed(&mut self, sealed: Active<D::File>) {
        let bytes = u64::from(sealed.end);
        self.space.grow(sealed.id, bytes, 0);
        let Some(hint) = sealed.hint else {
            self.space.set_state(sealed.id, State::Damaged);
            return;
        };
        self.space.set_state(sealed.id, State::Sealed);
        self.finish_hint();
        self.unfinished_hint = Some((hint, bytes));
    }

    /// Finishes the hint of the segment that was sealed last: two syncs that no write needs to wait
    /// for, since a hint is never needed.
    pub(super) fn finish_hint(&mut self) {
        let Some((hint, segment_bytes)) = self.unfinished_hint.take() else {
            return;
        };
        self.counts.fsyncs += 2;
        let segment = hint.segment();
        if let Err(error) = hint.finish(&*self.files.disk, self.files.log, segment_bytes) {
            // The segment is read instead.
            tracing::warn!(%segment, %error, "no hint was written");
        }
    }
}

/// How the last change of segments went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rotation {
    /// There was none yet, or it was carried out.
    Done,
    /// It was due and could not be; why.
    Waits(String),
}
