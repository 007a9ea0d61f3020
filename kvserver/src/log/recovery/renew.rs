//! The last segment in a new file, where the disk cannot read the end of the old one.
//!
//! Nothing can be appended there: to write a part of a sector the rest of it is read first, and to
//! cut a file within one too. So what is kept goes into a file of its own, with a mark of the
//! doubt, and takes the place of the old one as a whole.

use super::{
    super::{
        Log, OpenError,
        control::{Occasion, push_mark},
        disk::{Disk, DiskFile},
        sectors::read_around,
        segment::{HEAD_BYTES, Head, head_bytes, segment_name, unfinished_segment_name},
    },
    inventory::failed,
};

/// Bytes copied at once.
const COPY_BYTES: u32 = 1024 * 1024;

/// Puts what is kept of the active segment into a new file. What the disk cannot read below that
/// becomes zeros, which pass no check: it stays as damaged as it is.
pub(super) fn renew<D: Disk>(log: &mut Log<D>, sealed: bool) -> Result<(), OpenError> {
    let id = log.active.id;
    let (name, unfinished) = (segment_name(id), unfinished_segment_name(id));
    // Inventory removed what an earlier attempt had left.
    let disk = std::sync::Arc::clone(&log.files.disk);
    let file = disk
        .create(&unfinished)
        .map_err(failed("make", &unfinished))?;
    let copied = copy(log, &file);
    // It is, before anybody sees the file.
    log.active.durable = log.active.end;
    let mut end = log.active.end;
    let mut previous = log.active.previous;
    let written = copied.and_then(|()| {
        // A footer ends its segment, and the mark of the next one tells of the doubt.
        if !sealed {
            let mut bytes = Vec::new();
            let place = (log.active.salt, u64::from(end));
            previous = push_mark(&mut bytes, place, previous, log.mark(Occasion::Idle));
            file.write_at(place.1, &bytes)?;
            end += previous.bytes;
        }
        file.sync()
    });
    written.map_err(failed("write", &unfinished))?;
    disk.rename(&unfinished, &name)
        .and_then(|()| disk.sync_directory())
        .map_err(failed("replace", &name))?;
    log.active.file = file;
    log.active.end = end;
    log.active.room = end;
    log.active.durable = end;
    log.active.previous = previous;
    log.active.marked = if sealed { 0 } else { end };
    log.space.grow(id, u64::from(end), 0);
    Ok(())
}

fn copy<D: Disk>(log: &Log<D>, to: &D::File) -> std::io::Result<()> {
    let mut at = 0;
    let mut buffer = Vec::new();
    while at < log.active.end {
        let size = COPY_BYTES.min(log.active.end - at);
        buffer.resize(size as usize, 0);
        read_around(&log.active.file, u64::from(at), &mut buffer)?;
        to.write_at(u64::from(at), &buffer)?;
        at += size;
    }
    // Known, whether it can be read or not.
    let head = Head {
        log: log.files.log,
        segment: log.active.id,
    };
    debug_assert!(log.active.end as usize >= HEAD_BYTES);
    to.write_at(0, &head_bytes(head))
}
