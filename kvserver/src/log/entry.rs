//! Entries: what the store puts into the log, and the bodies of their records.
//!
//! ```text
//! record, a tombstone       version 16 | 0 | key bytes 2 | zero 1 | key
//! record, payload inline    version 16 | 1 | key bytes 2 | meta 18 | key | payload
//! record, payload in chunks version 16 | 2 | key bytes 2 | meta 18 | key | upload 16
//! meta                      format 1 | flags 4 | expires: is set 1, at 8 | bytes 4
//! chunk                     upload 16 | index 4 | bytes
//! ```

use bytes::Bytes;
use kvcore::{
    key::Key,
    limits::{CHUNK_BYTES, CHUNKS_MAX, KEY_BYTES_MAX, KEY_BYTES_MIN, VALUE_BYTES_MAX},
    record::{Body, Format, Payload, Record, UploadId, ValueMeta},
    slot::Slot,
    version::{UnixMillis, Version},
};

use super::{
    frame::{Kind, u16_at, u32_at, u64_at, u128_at},
    recovery::{Recovered, RecoveredContent},
};

/// What one log record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A record of a key. `Payload::Whole` holds at most [`kvcore::limits::CHUNK_BYTES`];
    /// `Payload::Chunked` makes the chunks of that upload a value.
    Record {
        /// The key.
        key: Key,
        /// Its record.
        record: Record,
    },
    /// A piece of a value, meaningless until a record names its upload.
    Chunk {
        /// The chunks it belongs to.
        upload: UploadId,
        /// The slot of the key whose value it is.
        slot: Slot,
        /// Its place in the value.
        index: u32,
        /// Its bytes, at most [`kvcore::limits::CHUNK_BYTES`].
        bytes: Bytes,
    },
}

/// Bytes before the payload of a record's body, without the key.
const TOMBSTONE_BYTES: usize = 20;
const VALUE_HEAD_BYTES: usize = 37;
/// Bytes before those of a chunk.
pub(super) const CHUNK_HEAD_BYTES: usize = 20;

/// Whether a body carries its payload, or is the line of a hint that leaves it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// It does, and it is wanted.
    Loaded,
    /// It does, and it is not wanted.
    Skipped,
    /// It does not; the record has this many bytes of body in the segment.
    Elided {
        /// Bytes of the whole body.
        body_bytes: usize,
    },
}

impl Entry {
    /// The kind and the slot of the record.
    pub(super) fn kind(&self) -> (Kind, Slot) {
        match self {
            Self::Record { key, .. } => (Kind::Record, key.slot()),
            Self::Chunk { slot, .. } => (Kind::Chunk, *slot),
        }
    }

    /// Checks every limit that recovery will check.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Record { record, .. } => match &record.body {
                Body::Tombstone => Ok(()),
                Body::Value { meta, payload } => check_value(meta, payload),
            },
            Self::Chunk { index, bytes, .. } => {
                if *index as usize >= CHUNKS_MAX {
                    return Err("the index of the chunk is beyond the largest value");
                }
                if bytes.len() > CHUNK_BYTES {
                    return Err("the chunk is larger than a chunk may be");
                }
                Ok(())
            }
        }
    }

    /// Appends the body; returns how many of its bytes a hint keeps.
    pub(super) fn write_body(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        match self {
            Self::Record { key, record } => write_record(key, record, out) - start,
            Self::Chunk {
                upload,
                index,
                bytes,
                ..
            } => {
                out.extend_from_slice(&upload.0.to_le_bytes());
                out.extend_from_slice(&index.to_le_bytes());
                out.extend_from_slice(bytes);
                CHUNK_HEAD_BYTES
            }
        }
    }

    /// The entry with this body; `None` if it is none.
    pub(super) fn from_body(kind: Kind, slot: Slot, body: &Bytes) -> Option<Self> {
        Some(
            match Recovered::from_body(kind, slot, body, Values::Loaded)? {
                Recovered::Record {
                    key,
                    version,
                    content,
                    ..
                } => Self::Record {
                    key: Key::new(body.slice_ref(key)).ok()?,
                    record: Record {
                        version,
                        body: content.to_body(|payload| body.slice_ref(payload)),
                    },
                },
                Recovered::Chunk {
                    upload,
                    slot,
                    index,
                    bytes,
                    ..
                } => Self::Chunk {
                    upload,
                    slot,
                    index,
                    bytes: body.slice_ref(bytes?),
                },
            },
        )
    }
}

fn check_value(meta: &ValueMeta, payload: &Payload) -> Result<(), &'static str> {
    match payload {
        Payload::Whole(bytes) if bytes.len() > CHUNK_BYTES => {
            Err("the payload is larger than what is stored inline")
        }
        Payload::Whole(bytes) if bytes.len() != meta.length as usize => {
            Err("the payload has not the length that its description says")
        }
        Payload::Chunked(_) if meta.length as usize > VALUE_BYTES_MAX => {
            Err("the value is larger than a value may be")
        }
        _ => Ok(()),
    }
}

