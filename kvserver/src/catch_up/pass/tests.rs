//! What a pass asks for, and what it is worth.

use bytes::Bytes;
use kvcore::{
    limits::{CHUNK_BYTES, VALUE_BYTES_MAX},
    record::{Body, Format, Payload, UploadId, ValueMeta},
    version::{HybridTime, WriterId},
    wire::VersionEntry,
};

use super::*;

/// A member with nothing in it.
struct Nothing;

impl Local for Nothing {
    fn digest(&self, _: Slot) -> u64 {
        0
    }
    fn buckets(&self, _: Slot) -> Box<[u64; BUCKETS]> {
        Box::new([0; BUCKETS])
    }
    fn version(&self, _: &Key) -> Option<Version> {
        None
    }
}

const NOW: UnixMillis = UnixMillis(1_000_000);

fn version() -> Version {
    Version::new(HybridTime::at(NOW), WriterId::from_random(2))
}

fn keys(count: usize) -> Vec<Key> {
    let key = |number: u32| Key::copy_from(format!("{number}").as_bytes()).expect("a key");
    let slot = key(0).slot();
    let all = (0..).map(key).filter(|key| key.slot() == slot);
    let mut keys: Vec<_> = all.take(count).collect();
    keys.sort();
    keys
}

fn record(payload: Payload, length: usize) -> Record {
    let meta = ValueMeta {
        format: Format::Raw,
        flags: 0,
        expires_at: None,
        length: u32::try_from(length).expect("values are limited"),
    };
    Record {
        version: version(),
        body: Body::Value { meta, payload },
    }
}

/// Runs a pass against a member with these keys, until only `reply` has an answer.
fn run(
    pass: &mut Pass,
    keys: &[Key],
    reply: &mut dyn FnMut(&Request) -> Option<Reply>,
) -> Vec<(Tag, Request)> {
    let mut effects = pass.start(NOW);
    let mut open = Vec::new();
    while let Some(effect) = effects.pop() {
        let (Effect::Ask { tag, request } | Effect::Apply { tag, request }) = effect;
        let standard = match &request {
            Request::Digests { .. } => Some(Reply::Digests(vec![SlotDigest {
                slot: keys[0].slot(),
                standing: Standing::Voter,
                digest: 1,
            }])),
            Request::Buckets { .. } => Some(Reply::Buckets(Box::new([1; BUCKETS]))),
            Request::Versions { .. } => {
                let entry = |key: &Key| VersionEntry {
                    key: key.clone(),
                    version: version(),
                };
                let entries = keys.iter().map(entry).collect();
                let more = false;
                Some(Reply::Versions(VersionPage { entries, more }))
            }
            _ => None,
        };
        match reply(&request).or(standard) {
            Some(reply) => effects.extend(pass.step(Event::Answer { tag, reply }, NOW, &Nothing)),
            None => open.push((tag, request)),
        }
    }
    open
}

fn pass_for(keys: &[Key]) -> Pass {
    Pass::new(Epoch(1), std::iter::once(keys[0].slot()).collect())
}

/// More values of the largest size than there is room for uploads: a few are copied at a time,
/// and in the end all of them.
#[test]
fn large_values_are_copied_a_few_at_a_time() {
    let keys = keys(40);
    let mut pass = pass_for(&keys);
    let mut numbers = 0..;
    let mut get = |request: &Request| match request {
        Request::Get { .. } => {
            let upload = UploadId(numbers.next().expect("endless"));
            let record = Some(record(Payload::Chunked(upload), VALUE_BYTES_MAX));
            let standing = Standing::Voter;
            Some(Reply::Record { standing, record })
        }
        _ => None,
    };
    let mut open = run(&mut pass, &keys, &mut get);
    let mut stored = 0;
    while let Some((tag, request)) = open.pop() {
        let copies = open.len() + 1;
        assert!(copies * VALUE_BYTES_MAX <= crate::limits::UPLOAD_BYTES_MAX / 4);
        let reply = match request {
            Request::GetChunk { .. } => Reply::Chunk(Bytes::new()),
            Request::PutChunk { .. } => Reply::ChunkStored,
            Request::Put { .. } => {
                stored += 1;
                let standing = Standing::Voter;
                Reply::Stored { standing }
            }
            other => panic!("{other:?}"),
        };
        let effects = pass.step(Event::Answer { tag, reply }, NOW, &Nothing);
        open.extend(effects.into_iter().map(|effect| match effect {
            Effect::Ask { tag, request } | Effect::Apply { tag, request } => (tag, request),
        }));
    }
    assert_eq!(stored, keys.len());
    let passed = pass.end().expect("over").expect("whole");
    assert!(passed.from_voter.contains(keys[0].slot()) && passed.left_out.is_none());
    assert_eq!(CHUNK_BYTES * 256, VALUE_BYTES_MAX);
}

#[test]
fn a_slot_counts_only_when_all_of_it_was_stored() {
    let refusals = [
        Reply::Refused(Refusal::DiskFull),
        Reply::Refused(Refusal::MemoryLimit { limit_bytes: 1 }),
        Reply::Refused(Refusal::Overloaded(String::new())),
        Reply::Refused(Refusal::ChunksMissing),
        Reply::Uncertain(String::new()),
    ];
    let fine = [
        Reply::Stored {
            standing: Standing::Unsynced,
        },
        Reply::Superseded { by: version() },
    ];
    let keys = keys(3);
    for (put, counts) in refusals
        .map(|reply| (reply, false))
        .into_iter()
        .chain(fine.map(|reply| (reply, true)))
    {
        let mut pass = pass_for(&keys);
        let mut answer = |request: &Request| match request {
            Request::Get { .. } => {
                let record = Some(record(Payload::Whole(Bytes::new()), 0));
                let standing = Standing::Voter;
                Some(Reply::Record { standing, record })
            }
            Request::Put { .. } => Some(put.clone()),
            _ => None,
        };
        assert_eq!(run(&mut pass, &keys, &mut answer), []);
        let passed = pass.end().expect("over").expect("whole");
        assert_eq!(
            passed.from_voter.contains(keys[0].slot()),
            counts,
            "{put:?}"
        );
        assert_eq!(passed.left_out.is_none(), counts);
    }
}

/// A value that is overwritten, or found damaged, while it is copied was not copied.
#[test]
fn a_slot_does_not_count_when_something_vanished_on_the_way() {
    let keys = keys(2);
    let vanished = [
        Reply::Refused(Refusal::Gone),
        Reply::Refused(Refusal::Damaged(keys[0].slot())),
    ];
    for gone in vanished {
        let mut pass = pass_for(&keys);
        let mut answer = |request: &Request| match request {
            Request::Get { .. } => {
                let payload = Payload::Chunked(UploadId(4));
                let record = Some(record(payload, 3 * CHUNK_BYTES));
                let standing = Standing::Voter;
                Some(Reply::Record { standing, record })
            }
            Request::GetChunk { .. } => Some(gone.clone()),
            _ => None,
        };
        assert_eq!(run(&mut pass, &keys, &mut answer), []);
        let passed = pass.end().expect("over").expect("whole");
        assert!(!passed.from_voter.contains(keys[0].slot()));
        assert!(passed.differed.contains(keys[0].slot()));
    }
}
