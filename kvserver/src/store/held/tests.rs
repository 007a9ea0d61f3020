//! Packing and unpacking, and how little it takes.

use kvcore::version::{HybridTime, WriterId};
use proptest::prelude::*;

use super::*;
use crate::trie::Trie;

fn location() -> impl Strategy<Value = Location> {
    let length = prop_oneof![0..400_u32, any::<u32>()];
    (any::<u32>(), any::<u32>(), length).prop_map(|(segment, offset, length)| Location {
        segment: SegmentId(segment),
        offset,
        length,
    })
}

fn meta() -> impl Strategy<Value = ValueMeta> {
    let format = prop_oneof![Just(Format::Raw), Just(Format::Document)];
    let flags = prop_oneof![Just(0), any::<u32>()];
    let expires_at = proptest::option::of(any::<u64>().prop_map(UnixMillis));
    let length = prop_oneof![0..300_u32, any::<u32>()];
    (format, flags, expires_at, length).prop_map(|(format, flags, expires_at, length)| ValueMeta {
        format,
        flags,
        expires_at,
        length,
    })
}

fn version() -> impl Strategy<Value = Version> {
    (any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(time, writer, expiry)| {
        let version = Version::new(HybridTime::from_bits(time), WriterId::from_random(writer));
        if expiry { version.expiry() } else { version }
    })
}

fn content(kind: u8, meta: ValueMeta, upload: u128, payload: &[u8]) -> Content<'_> {
    let length = u32::try_from(payload.len()).expect("some hundred bytes");
    match kind {
        0 => Content::Tombstone,
        1 => Content::OnDisk(meta),
        2 => Content::InMemory(ValueMeta { length, ..meta }, payload),
        _ => Content::Large(meta, UploadId(upload)),
    }
}

fn packed(held: &Held<'_>) -> Vec<u8> {
    [held.head().as_bytes(), held.payload()].concat()
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked(
        version in version(),
        (from, to) in (location(), location()),
        (kind, meta, upload) in (0..4_u8, meta(), any::<u128>()),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let content = content(kind, meta, upload, &payload);
        let held = Held { version, location: from, content };
        let mut bytes = packed(&held);
        prop_assert_eq!(Held::unpack(&bytes), held);
        relocate(&mut bytes, to.segment, to.offset);
        let location = Location { length: from.length, ..to };
        prop_assert_eq!(Held::unpack(&bytes), Held { location, ..held });
    }
}

/// A raw value without flags that never expires, and its record in the log.
fn plain(payload: &[u8], key_bytes: u32) -> Held<'_> {
    let length = u32::try_from(payload.len()).expect("a small value");
    let meta = ValueMeta {
        format: Format::Raw,
        flags: 0,
        expires_at: None,
        length,
    };
    Held {
        version: Version::new(
            HybridTime::from_bits(u64::MAX),
            WriterId::from_random(u64::MAX),
        ),
        location: Location {
            segment: SegmentId(u32::MAX),
            offset: u32::MAX,
            length: 24 + 37 + key_bytes + length,
        },
        content: Content::InMemory(meta, payload),
    }
}

#[test]
fn a_small_value_takes_26_bytes_beside_its_own() {
    assert_eq!(packed(&plain(&[7; 32], 16)).len(), 32 + 26);
    let mut trie = Trie::new();
    let held = plain(&[7; 32], 16);
    trie.replace(&[1; 16], [held.head().as_bytes(), held.payload()], |_| ());
    assert_eq!(
        trie.bytes(),
        16 + 32 + 26 + 5,
        "a header and a length with it"
    );
}
