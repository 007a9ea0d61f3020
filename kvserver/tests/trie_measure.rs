//! Measures the trie beside a `BTreeMap`. Not a test of anything, hence ignored:
//!
//! ```text
//! cargo test --release -p kvserver --test trie_measure -- --ignored --nocapture
//! ```

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Bound;
use std::time::{Duration, Instant};

use kvserver::trie::Trie;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

const KEYS: usize = 1_000_000;

#[test]
#[ignore = "a measurement of some ten seconds"]
fn one_million_keys() {
    let mut random = StdRng::seed_from_u64(1);
    let sixteen = (0..KEYS)
        .map(|_| random.random::<[u8; 16]>().to_vec())
        .collect();
    measure("16 random bytes", sixteen, &mut random);
    let addresses = (0..KEYS).map(|_| address(&mut random)).collect();
    measure("addresses of pages", addresses, &mut random);
    let mails = (0..KEYS).map(|number| mail(number, &mut random)).collect();
    measure("addresses of people", mails, &mut random);
    let numbers = (0..KEYS)
        .map(|number| format!("user:{number:08}").into_bytes())
        .collect();
    measure("numbered users", numbers, &mut random);
}

fn measure(name: &str, mut keys: Vec<Vec<u8>>, random: &mut StdRng) {
    keys.sort_unstable();
    keys.dedup();
    keys.shuffle(random);
    let mut looked_up = keys.clone();
    looked_up.shuffle(random);
    let average = keys.iter().map(Vec::len).sum::<usize>() / keys.len();

    let mut trie = Trie::new();
    let insert = timed(|| {
        keys.iter()
            .all(|key| trie.insert(key, &1_u64.to_le_bytes()))
    });
    let get = timed(|| looked_up.iter().all(|key| trie.get(key).is_some()));
    let walk = timed(|| {
        let mut cursor = trie.iter_from(Bound::Unbounded);
        while let Some(entry) = cursor.next_entry() {
            black_box(entry);
        }
        true
    });
    let per_key = trie.bytes() as f64 / trie.len() as f64;
    let remove = timed(|| looked_up.iter().all(|key| trie.remove(key)));
    assert!(trie.is_empty());

    let mut map = BTreeMap::new();
    let owned = keys.clone();
    let map_insert = timed(|| {
        owned
            .into_iter()
            .all(|key| map.insert(key, 1_u64).is_none())
    });
    let map_get = timed(|| looked_up.iter().all(|key| map.contains_key(key)));
    let map_walk = timed(|| map.iter().all(|entry| !black_box(entry).0.is_empty()));
    let map_remove = timed(|| looked_up.iter().all(|key| map.remove(key).is_some()));

    let count = u32::try_from(keys.len()).expect("a million fits");
    let print = |what: &str, times: [Duration; 4]| {
        let [insert, get, walk, remove] = times.map(|time| (time / count).as_nanos());
        println!(
            "{what:>10}: insert {insert} ns, get {get} ns, walk {walk} ns, remove {remove} ns"
        );
    };
    println!("{name}: {count} keys of {average} bytes, {per_key:.1} bytes a key in the trie");
    print("trie", [insert, get, walk, remove]);
    print("BTreeMap", [map_insert, map_get, map_walk, map_remove]);
}

fn timed(run: impl FnOnce() -> bool) -> Duration {
    let start = Instant::now();
    assert!(run(), "a measured operation did not do what it should");
    start.elapsed()
}

fn address(random: &mut StdRng) -> Vec<u8> {
    const WORDS: [&str; 8] = [
        "news", "article", "user", "product", "index", "archive", "image", "tag",
    ];
    let site = random.random_range(0..20_000);
    let parts = (0..random.random_range(1..4)).map(|_| {
        let word = WORDS[random.random_range(0..8)];
        format!("/{word}-{}", random.random_range(0..100_000))
    });
    format!("https://www.site{site}.com{}", parts.collect::<String>()).into_bytes()
}

fn mail(number: usize, random: &mut StdRng) -> Vec<u8> {
    const NAMES: [&str; 10] = [
        "anna", "bjorn", "carla", "david", "emma", "finn", "greta", "hans", "ida", "jonas",
    ];
    const HOSTS: [&str; 5] = [
        "gmail.com",
        "yahoo.com",
        "hotmail.com",
        "web.de",
        "example.org",
    ];
    let (first, last) = (
        NAMES[random.random_range(0..10)],
        NAMES[random.random_range(0..10)],
    );
    let host = HOSTS[random.random_range(0..5)];
    format!("{first}.{last}{}@{host}", number % 300_000).into_bytes()
}
