//! Every message survives the way to bytes and back; nothing else is taken for one.

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};
use uuid::Uuid;

use super::*;
use crate::{
    key::Key,
    placement::{
        AuthorId, ClusterId, Digest, Epoch, Member, MemberId, Parts, Placement, Quorums,
        SlotPlacement, planner::plan,
    },
    record::{Body, Format, Payload, Record, UploadId, ValueMeta},
    slot::{Slot, SlotSet},
    version::{UnixMillis, Version},
    wire::message::{
        BUCKETS, BucketSet, Found, Intent, Page, PageEntry, Refusal, Scope, ScopedSlots,
        SlotDigest, Standing, VersionEntry, VersionPage, Want,
    },
};

fn key() -> impl Strategy<Value = Key> {
    vec(any::<u8>(), 1..40).prop_map(|bytes| Key::new(bytes).expect("short"))
}

fn version() -> impl Strategy<Value = Version> {
    any::<[u8; 16]>().prop_map(Version::from_bytes)
}

fn scope() -> impl Strategy<Value = Scope> {
    (0u16..1024, any::<u64>(), any::<u64>()).prop_map(|(slot, epoch, began_at)| Scope {
        slot: Slot::new(slot).expect("in range"),
        epoch: Epoch(epoch),
        began_at: UnixMillis(began_at),
    })
}

fn slots() -> impl Strategy<Value = SlotSet> {
    vec(0u16..1024, 0..30).prop_map(|slots| {
        slots
            .into_iter()
            .filter_map(|slot| Slot::new(slot).ok())
            .collect()
    })
}

fn scoped_slots() -> impl Strategy<Value = ScopedSlots> {
    (slots(), any::<u64>(), any::<u64>()).prop_map(|(slots, epoch, began_at)| ScopedSlots {
        slots,
        epoch: Epoch(epoch),
        began_at: UnixMillis(began_at),
    })
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..60).prop_map(Bytes::from)
}

fn meta(length: usize) -> impl Strategy<Value = ValueMeta> {
    let format = prop_oneof![Just(Format::Raw), Just(Format::Document)];
    (format, any::<u32>(), option::of(1u64..)).prop_map(move |(format, flags, expires_at)| {
        ValueMeta {
            format,
            flags,
            expires_at: expires_at.map(UnixMillis),
            length: u32::try_from(length).expect("short"),
        }
    })
}

fn value() -> impl Strategy<Value = (ValueMeta, Bytes)> {
    bytes().prop_flat_map(|bytes| (meta(bytes.len()), Just(bytes)))
}

fn record() -> impl Strategy<Value = Record> {
    let body = prop_oneof![
        Just(Body::Tombstone),
        value().prop_map(|(meta, bytes)| Body::Value {
            meta,
            payload: Payload::Whole(bytes)
        }),
        (meta(1 << 20), any::<u128>()).prop_map(|(meta, upload)| Body::Value {
            meta,
            payload: Payload::Chunked(UploadId(upload)),
        }),
    ];
    (version(), body).prop_map(|(version, body)| Record { version, body })
}

fn placement() -> Placement {
    let members: Vec<_> = (1..4)
        .map(|number| Member {
            id: MemberId(Uuid::from_u128(number)),
            address: format!("host-{number}:7400"),
            zone: "a".to_owned(),
            weight: 1,
        })
        .collect();
    let sets = plan(&members, 2, None).expect("possible");
    Placement::new(Parts {
        cluster: ClusterId(Uuid::from_u128(9)),
        epoch: Epoch(1),
        author: AuthorId(Uuid::from_u128(8)),
        address_revision: 0,
        copies: 2,
        quorums: Quorums::default(),
        members,
        slots: SlotPlacement::all_stable(sets, Epoch(1), Quorums::default()),
    })
    .expect("valid")
}

fn request() -> impl Strategy<Value = Request> {
    let intent = prop_oneof![
        Just(Intent::Fresh),
        Just(Intent::Successor),
        Just(Intent::Repair)
    ];
    prop_oneof![
        Just(Request::Ping),
        Just(Request::FetchPlacement),
        Just(Request::Adopt(placement())),
        (scope(), key()).prop_map(|(scope, key)| Request::Get { scope, key }),
        (scope(), key()).prop_map(|(scope, key)| Request::GetVersion { scope, key }),
        (scope(), key(), version(), 0u32..256).prop_map(|(scope, key, version, index)| {
            Request::GetChunk {
                scope,
                key,
                version,
                index,
            }
        }),
        (scope(), key(), record(), intent).prop_map(|(scope, key, record, intent)| {
            Request::Put {
                scope,
                key,
                record,
                intent,
            }
        }),
        (scope(), any::<u128>(), 0u32..256, bytes()).prop_map(|(scope, upload, index, bytes)| {
            Request::PutChunk {
                scope,
                upload: UploadId(upload),
                index,
                bytes,
            }
        }),
        (
            scoped_slots(),
            bytes(),
            option::of(key()),
            0u16..1024,
            any::<bool>()
        )
            .prop_map(|(scope, prefix, after, limit, values)| Request::Scan {
                scope,
                prefix,
                after,
                limit,
                want: if values { Want::Values } else { Want::Versions },
            }),
        scoped_slots().prop_map(|scope| Request::Digests { scope }),
        scope().prop_map(|scope| Request::Buckets { scope }),
        (scope(), any::<[u8; 32]>(), option::of(key())).prop_map(|(scope, buckets, after)| {
            Request::Versions {
                scope,
                buckets: BucketSet(buckets),
                after,
            }
        }),
    ]
}

