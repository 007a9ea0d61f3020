//! Messages to bytes. Every `put_*` here has its `get_*` in `decode`.

use bytes::{BufMut, BytesMut};

use super::kind;
use crate::{
    key::Key,
    record::{Body, Payload, Record, ValueMeta},
    version::Version,
    wire::message::{Found, Page, Refusal, Reply, Request, Scope, ScopedSlots, Standing},
};

/// Appends the message's body; gives its kind.
pub(super) fn request(request: &Request, out: &mut BytesMut) -> u8 {
    match request {
        Request::Ping => kind::PING,
        Request::FetchPlacement => kind::FETCH_PLACEMENT,
        Request::Adopt(placement) => {
            out.put_slice(&placement.encode());
            kind::ADOPT
        }
        Request::Get { scope, key } => {
            put_scope(out, scope);
            put_key(out, key);
            kind::GET
        }
        Request::GetVersion { scope, key } => {
            put_scope(out, scope);
            put_key(out, key);
            kind::GET_VERSION
        }
        Request::GetChunk {
            scope,
            key,
            version,
            index,
        } => {
            put_scope(out, scope);
            put_key(out, key);
            put_version(out, *version);
            out.put_u32_le(*index);
            kind::GET_CHUNK
        }
        Request::Put {
            scope,
            key,
            record,
            intent,
        } => {
            out.reserve(128 + record.meta().map_or(0, |meta| meta.length as usize));
            put_scope(out, scope);
            put_key(out, key);
            out.put_u8(*intent as u8);
            put_record(out, record);
            kind::PUT
        }
        Request::PutChunk {
            scope,
            upload,
            index,
            bytes,
        } => {
            out.reserve(64 + bytes.len());
            put_scope(out, scope);
            out.put_u128_le(upload.0);
            out.put_u32_le(*index);
            put_bytes(out, bytes);
            kind::PUT_CHUNK
        }
        Request::Scan {
            scope,
            prefix,
            after,
            limit,
            want,
        } => {
            put_scoped_slots(out, scope);
            out.put_u16_le(u16::try_from(prefix.len()).expect("a prefix is no longer than a key"));
            out.put_slice(prefix);
            put_optional_key(out, after.as_ref());
            out.put_u16_le(*limit);
            out.put_u8(*want as u8);
            kind::SCAN
        }
        Request::Digests { scope } => {
            put_scoped_slots(out, scope);
            kind::DIGESTS
        }
        Request::Buckets { scope } => {
            put_scope(out, scope);
            kind::BUCKETS
        }
        Request::Versions {
            scope,
            buckets,
            after,
        } => {
            put_scope(out, scope);
            out.put_slice(&buckets.0);
            put_optional_key(out, after.as_ref());
            kind::VERSIONS
        }
    }
}

/// Appends the message's body; gives its kind.
pub(super) fn reply(reply: &Reply, out: &mut BytesMut) -> u8 {
    match reply {
        Reply::Pong { epoch } => {
            out.put_u64_le(epoch.0);
            kind::PONG
        }
        Reply::Placement(placement) => {
            if let Some(placement) = placement {
                out.put_slice(&placement.encode());
            }
            kind::PLACEMENT
        }
        Reply::Adopted { epoch, digest } => {
            out.put_u64_le(epoch.0);
            out.put_u64_le(digest.0);
            kind::ADOPTED
        }
        Reply::Record { standing, record } => {
            put_standing(out, *standing);
            if let Some(record) = record {
                out.reserve(64 + record.meta().map_or(0, |meta| meta.length as usize));
                put_record(out, record);
            }
            kind::RECORD
        }
        Reply::Version { standing, found } => {
            put_standing(out, *standing);
            if let Some(found) = found {
                put_found(out, *found);
            }
            kind::VERSION
        }
        Reply::Chunk(bytes) => {
            out.reserve(bytes.len() + 4);
            put_bytes(out, bytes);
            kind::CHUNK
        }
        Reply::Stored { standing } => {
            put_standing(out, *standing);
            kind::STORED
        }
        Reply::Superseded { by } => {
            put_version(out, *by);
            kind::SUPERSEDED
        }
        Reply::ChunkStored => kind::CHUNK_STORED,
        Reply::Page(page) => {
            put_page(out, page);
            kind::PAGE
        }
        Reply::Digests(digests) => {
            out.put_u16_le(u16::try_from(digests.len()).expect("one digest a slot"));
            for digest in digests {
                out.put_u16_le(digest.slot.number());
                put_standing(out, digest.standing);
                out.put_u64_le(digest.digest);
            }
            kind::DIGEST_LIST
        }
        Reply::Buckets(buckets) => {
            buckets.iter().for_each(|digest| out.put_u64_le(*digest));
            kind::BUCKET_LIST
        }
        Reply::Versions(page) => {
            out.put_u8(u8::from(page.more));
            out.put_u16_le(u16::try_from(page.entries.len()).expect("pages are limited"));
            for entry in &page.entries {
                put_key(out, &entry.key);
                put_version(out, entry.version);
            }
            kind::VERSION_PAGE
        }
        Reply::Uncertain(why) => {
            out.put_slice(why.as_bytes());
            kind::UNCERTAIN
        }
        Reply::Refused(refusal) => {
            put_refusal(out, refusal);
            kind::REFUSED
        }
    }
}

