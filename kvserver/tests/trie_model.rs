//! The trie against a `BTreeMap`, over millions of random operations on keys chosen to hurt.
//!
//! Each test draws its keys from one population, small enough that the same keys come and go
//! many times. A run alternates between phases that mostly insert and phases that mostly remove,
//! so that every node grows through the layouts and shrinks back. On failure the seed is printed;
//! `KVASIR_SEED=<seed>` runs every population with it.

use std::collections::BTreeMap;
use std::ops::Bound;

use kvserver::trie::{Cursor, Trie};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Operations of one test: eight populations, four million in total.
const OPERATIONS: u32 = 520_000;
/// Operations between two changes from mostly inserting to mostly removing.
const PHASE: u32 = 13_000;
/// Checking the whole trie costs as much as some thousand operations.
const CHECK_EVERY: u32 = 3_000;
/// Entries compared of one walk: enough to leave the node it began in.
const WALK_ENTRIES: usize = 12;

#[path = "fixture/steps.rs"]
mod steps;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[test]
fn long_shared_prefixes() {
    let base: Vec<u8> = (0..1_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    run(1, |random| {
        let shared = [0, 3, 500, 990, 999, 1_000][random.random_range(0..6)];
        let tail = random.random_range(0..=3);
        let mut key = base[..shared].to_vec();
        key.extend((0..tail).map(|_| random.random_range(b'a'..b'd')));
        key
    });
}

#[test]
fn prefixes_of_each_other() {
    run(2, |random| {
        let len = random.random_range(0..=150);
        let byte = [b'a', 0x00, 0xff][random.random_range(0..3)];
        vec![byte; len]
    });
}

#[test]
fn deep_chains_of_prefixes() {
    run(3, |random| {
        let len = random.random_range(0..=64) * 16;
        vec![b'x'; len]
    });
}

#[test]
fn embedded_zeros() {
    run(4, |random| {
        let len = random.random_range(0..=7);
        (0..len)
            .map(|_| [0, 0, 1, b'a'][random.random_range(0..4)])
            .collect()
    });
}

#[test]
fn only_the_extreme_bytes() {
    run(5, |random| {
        let len = random.random_range(1..=10);
        (0..len)
            .map(|_| [0x00, 0xff][random.random_range(0..2)])
            .collect()
    });
}

#[test]
fn unrelated_keys_of_every_length() {
    run(6, |random| {
        // The same number always makes the same key, so that removals meet what is there.
        let mut random = StdRng::seed_from_u64(random.random_range(0..1_500));
        let len = random.random_range(1..=1_024);
        (0..len).map(|_| random.random()).collect()
    });
}

#[test]
fn dense_fan_out() {
    run(7, |random| {
        // Each first byte has another width below it, up to all 256.
        let first: u8 = random.random_range(0..8);
        let second = random.random_range(0..=u8::MAX >> (7 - first));
        let mut key = vec![first, second];
        match random.random_range(0..16) {
            0..3 => key.truncate(usize::from(second % 2)),
            3..6 => key.extend_from_slice(b"tail"),
            _ => {}
        }
        key
    });
}

#[test]
fn addresses_of_pages() {
    const HOSTS: [&str; 4] = ["example.com", "example.org", "a.example.com", "kvasir.dev"];
    const PARTS: [&str; 6] = ["user", "users", "u", "item", "items?id=", "item/"];
    run(8, |random| {
        let host = HOSTS[random.random_range(0..4)];
        let parts = (0..random.random_range(0..3)).map(|_| {
            let part = PARTS[random.random_range(0..6)];
            format!("/{part}{}", random.random_range(0..12))
        });
        format!("https://{host}{}", parts.collect::<String>()).into_bytes()
    });
}

/// Runs the operations on keys that `draw` makes, from a seed of the population's own.
fn run(population: u64, draw: impl Fn(&mut StdRng) -> Vec<u8>) {
    let seed = std::env::var("KVASIR_SEED").map_or(population, |seed| {
        seed.parse().expect("KVASIR_SEED is a number")
    });
    let _printed_on_panic = Seed(seed);
    let mut random = StdRng::seed_from_u64(seed);
    let (mut trie, mut model) = (Trie::new(), Model::new());
    let operations = u32::try_from(steps::scaled(OPERATIONS.into())).expect("no more than usual");
    for operation in 0..operations {
        let growing = (operation / PHASE).is_multiple_of(2);
        let key = draw(&mut random);
        step(&mut trie, &mut model, growing, &key, &draw, &mut random);
        assert_eq!(trie.len(), model.len());
        assert_eq!(trie.is_empty(), model.is_empty());
        assert_eq!(
            trie.bytes() == 0,
            model.is_empty(),
            "bytes exactly while there are keys"
        );
        if operation % CHECK_EVERY == 0 {
            check_whole(&trie, &model);
        }
    }
    // To nothing, key by key: the last removals are the ones with the oddest shapes.
    while let Some((key, value)) = model.pop_first() {
        assert_eq!(trie.take(&key, <[u8]>::to_vec), Some(value));
        if model.len() % 64 == 0 || model.len() < 20 {
            check_whole(&trie, &model);
        }
    }
    assert_eq!(trie.bytes(), 0);
}

fn step(
    trie: &mut Trie,
    model: &mut Model,
    growing: bool,
    key: &[u8],
    draw: impl Fn(&mut StdRng) -> Vec<u8>,
    random: &mut StdRng,
) {
    let (insert_below, remove_below) = if growing { (50, 60) } else { (10, 60) };
    match random.random_range(0..100) {
        choice if choice < insert_below => {
            let value = value(random);
            let (head, tail) = value.split_at(value.len() / 3);
            let before = trie.replace(key, [head, tail], <[u8]>::to_vec);
            assert_eq!(before, model.insert(key.to_vec(), value));
        }
        choice if choice < remove_below => {
            assert_eq!(trie.take(key, <[u8]>::to_vec), model.remove(key));
        }
        60..75 => {
            assert_eq!(trie.get(key), model.get(key).map(Vec::as_slice));
        }
        75..80 => {
            let (ours, theirs) = (trie.get_mut(key), model.get_mut(key));
            assert_eq!(ours.as_deref(), theirs.as_deref().map(Vec::as_slice));
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                ours.reverse();
                theirs.reverse();
            }
        }
        80..90 => {
            let bounds = [Bound::Unbounded, Bound::Included(key), Bound::Excluded(key)];
            let bound = bounds[random.random_range(0..3)];
            let expected = model.range::<[u8], _>((bound, Bound::Unbounded));
            compare(trie.iter_from(bound), expected);
        }
        90..99 => {
            let prefix = &key[..random.random_range(0..=key.len())];
            let after = (random.random_range(0..3) > 0).then(|| draw(random));
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let expected = model.range::<[u8], _>((from, Bound::Unbounded));
            let expected = expected.skip_while(|(key, _)| key.as_slice() < prefix);
            let expected = expected.take_while(|(key, _)| key.starts_with(prefix));
            compare(trie.scan_prefix(prefix, after.as_deref()), expected);
        }
        // Rare: a trie that is emptied often never grows.
        _ if random.random_range(0..100) == 0 => {
            trie.clear();
            model.clear();
        }
        _ => {}
    }
}

