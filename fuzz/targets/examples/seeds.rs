//! Writes the hand-made seeds of the targets whose bytes nobody can type: real messages and frames,
//! real placements, logs with a history.
//!
//! `cargo run -p fuzz-targets --example seeds`, whenever a format or a target's input changes.

use std::{fs, io, path::PathBuf};

use bytes::BytesMut;
use kvcore::{
    key::Key,
    placement::{
        AuthorId, ClusterId, Epoch, Member, MemberId, Parts, Placement, Quorums, SlotPlacement,
        planner::plan,
    },
    record::{Body, Format, Payload, Record, UploadId, ValueMeta},
    slot::{Slot, SlotSet},
    version::{UnixMillis, Version},
    wire::{
        Found, Frame, Intent, Page, PageEntry, Refusal, Reply, Request, RequestId, Scope,
        ScopedSlots, Standing, VersionEntry, VersionPage, Want, encode_reply, encode_request,
    },
};
use uuid::Uuid;

fn main() -> io::Result<()> {
    let frames = [requests(), replies()].concat();
    for (number, frame) in frames.iter().enumerate() {
        let mut seed = vec![0, frame.kind, 0, 0, 0, 0];
        seed.extend_from_slice(&frame.body);
        write("wire", &format!("message-{number:02}"), &seed)?;
    }
    let mut stream = BytesMut::new();
    frames
        .iter()
        .take(4)
        .for_each(|frame| frame.encode(&mut stream));
    // Checksums as they are and made right: limit, cuts, bytes.
    for choice in [2, 3] {
        let seed = [&[choice, 200, 0, 3, 1, 9, 30][..], &stream].concat();
        write("wire", &format!("stream-{choice}"), &seed)?;
    }
    write(
        "wire",
        "series",
        &[4, 1, 0, 0, 0, 0, 2, 7, 7, 2, 1, 0, 0, 0, 0],
    )?;
    write("wire", "handshake", &[5, 0, 0, 1, 0, 1])?;
    write(
        "wire",
        "handshake-meddled",
        &[5, 0, 4, 3, 0, 1, 0, 1, 6, 0x42, 0, 1, 9],
    )?;
    write("wire", "handshake-strangers", &[5, 1, 0, 1, 0, 1])?;

    let placement = placement();
    write(
        "placement",
        "binary",
        &[&[0][..], &placement.encode()].concat(),
    )?;
    let json = serde_json::to_vec(&placement)?;
    write("placement", "json", &[&[2][..], &json].concat())?;
    let made = [
        1, 1, 1, 0, 1, b'a', 1, b'x', 2, 1, 0, 1, b'b', 1, b'y', 1, 0, 2, 3, 0, 1, 0, 0, 1,
    ];
    for choice in [3, 4] {
        let changed = [0, 40, 0, 1, 1, 7];
        let seed = [&[choice][..], &made, &[0, 0, 0, 5, 0, 0, 0, 1, 0], &changed].concat();
        write("placement", &format!("made-{choice}"), &seed)?;
    }
    logs()
}

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    fs::create_dir_all(corpus.join(target))?;
    fs::write(corpus.join(target).join(format!("seed-{name}")), bytes)
}

/// Histories and what happens to the files afterwards; the numbers are the targets' own.
fn logs() -> io::Result<()> {
    let record = |number: u8, length: u16| {
        let [low, high] = length.to_le_bytes();
        [0, number << 4, low, high]
    };
    let many: Vec<u8> = (0..20)
        .flat_map(|number| record(number % 16, 900))
        .collect();
    let chunks = [
        0, 0xEE, 0, 0, 0, 0xE6, 9, 0x80, 0, 0xE5, 9, 0x80, 0, 0x10, 1, 0,
    ];
    let damages: [(&str, &[u8]); 12] = [
        ("whole", &[]),
        ("cut", &[0, 0, 0, 200, 3]),
        ("flipped", &[2, 1, 0, 200, 3, 1]),
        ("head-lost", &[4, 3, 0, 0, 0, 128, 0]),
        ("removed", &[5, 1, 0, 0, 0]),
        ("swapped", &[6, 0, 0, 100, 0, 2, 0, 50, 0]),
        ("edited", &[7, 1, 0, 0, 0, 1, 0, 24, 2, 1, 1]),
        ("appended", &[9, 1, 0, 0, 0, 5, 1, 0, 0, 0, 1, 9]),
        ("marked", &[9, 1, 0, 0, 0, 7, 0, 0, 1]),
        ("hint", &[12, 0, 0, 0, 0, 1, 13, 1, 2, 3]),
        ("hint-edited", &[7, 0, 0, 40, 0, 2, 255, 255]),
        (
            "new-file",
            &[13, 200, 0, 0, 0, 30, 0, 5, 1, 0, 0, 0, 1, 9, 6],
        ),
    ];
    for (name, damage) in damages {
        for load in 0..4 {
            let seed = [&[load, 20][..], &many, damage].concat();
            write("log", &format!("{name}-{load}"), &seed)?;
        }
    }
    let faults = [
        &record(1, 9)[..],
        &[13, 0],
        &record(2, 9),
        &[15, 0, 14, 9, 0],
        &record(3, 9),
        &[8, 15, 2, 10, 12],
    ];
    write("log", "faults", &[&[0, 9][..], &faults.concat()].concat())?;
    write("log", "chunks", &[&[3, 4][..], &chunks].concat())?;
    write("log", "bare", &[0, 0, 13, 0, 0, 1, 0, 1, 2, 3])
}

