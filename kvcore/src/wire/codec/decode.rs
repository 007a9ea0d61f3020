//! Bytes to messages; every length is held against its limit before anything is allocated.

use bytes::Bytes;

use super::{CodecError, kind};
use crate::{
    key::Key,
    limits::{CHUNK_BYTES, CHUNKS_MAX, KEY_BYTES_MAX, PAGE_ENTRIES_MAX, SLOTS, VALUE_BYTES_MAX},
    placement::{Digest, Epoch, Placement},
    record::{Body, Format, Payload, Record, UploadId, ValueMeta},
    slot::{Slot, SlotSet},
    version::{UnixMillis, Version},
    wire::{
        message::{
            BUCKETS, BucketSet, Found, Intent, Page, PageEntry, Refusal, Reply, Request, Scope,
            ScopedSlots, SlotDigest, Standing, VersionEntry, VersionPage, Want,
        },
        read::Reader,
    },
};

type Result<T> = std::result::Result<T, CodecError>;

/// A reader that can hand out shared pieces of the frame's body instead of copies.
struct FrameBody<'a> {
    shared: &'a Bytes,
    reader: Reader<'a>,
}

impl<'a> FrameBody<'a> {
    fn new(shared: &'a Bytes) -> Self {
        Self {
            shared,
            reader: Reader::new(shared),
        }
    }

    fn shared(&mut self, count: usize) -> Result<Bytes> {
        Ok(self.shared.slice_ref(self.reader.take(count)?))
    }

    fn rest(&mut self) -> Result<Bytes> {
        self.shared(self.reader.remaining())
    }

    fn finish<T>(self, message: T) -> Result<T> {
        match self.reader.remaining() {
            0 => Ok(message),
            trailing => Err(CodecError::Trailing(trailing)),
        }
    }
}

pub(super) fn request(kind: u8, body: &Bytes) -> Result<Request> {
    let mut body = FrameBody::new(body);
    let request = match kind {
        kind::PING => Request::Ping,
        kind::FETCH_PLACEMENT => Request::FetchPlacement,
        kind::ADOPT => Request::Adopt(Placement::decode(&body.rest()?)?),
        kind::GET => Request::Get {
            scope: get_scope(&mut body)?,
            key: get_key(&mut body)?,
        },
        kind::GET_VERSION => Request::GetVersion {
            scope: get_scope(&mut body)?,
            key: get_key(&mut body)?,
        },
        kind::GET_CHUNK => Request::GetChunk {
            scope: get_scope(&mut body)?,
            key: get_key(&mut body)?,
            version: get_version(&mut body)?,
            index: get_chunk_index(&mut body)?,
        },
        kind::PUT => {
            let (scope, key) = (get_scope(&mut body)?, get_key(&mut body)?);
            let intent = get_intent(&mut body)?;
            Request::Put {
                scope,
                key,
                intent,
                record: get_record(&mut body)?,
            }
        }
        kind::PUT_CHUNK => Request::PutChunk {
            scope: get_scope(&mut body)?,
            upload: UploadId(body.reader.u128()?),
            index: get_chunk_index(&mut body)?,
            bytes: get_chunk(&mut body)?,
        },
        kind::SCAN => get_scan(&mut body)?,
        kind::DIGESTS => Request::Digests {
            scope: get_scoped_slots(&mut body)?,
        },
        kind::BUCKETS => Request::Buckets {
            scope: get_scope(&mut body)?,
        },
        kind::VERSIONS => Request::Versions {
            scope: get_scope(&mut body)?,
            buckets: BucketSet(body.reader.array()?),
            after: get_optional_key(&mut body)?,
        },
        other => return Err(CodecError::Kind(other)),
    };
    body.finish(request)
}

pub(super) fn reply(kind: u8, body: &Bytes) -> Result<Reply> {
    let mut body = FrameBody::new(body);
    let reply = match kind {
        kind::PONG => Reply::Pong {
            epoch: Epoch(body.reader.u64()?),
        },
        kind::PLACEMENT if body.reader.is_empty() => Reply::Placement(None),
        kind::PLACEMENT => Reply::Placement(Some(Placement::decode(&body.rest()?)?)),
        kind::ADOPTED => Reply::Adopted {
            epoch: Epoch(body.reader.u64()?),
            digest: Digest(body.reader.u64()?),
        },
        kind::RECORD => {
            let standing = get_standing(&mut body)?;
            let record = if body.reader.is_empty() {
                None
            } else {
                Some(get_record(&mut body)?)
            };
            Reply::Record { standing, record }
        }
        kind::VERSION => {
            let standing = get_standing(&mut body)?;
            let found = if body.reader.is_empty() {
                None
            } else {
                Some(get_found(&mut body)?)
            };
            Reply::Version { standing, found }
        }
        kind::CHUNK => Reply::Chunk(get_chunk(&mut body)?),
        kind::STORED => Reply::Stored {
            standing: get_standing(&mut body)?,
        },
        kind::SUPERSEDED => Reply::Superseded {
            by: get_version(&mut body)?,
        },
        kind::CHUNK_STORED => Reply::ChunkStored,
        kind::PAGE => Reply::Page(get_page(&mut body)?),
        kind::DIGEST_LIST => Reply::Digests(get_digests(&mut body)?),
        kind::BUCKET_LIST => {
            let mut buckets = Box::new([0; BUCKETS]);
            for digest in buckets.iter_mut() {
                *digest = body.reader.u64()?;
            }
            Reply::Buckets(buckets)
        }
        kind::VERSION_PAGE => Reply::Versions(get_version_page(&mut body)?),
        kind::UNCERTAIN => Reply::Uncertain(get_text(&mut body)?),
        kind::REFUSED => Reply::Refused(get_refusal(&mut body)?),
        other => return Err(CodecError::Kind(other)),
    };
    body.finish(reply)
}

