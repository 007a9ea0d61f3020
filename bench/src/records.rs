//! Records as a member stores them, and stores of one member without sockets.

use std::{path::Path, sync::Arc};

use anyhow::{Result, bail};
use bytes::Bytes;
use kvcore::{
    key::Key,
    record::{Body, Format, Payload, Record, ValueMeta},
    status::{StorageMode, SyncMode},
    version::{HybridTime, UnixMillis, Version, WriterId},
    wire::Reply,
};
use kvserver::{
    log::disk::directory::Directory,
    store::{
        self, Opened, StoreOptions, ValidFrom,
        writer::{Write, Writer},
    },
};

/// Sixteen letters that no other number has, scattered: neighbours share no beginning.
pub(crate) fn key(number: u64) -> String {
    // The finisher of splitmix64, which is a bijection.
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    format!("{:016x}", bits ^ (bits >> 31))
}

/// A version; a higher number is newer.
pub(crate) fn version(number: u64) -> Version {
    // A time in the past, so that every clock takes it.
    let base = HybridTime::at(UnixMillis(1_700_000_000_000)).to_bits();
    Version::new(
        HybridTime::from_bits(base + number),
        WriterId::from_random(1),
    )
}

/// A record with a value.
pub(crate) fn record(number: u64, value: &Bytes) -> Record {
    let meta = ValueMeta {
        format: Format::Raw,
        flags: 0,
        expires_at: None,
        length: u32::try_from(value.len()).expect("values are small"),
    };
    let payload = Payload::Whole(value.clone());
    Record {
        version: version(number),
        body: Body::Value { meta, payload },
    }
}

/// A write of a key, with the version of that number.
pub(crate) fn put(key_number: u64, version_number: u64, value: &Bytes) -> Write {
    Write::Put {
        key: Key::new(key(key_number)).expect("sixteen letters are a key"),
        record: record(version_number, value),
    }
}

/// Opens the store of one member.
pub(crate) fn open(
    directory: &Path,
    mode: StorageMode,
    sync: SyncMode,
    segment_bytes: u32,
) -> Result<Opened<Directory>> {
    let options = StoreOptions {
        mode,
        sync,
        segment_bytes,
        ..StoreOptions::default()
    };
    Ok(store::open(
        Arc::new(Directory::open(directory)?),
        options,
        1,
        &ValidFrom::default(),
    )?)
}

/// Commits a batch; an error unless all of it was stored.
pub(crate) fn commit(writer: &mut Writer<Directory>, writes: Vec<Write>, now: u64) -> Result<()> {
    for reply in writer.commit(writes, UnixMillis(now)) {
        if !matches!(reply, Reply::Stored { .. }) {
            bail!("a write was answered {reply:?}");
        }
    }
    Ok(())
}