/// Appends the body of a record; returns where in `out` the payload that hints leave out begins.
fn write_record(key: &Key, record: &Record, out: &mut Vec<u8>) -> usize {
    let key_bytes = u16::try_from(key.as_bytes().len()).expect("keys are limited");
    let state = match &record.body {
        Body::Tombstone => 0,
        Body::Value { payload, .. } => match payload {
            Payload::Whole(_) => 1,
            Payload::Chunked(_) => 2,
        },
    };
    out.extend_from_slice(&record.version.to_bytes());
    out.push(state);
    out.extend_from_slice(&key_bytes.to_le_bytes());
    match record.meta() {
        None => out.push(0),
        Some(meta) => {
            out.push(meta.format as u8);
            out.extend_from_slice(&meta.flags.to_le_bytes());
            out.push(u8::from(meta.expires_at.is_some()));
            out.extend_from_slice(&meta.expires_at.map_or(0, |at| at.0).to_le_bytes());
            out.extend_from_slice(&meta.length.to_le_bytes());
        }
    }
    out.extend_from_slice(key.as_bytes());
    let payload_start = out.len();
    match &record.body {
        Body::Value {
            payload: Payload::Whole(bytes),
            ..
        } => out.extend_from_slice(bytes),
        Body::Value {
            payload: Payload::Chunked(upload),
            ..
        } => {
            out.extend_from_slice(&upload.0.to_le_bytes());
            // Without it a hint would not tell what the chunks belong to.
            return out.len();
        }
        Body::Tombstone => {}
    }
    payload_start
}

impl<'b> Recovered<'b> {
    /// What a body, or a hint's part of it, says; `None` if it is not one of this kind and slot.
    pub(super) fn from_body(
        kind: Kind,
        slot: Slot,
        body: &'b [u8],
        values: Values,
    ) -> Option<Self> {
        match kind {
            Kind::Record => read_record(slot, body, values),
            Kind::Chunk => read_chunk(slot, body, values),
            Kind::Mark | Kind::Retired | Kind::Roster | Kind::Footer => None,
        }
    }
}

fn read_chunk(slot: Slot, body: &[u8], values: Values) -> Option<Recovered<'_>> {
    let (head, bytes) = body.split_first_chunk::<CHUNK_HEAD_BYTES>()?;
    let whole = match values {
        Values::Elided { .. } if body.len() != CHUNK_HEAD_BYTES => return None,
        Values::Elided { body_bytes } => body_bytes,
        Values::Loaded | Values::Skipped => body.len(),
    };
    let length = whole
        .checked_sub(CHUNK_HEAD_BYTES)
        .filter(|&length| length <= CHUNK_BYTES)?;
    let length = u32::try_from(length).ok()?;
    let index = u32_at(head, 16);
    ((index as usize) < CHUNKS_MAX).then(|| Recovered::Chunk {
        upload: UploadId(u128_at(head, 0)),
        slot,
        index,
        length,
        bytes: (values == Values::Loaded).then_some(bytes),
    })
}

fn read_record(slot: Slot, body: &[u8], values: Values) -> Option<Recovered<'_>> {
    let version = Version::from_bytes(*body.first_chunk::<16>()?);
    let state = *body.get(16)?;
    let head_bytes = if state == 0 {
        TOMBSTONE_BYTES
    } else {
        VALUE_HEAD_BYTES
    };
    let head = body.get(..head_bytes)?;
    let payload_start = head_bytes + usize::from(u16_at(head, 17));
    let key = body.get(head_bytes..payload_start)?;
    let is_key = (KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len());
    if !is_key || Slot::of(key) != slot {
        return None;
    }
    let content = if state == 0 {
        if body.len() != payload_start || head[19] != 0 {
            return None;
        }
        RecoveredContent::Tombstone
    } else {
        read_value(state, read_meta(&head[19..])?, body, payload_start, values)?
    };
    Some(Recovered::Record {
        key,
        slot,
        version,
        content,
    })
}

fn read_value(
    state: u8,
    meta: ValueMeta,
    body: &[u8],
    payload_start: usize,
    values: Values,
) -> Option<RecoveredContent<'_>> {
    let length = meta.length as usize;
    let payload = body.get(payload_start..)?;
    match state {
        1 => {
            let whole = match values {
                Values::Elided { .. } if !payload.is_empty() => return None,
                Values::Elided { body_bytes } => body_bytes,
                Values::Loaded | Values::Skipped => body.len(),
            };
            if whole.checked_sub(payload_start)? != length || length > CHUNK_BYTES {
                return None;
            }
            let has_it = values == Values::Loaded || length == 0;
            Some(RecoveredContent::Whole(meta, has_it.then_some(payload)))
        }
        2 => {
            let upload = UploadId(u128::from_le_bytes(payload.try_into().ok()?));
            (length <= VALUE_BYTES_MAX).then_some(RecoveredContent::Chunked(meta, upload))
        }
        _ => None,
    }
}

fn read_meta(bytes: &[u8]) -> Option<ValueMeta> {
    let expires_at = match bytes[5] {
        0 => None,
        1 => Some(UnixMillis(u64_at(bytes, 6))),
        _ => return None,
    };
    Some(ValueMeta {
        format: Format::try_from(bytes[0]).ok()?,
        flags: u32_at(bytes, 1),
        expires_at,
        length: u32_at(bytes, 14),
    })
}