fn get_scope(body: &mut FrameBody) -> Result<Scope> {
    Ok(Scope {
        slot: Slot::new(body.reader.u16()?)?,
        epoch: Epoch(body.reader.u64()?),
        began_at: UnixMillis(body.reader.u64()?),
    })
}

fn get_scoped_slots(body: &mut FrameBody) -> Result<ScopedSlots> {
    Ok(ScopedSlots {
        slots: SlotSet::from_bytes(&body.reader.array()?),
        epoch: Epoch(body.reader.u64()?),
        began_at: UnixMillis(body.reader.u64()?),
    })
}

fn get_key(body: &mut FrameBody) -> Result<Key> {
    let length = usize::from(body.reader.u16()?);
    // Copied, not shared: a key that is kept must not keep the whole frame.
    Ok(Key::copy_from(body.reader.take(length)?)?)
}

fn get_optional_key(body: &mut FrameBody) -> Result<Option<Key>> {
    match usize::from(body.reader.u16()?) {
        0 => Ok(None),
        length => Ok(Some(Key::copy_from(body.reader.take(length)?)?)),
    }
}

fn get_version(body: &mut FrameBody) -> Result<Version> {
    Ok(Version::from_bytes(body.reader.array()?))
}

fn get_chunk_index(body: &mut FrameBody) -> Result<u32> {
    let index = body.reader.u32()?;
    limit("chunks of a value", CHUNKS_MAX - 1, index as usize)?;
    Ok(index)
}

fn get_chunk(body: &mut FrameBody) -> Result<Bytes> {
    let length = body.reader.u32()? as usize;
    limit("bytes of a chunk", CHUNK_BYTES, length)?;
    body.shared(length)
}

fn get_standing(body: &mut FrameBody) -> Result<Standing> {
    match body.reader.u8()? {
        0 => Ok(Standing::Voter),
        1 => Ok(Standing::Unsynced),
        2 => Ok(Standing::Damaged),
        other => Err(choice("a standing", other)),
    }
}

fn get_intent(body: &mut FrameBody) -> Result<Intent> {
    match body.reader.u8()? {
        0 => Ok(Intent::Fresh),
        1 => Ok(Intent::Successor),
        2 => Ok(Intent::Repair),
        other => Err(choice("an intent", other)),
    }
}

fn get_flag(body: &mut FrameBody, what: &'static str) -> Result<bool> {
    match body.reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(choice(what, other)),
    }
}

fn get_found(body: &mut FrameBody) -> Result<Found> {
    let is_tombstone = get_flag(body, "a tombstone mark")?;
    let version = get_version(body)?;
    Ok(if is_tombstone {
        Found::Tombstone(version)
    } else {
        Found::Value(version)
    })
}

fn get_meta(body: &mut FrameBody) -> Result<ValueMeta> {
    let format = Format::try_from(body.reader.u8()?).map_err(|n| choice("a format", n))?;
    let flags = body.reader.u32()?;
    let expires_at = Some(UnixMillis(body.reader.u64()?)).filter(|at| at.0 != 0);
    let length = body.reader.u32()?;
    limit("bytes of a value", VALUE_BYTES_MAX, length as usize)?;
    Ok(ValueMeta {
        format,
        flags,
        expires_at,
        length,
    })
}

fn get_whole(body: &mut FrameBody, meta: &ValueMeta) -> Result<Bytes> {
    limit(
        "bytes of a value in one frame",
        CHUNK_BYTES,
        meta.length as usize,
    )?;
    body.shared(meta.length as usize)
}

fn get_record(body: &mut FrameBody) -> Result<Record> {
    let version = get_version(body)?;
    let value = match body.reader.u8()? {
        0 => Body::Tombstone,
        1 => {
            let meta = get_meta(body)?;
            let payload = Payload::Whole(get_whole(body, &meta)?);
            Body::Value { meta, payload }
        }
        2 => {
            let meta = get_meta(body)?;
            Body::Value {
                meta,
                payload: Payload::Chunked(UploadId(body.reader.u128()?)),
            }
        }
        other => return Err(choice("a record", other)),
    };
    Ok(Record {
        version,
        body: value,
    })
}

