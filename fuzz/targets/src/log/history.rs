//! How a log came to be: appends, commits, crashes, compaction, failing disks.

use std::sync::Arc;

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    record::{Body, Format, Payload, Record, UploadId, ValueMeta},
    slot::Slot,
    version::{HybridTime, UnixMillis, Version, WriterId},
};
use kvserver::log::{Entry, Log, LogOptions, SegmentId, SyncNow, disk::memory::MemoryDisk};

use super::LOG_ID;
use crate::input::Input;

/// Steps of one history.
const STEPS_MAX: u8 = 32;

/// How logs are opened here: small segments, so that there are many.
pub(super) fn options(load_values: bool) -> LogOptions {
    LogOptions {
        segment_bytes: LogOptions::SEGMENT_BYTES_MIN,
        load_values,
        log_id: LOG_ID,
        ..LogOptions::default()
    }
}

/// Carries out the steps that the input says. The disk is whole again afterwards.
pub(super) fn make(disk: &Arc<MemoryDisk>, input: &mut Input<'_>) {
    let steps = input.byte().min(STEPS_MAX);
    let mut log = (steps > 0).then(|| open(disk));
    for time in 0..steps {
        let Some(open_log) = &mut log else { break };
        match input.byte() % 16 {
            0..=6 => {
                let entry = entry(input, u64::from(time));
                let _ = open_log.append(&entry);
                let _ = open_log.commit(SyncNow::Yes);
            }
            7 => {
                let entry = entry(input, u64::from(time));
                let _ = open_log.append(&entry);
            }
            8 => drop(open_log.commit(SyncNow::No)),
            9 => drop(open_log.commit(SyncNow::Later)),
            10 => drop(open_log.sync()),
            11 => {
                let named = SegmentId(u32::from(input.byte()));
                let victim = open_log.victim().unwrap_or(named);
                let _ = open_log.retire(victim);
            }
            12 => drop(open_log.repaired()),
            13 => disk.fail_sync_after(Some(u32::from(input.byte() % 8))),
            14 => disk.set_room(Some(u64::from(input.short()))),
            _ => {
                let how = input.byte();
                let ended = log.take();
                mend(disk);
                match (how % 4, ended) {
                    (0, Some(ended)) => drop(ended.close()),
                    (1, ended) => drop(ended),
                    _ => disk.crash(u64::from(how)),
                }
                log = Some(open(disk));
            }
        }
    }
    mend(disk);
    if log.is_some_and(|log| log.poisoned().is_some()) {
        // What a failed sync left off the medium is written again by the next start, which knows
        // it by being the end of the log: a segment forged behind it would hide that.
        drop(open(disk));
    }
}

fn mend(disk: &MemoryDisk) {
    disk.set_room(None);
    disk.fail_sync_after(None);
}

/// Nothing has damaged the files but the disk's own failures: the log has to open.
fn open(disk: &Arc<MemoryDisk>) -> Log<MemoryDisk> {
    let opened = Log::open(Arc::clone(disk), options(false), &mut |_, _| {});
    opened.expect("a log on an honest disk opens").0
}

/// An entry, of the few keys and uploads that there are.
pub(super) fn entry(input: &mut Input<'_>, time: u64) -> Entry {
    let what = input.byte();
    let number = what >> 4;
    let key = Key::new(vec![b'a' + number; 1 + usize::from(number)]).expect("short");
    // The store never lets two keys have one upload.
    let upload = UploadId(u128::from(number));
    let length = input.short();
    let version = Version::new(HybridTime::at(UnixMillis(time)), WriterId::from_random(2));
    let value = |length: u32, payload| Body::Value {
        meta: ValueMeta {
            format: Format::Raw,
            flags: 1,
            expires_at: (what & 8 == 8).then_some(UnixMillis(5)),
            length,
        },
        payload,
    };
    let body = match what % 8 {
        0..=2 => {
            let bytes = vec![number; usize::from(length) % 6000];
            let size = u32::try_from(bytes.len()).expect("small");
            value(size, Payload::Whole(bytes.into()))
        }
        3 => Body::Tombstone,
        4 => value(u32::from(length), Payload::Chunked(upload)),
        5 => value(
            u32::try_from(CHUNK_BYTES).expect("small") + u32::from(length),
            Payload::Chunked(upload),
        ),
        _ => {
            // Rarely, since a quarter of a mebibyte takes time.
            let whole = what & 8 == 8 && number > 13;
            let bytes = if whole {
                CHUNK_BYTES
            } else {
                usize::from(length)
            };
            return Entry::Chunk {
                upload,
                slot: key.slot(),
                index: u32::from(length >> 15),
                bytes: Bytes::from(vec![number; bytes]),
            };
        }
    };
    Entry::Record {
        key,
        record: Record { version, body },
    }
}

/// Any slot.
pub(super) fn slot(number: u16) -> Slot {
    Slot::new(number % 1024).expect("in range")
}