/// Short ones, and lengths around those where the length itself takes more bytes.
fn value(random: &mut StdRng) -> Vec<u8> {
    let length: u32 = match random.random_range(0..1_000) {
        0 => random.random_range(0xfffd..0x10003),
        1..60 => random.random_range(0xfd..0x103),
        _ => random.random_range(0..60),
    };
    let first: u8 = random.random();
    (0..length)
        .map(|place| first ^ u8::try_from(place % 251).expect("below 251"))
        .collect()
}

/// The first entries are the same, and where there are fewer, both end.
fn compare<'m>(
    mut cursor: Cursor<'_>,
    mut expected: impl Iterator<Item = (&'m Vec<u8>, &'m Vec<u8>)>,
) {
    for _ in 0..WALK_ENTRIES {
        let expected = expected
            .next()
            .map(|(key, value)| (key.as_slice(), value.as_slice()));
        assert_eq!(cursor.next_entry(), expected);
        if expected.is_none() {
            assert_eq!(cursor.next_entry(), None, "a cursor at its end stays there");
            return;
        }
    }
}

fn check_whole(trie: &Trie, model: &Model) {
    trie.check_invariants();
    let mut cursor = trie.iter_from(Bound::Unbounded);
    for (key, value) in model {
        assert_eq!(
            cursor.next_entry(),
            Some((key.as_slice(), value.as_slice()))
        );
        assert_eq!(trie.get(key), Some(value.as_slice()));
    }
    assert_eq!(cursor.next_entry(), None);
}

/// Says on a panic how to have it again.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with KVASIR_SEED={}", self.0);
        }
    }
}