fn scope() -> Scope {
    Scope {
        slot: Slot::new(5).expect("in range"),
        epoch: Epoch(3),
        began_at: UnixMillis(1000),
    }
}

fn key() -> Key {
    Key::copy_from(b"person1").expect("short")
}

fn version() -> Version {
    Version::from_bytes([2; 16])
}

fn meta(length: u32) -> ValueMeta {
    ValueMeta {
        format: Format::Document,
        flags: 0,
        expires_at: Some(UnixMillis(9)),
        length,
    }
}

fn records() -> [Record; 3] {
    let value = |meta, payload| Record {
        version: version(),
        body: Body::Value { meta, payload },
    };
    [
        Record::tombstone(version()),
        value(meta(3), Payload::Whole(vec![1, 2, 3].into())),
        value(meta(300_000), Payload::Chunked(UploadId(4))),
    ]
}

fn requests() -> Vec<Frame> {
    let slots: SlotSet = [scope().slot].into_iter().collect();
    let scoped = ScopedSlots {
        slots,
        epoch: Epoch(3),
        began_at: UnixMillis(1000),
    };
    let (scope, key) = (scope(), key());
    let mut requests = vec![
        Request::Ping,
        Request::Adopt(placement()),
        Request::Get {
            scope,
            key: key.clone(),
        },
        Request::GetChunk {
            scope,
            key: key.clone(),
            version: version(),
            index: 1,
        },
        Request::PutChunk {
            scope,
            upload: UploadId(4),
            index: 0,
            bytes: vec![7; 9].into(),
        },
        Request::Scan {
            scope: scoped.clone(),
            prefix: vec![b'p'].into(),
            after: Some(key.clone()),
            limit: 10,
            want: Want::Values,
        },
        Request::Digests { scope: scoped },
    ];
    requests.extend(records().map(|record| Request::Put {
        scope,
        key: key.clone(),
        record,
        intent: Intent::Fresh,
    }));
    requests
        .iter()
        .map(|request| encode_request(RequestId(1), request))
        .collect()
}

fn replies() -> Vec<Frame> {
    let standing = Standing::Voter;
    let entry = PageEntry {
        key: key(),
        found: Found::Value(version()),
        value: Some((meta(2), vec![1, 2].into())),
    };
    let mut replies = vec![
        Reply::Pong { epoch: Epoch(1) },
        Reply::Placement(None),
        Reply::Version {
            standing,
            found: Some(Found::Tombstone(version())),
        },
        Reply::Chunk(vec![1; 9].into()),
        Reply::Page(Page {
            entries: vec![entry],
            more: true,
            unanswered: SlotSet::empty(),
        }),
        Reply::Versions(VersionPage {
            entries: vec![VersionEntry {
                key: key(),
                version: version(),
            }],
            more: false,
        }),
        Reply::Uncertain("the disk".to_owned()),
        Reply::Refused(Refusal::StaleEpoch(placement())),
        Reply::Refused(Refusal::NotHeld(scope().slot)),
        Reply::Refused(Refusal::Invalid("no".to_owned())),
    ];
    replies.extend(records().map(|record| Reply::Record {
        standing,
        record: Some(record),
    }));
    replies
        .iter()
        .map(|reply| encode_reply(RequestId(1), reply))
        .collect()
}

/// A small one: one copy of each slot.
fn placement() -> Placement {
    let member = |number: u128| Member {
        id: MemberId(Uuid::from_u128(number)),
        address: format!("host-{number}:7400"),
        zone: "a".to_owned(),
        weight: 1,
    };
    let members = vec![member(1), member(2)];
    let sets = plan(&members, 1, None).expect("one copy on two members is possible");
    Placement::new(Parts {
        cluster: ClusterId(Uuid::from_u128(9)),
        epoch: Epoch(1),
        author: AuthorId(Uuid::from_u128(8)),
        address_revision: 0,
        copies: 1,
        quorums: Quorums::default(),
        members,
        slots: SlotPlacement::all_stable(sets, Epoch(1), Quorums::default()),
    })
    .expect("it was planned")
}