fn put_scope(out: &mut BytesMut, scope: &Scope) {
    out.put_u16_le(scope.slot.number());
    out.put_u64_le(scope.epoch.0);
    out.put_u64_le(scope.began_at.0);
}

fn put_scoped_slots(out: &mut BytesMut, scope: &ScopedSlots) {
    out.put_slice(&scope.slots.to_bytes());
    out.put_u64_le(scope.epoch.0);
    out.put_u64_le(scope.began_at.0);
}

fn put_key(out: &mut BytesMut, key: &Key) {
    out.put_u16_le(u16::try_from(key.as_bytes().len()).expect("keys are limited"));
    out.put_slice(key.as_bytes());
}

/// No key is empty, so length zero says "none".
fn put_optional_key(out: &mut BytesMut, key: Option<&Key>) {
    match key {
        Some(key) => put_key(out, key),
        None => out.put_u16_le(0),
    }
}

fn put_version(out: &mut BytesMut, version: Version) {
    out.put_slice(&version.to_bytes());
}

fn put_standing(out: &mut BytesMut, standing: Standing) {
    out.put_u8(standing as u8);
}

fn put_found(out: &mut BytesMut, found: Found) {
    out.put_u8(u8::from(matches!(found, Found::Tombstone(_))));
    put_version(out, found.version());
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32_le(u32::try_from(bytes.len()).expect("values are limited"));
    out.put_slice(bytes);
}

fn put_meta(out: &mut BytesMut, meta: &ValueMeta) {
    out.put_u8(meta.format as u8);
    out.put_u32_le(meta.flags);
    // Zero is long past, so it can stand for "never".
    out.put_u64_le(meta.expires_at.map_or(0, |at| at.0.max(1)));
    out.put_u32_le(meta.length);
}

/// Record: version 16 · 0 tombstone | 1 whole, meta, bytes | 2 chunked, meta, upload 16.
fn put_record(out: &mut BytesMut, record: &Record) {
    put_version(out, record.version);
    match &record.body {
        Body::Tombstone => out.put_u8(0),
        Body::Value {
            meta,
            payload: Payload::Whole(bytes),
        } => {
            out.put_u8(1);
            put_meta(out, meta);
            out.put_slice(bytes);
        }
        Body::Value {
            meta,
            payload: Payload::Chunked(upload),
        } => {
            out.put_u8(2);
            put_meta(out, meta);
            out.put_u128_le(upload.0);
        }
    }
}

fn put_page(out: &mut BytesMut, page: &Page) {
    out.put_u8(u8::from(page.more));
    out.put_slice(&page.unanswered.to_bytes());
    out.put_u16_le(u16::try_from(page.entries.len()).expect("pages are limited"));
    for entry in &page.entries {
        put_key(out, &entry.key);
        put_found(out, entry.found);
        match &entry.value {
            None => out.put_u8(0),
            Some((meta, bytes)) => {
                out.put_u8(1);
                put_meta(out, meta);
                out.put_slice(bytes);
            }
        }
    }
}

fn put_refusal(out: &mut BytesMut, refusal: &Refusal) {
    let mut text = |code: u8, text: &str| {
        out.put_u8(code);
        out.put_slice(text.as_bytes());
    };
    match refusal {
        Refusal::Overloaded(what) => text(10, what),
        Refusal::NotServing(what) => text(11, what),
        Refusal::Placement(why) => text(12, why),
        Refusal::Invalid(why) => text(13, why),
        Refusal::LogFailed(why) => text(14, why),
        Refusal::DiskFull => out.put_u8(20),
        Refusal::ChunksMissing => out.put_u8(21),
        Refusal::Gone => out.put_u8(22),
        Refusal::StaleEpoch(placement) => {
            out.put_u8(30);
            out.put_slice(&placement.encode());
        }
        Refusal::BehindEpoch { have } => put_numbers(out, 31, &[have.0]),
        Refusal::NotHeld(slot) => put_numbers(out, 32, &[u64::from(slot.number())]),
        Refusal::Damaged(slot) => put_numbers(out, 33, &[u64::from(slot.number())]),
        Refusal::TooFarAhead { ahead_ms, limit_ms } => {
            put_numbers(out, 34, &[*ahead_ms, *limit_ms]);
        }
        Refusal::TooOld { age_ms, limit_ms } => put_numbers(out, 35, &[*age_ms, *limit_ms]),
        Refusal::MemoryLimit { limit_bytes } => put_numbers(out, 36, &[*limit_bytes]),
    }
}

fn put_numbers(out: &mut BytesMut, code: u8, numbers: &[u64]) {
    out.put_u8(code);
    for &number in numbers {
        out.put_u64_le(number);
    }
}