fn found() -> impl Strategy<Value = Found> {
    prop_oneof![
        version().prop_map(Found::Value),
        version().prop_map(Found::Tombstone)
    ]
}

fn refusal() -> impl Strategy<Value = Refusal> {
    let slot = (0u16..1024).prop_map(|slot| Slot::new(slot).expect("in range"));
    prop_oneof![
        Just(Refusal::StaleEpoch(placement())),
        any::<u64>().prop_map(|have| Refusal::BehindEpoch { have: Epoch(have) }),
        slot.clone().prop_map(Refusal::NotHeld),
        slot.prop_map(Refusal::Damaged),
        any::<(u64, u64)>()
            .prop_map(|(ahead_ms, limit_ms)| Refusal::TooFarAhead { ahead_ms, limit_ms }),
        any::<(u64, u64)>().prop_map(|(age_ms, limit_ms)| Refusal::TooOld { age_ms, limit_ms }),
        any::<u64>().prop_map(|limit_bytes| Refusal::MemoryLimit { limit_bytes }),
        Just(Refusal::DiskFull),
        Just(Refusal::ChunksMissing),
        Just(Refusal::Gone),
        ".{0,20}".prop_map(Refusal::LogFailed),
        ".{0,20}".prop_map(Refusal::Overloaded),
        ".{0,20}".prop_map(Refusal::NotServing),
        ".{0,20}".prop_map(Refusal::Placement),
        ".{0,20}".prop_map(Refusal::Invalid),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let standing = || {
        prop_oneof![
            Just(Standing::Voter),
            Just(Standing::Unsynced),
            Just(Standing::Damaged)
        ]
    };
    let entry = (key(), found(), option::of(value())).prop_map(|(key, found, value)| PageEntry {
        key,
        found,
        value,
    });
    let versions = (key(), version()).prop_map(|(key, version)| VersionEntry { key, version });
    prop_oneof![
        any::<u64>().prop_map(|epoch| Reply::Pong {
            epoch: Epoch(epoch)
        }),
        Just(Reply::Placement(None)),
        Just(Reply::Placement(Some(placement()))),
        any::<(u64, u64)>().prop_map(|(epoch, digest)| Reply::Adopted {
            epoch: Epoch(epoch),
            digest: Digest(digest),
        }),
        (standing(), option::of(record()))
            .prop_map(|(standing, record)| Reply::Record { standing, record }),
        (standing(), option::of(found()))
            .prop_map(|(standing, found)| Reply::Version { standing, found }),
        bytes().prop_map(Reply::Chunk),
        standing().prop_map(|standing| Reply::Stored { standing }),
        version().prop_map(|by| Reply::Superseded { by }),
        Just(Reply::ChunkStored),
        (vec(entry, 0..6), any::<bool>(), slots()).prop_map(|(entries, more, unanswered)| {
            Reply::Page(Page {
                entries,
                more,
                unanswered,
            })
        }),
        vec((0u16..1024, standing(), any::<u64>()), 0..10).prop_map(|digests| {
            let digest = |(slot, standing, digest)| {
                let slot = Slot::new(slot).expect("in range");
                SlotDigest {
                    slot,
                    standing,
                    digest,
                }
            };
            Reply::Digests(digests.into_iter().map(digest).collect())
        }),
        vec(any::<u64>(), BUCKETS).prop_map(|digests| {
            Reply::Buckets(
                digests
                    .into_boxed_slice()
                    .try_into()
                    .expect("as many as buckets"),
            )
        }),
        (vec(versions, 0..6), any::<bool>())
            .prop_map(|(entries, more)| Reply::Versions(VersionPage { entries, more })),
        ".{0,20}".prop_map(Reply::Uncertain),
        refusal().prop_map(Reply::Refused),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn requests_round_trip(request in request(), id in any::<u64>()) {
        let frame = encode_request(RequestId(id), &request);
        prop_assert_eq!(frame.id, RequestId(id));
        prop_assert_eq!(decode_request(&frame), Ok(request));
    }

    #[test]
    fn replies_round_trip(reply in reply(), id in any::<u64>()) {
        let frame = encode_reply(RequestId(id), &reply);
        prop_assert_eq!(decode_reply(&frame), Ok(reply));
    }

    /// Every prefix of a message is refused, and so is a message with a tail.
    #[test]
    fn cut_and_padded_requests_are_refused(request in request(), at in any::<prop::sample::Index>()) {
        let mut frame = encode_request(RequestId(1), &request);
        let whole = frame.body.clone();
        if !whole.is_empty() {
            frame.body = whole.slice(..at.index(whole.len()));
            prop_assert_ne!(decode_request(&frame), Ok(request.clone()));
        }
        frame.body = [&whole[..], b"tail"].concat().into();
        prop_assert_ne!(decode_request(&frame), Ok(request));
    }

    #[test]
    fn arbitrary_bodies_never_panic(kind in any::<u8>(), body in vec(any::<u8>(), 0..400)) {
        let frame = Frame { kind, id: RequestId(0), body: body.into() };
        let _ = decode_request(&frame);
        let _ = decode_reply(&frame);
    }
}

#[test]
fn limits_are_named() {
    let mut body = vec![0; 18];
    body.extend_from_slice(&2000u16.to_le_bytes());
    body.extend_from_slice(&[7; 2000]);
    let frame = Frame {
        kind: kind::GET,
        id: RequestId(0),
        body: body.into(),
    };
    let error = decode_request(&frame).unwrap_err().to_string();
    assert_eq!(error, "a key has at most 1024 bytes, this one has 2000");
}