fn get_scan(body: &mut FrameBody) -> Result<Request> {
    let scope = get_scoped_slots(body)?;
    let length = usize::from(body.reader.u16()?);
    limit("bytes of a prefix", KEY_BYTES_MAX, length)?;
    let prefix = body.shared(length)?;
    let after = get_optional_key(body)?;
    let entries = body.reader.u16()?;
    limit("entries of a page", PAGE_ENTRIES_MAX, usize::from(entries))?;
    let want = match body.reader.u8()? {
        0 => Want::Values,
        1 => Want::Versions,
        other => return Err(choice("what a scan wants", other)),
    };
    Ok(Request::Scan {
        scope,
        prefix,
        after,
        limit: entries,
        want,
    })
}

fn get_page(body: &mut FrameBody) -> Result<Page> {
    let more = get_flag(body, "whether more follows")?;
    let unanswered = SlotSet::from_bytes(&body.reader.array()?);
    let count = usize::from(body.reader.u16()?);
    limit("entries of a page", PAGE_ENTRIES_MAX, count)?;
    let entries = (0..count)
        .map(|_| get_page_entry(body))
        .collect::<Result<_>>()?;
    Ok(Page {
        entries,
        more,
        unanswered,
    })
}

fn get_page_entry(body: &mut FrameBody) -> Result<PageEntry> {
    let key = get_key(body)?;
    let found = get_found(body)?;
    let value = if get_flag(body, "a value mark")? {
        let meta = get_meta(body)?;
        Some((meta, get_whole(body, &meta)?))
    } else {
        None
    };
    Ok(PageEntry { key, found, value })
}

fn get_digests(body: &mut FrameBody) -> Result<Vec<SlotDigest>> {
    let count = usize::from(body.reader.u16()?);
    limit("digests", SLOTS, count)?;
    let digest = |_| {
        Ok(SlotDigest {
            slot: Slot::new(body.reader.u16()?)?,
            standing: get_standing(body)?,
            digest: body.reader.u64()?,
        })
    };
    (0..count).map(digest).collect()
}

fn get_version_page(body: &mut FrameBody) -> Result<VersionPage> {
    let more = get_flag(body, "whether more follows")?;
    let count = usize::from(body.reader.u16()?);
    limit("entries of a page", PAGE_ENTRIES_MAX, count)?;
    let entries = (0..count)
        .map(|_| {
            Ok(VersionEntry {
                key: get_key(body)?,
                version: get_version(body)?,
            })
        })
        .collect::<Result<_>>()?;
    Ok(VersionPage { entries, more })
}

fn get_refusal(body: &mut FrameBody) -> Result<Refusal> {
    let code = body.reader.u8()?;
    Ok(match code {
        10 => Refusal::Overloaded(get_text(body)?),
        11 => Refusal::NotServing(get_text(body)?),
        12 => Refusal::Placement(get_text(body)?),
        13 => Refusal::Invalid(get_text(body)?),
        14 => Refusal::LogFailed(get_text(body)?),
        20 => Refusal::DiskFull,
        21 => Refusal::ChunksMissing,
        22 => Refusal::Gone,
        30 => Refusal::StaleEpoch(Placement::decode(&body.rest()?)?),
        31 => Refusal::BehindEpoch {
            have: Epoch(body.reader.u64()?),
        },
        32 => Refusal::NotHeld(get_wide_slot(body)?),
        33 => Refusal::Damaged(get_wide_slot(body)?),
        34 => Refusal::TooFarAhead {
            ahead_ms: body.reader.u64()?,
            limit_ms: body.reader.u64()?,
        },
        35 => Refusal::TooOld {
            age_ms: body.reader.u64()?,
            limit_ms: body.reader.u64()?,
        },
        36 => Refusal::MemoryLimit {
            limit_bytes: body.reader.u64()?,
        },
        other => return Err(choice("a refusal", other)),
    })
}

fn get_text(body: &mut FrameBody) -> Result<String> {
    Ok(String::from_utf8_lossy(&body.rest()?).into_owned())
}

fn get_wide_slot(body: &mut FrameBody) -> Result<Slot> {
    let number = body.reader.u64()?;
    let number = u16::try_from(number).map_err(|_| CodecError::Choice {
        what: "a slot",
        number,
    })?;
    Ok(Slot::new(number)?)
}

fn choice(what: &'static str, number: u8) -> CodecError {
    CodecError::Choice {
        what,
        number: u64::from(number),
    }
}

fn limit(what: &'static str, limit: usize, number: usize) -> Result<()> {
    if number > limit {
        Err(CodecError::Limit {
            what,
            limit,
            number,
        })
    } else {
        Ok(())
    }
}
