//! The sets of keys: the same in every run.

use std::{collections::HashSet, fs};

use anyhow::{Context, Result};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

/// The list of words, of Debian's package wamerican-huge.
const WORDS: &str = "/usr/share/dict/american-english-huge";

/// Keys, each once, in random order.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) name: &'static str,
    pub(super) all: Vec<Vec<u8>>,
    /// Whether one may be the beginning of another.
    pub(super) open: bool,
    /// Beginnings of keys, for scans.
    pub(super) prefixes: Vec<Vec<u8>>,
}

/// The names of the sets, in order.
pub(super) const NAMES: [&str; 5] = [
    "URLs",
    "e-mail addresses",
    "random u64",
    "sparse u64",
    "words",
];

/// A set of so many keys.
pub(super) fn set(name: &'static str, count: usize) -> Result<Keys> {
    let mut random = StdRng::seed_from_u64(7);
    let mut seen = HashSet::new();
    let mut words = Vec::new();
    if name == "words" {
        let list = fs::read_to_string(WORDS).with_context(|| {
            format!("this bench needs {WORDS}: as root, `apt-get install wamerican-huge`")
        })?;
        words = list.lines().map(str::to_owned).collect();
    }
    let mut sparse = 0_u64;
    let mut number = 0;
    while seen.len() < count {
        seen.insert(match name {
            "URLs" => url(&mut random),
            "e-mail addresses" => mail(number, &mut random),
            "random u64" => random.random::<u64>().to_be_bytes().to_vec(),
            "sparse u64" => {
                sparse += random.random_range(1..=1_000);
                sparse.to_be_bytes().to_vec()
            }
            _ => match number / words.len() {
                0 => words[number].clone().into_bytes(),
                again => format!("{}-{again}", words[number % words.len()]).into_bytes(),
            },
        });
        number += 1;
    }
    let mut keys: Vec<_> = seen.into_iter().collect();
    keys.sort_unstable();
    keys.shuffle(&mut random);
    let open = !name.ends_with("u64");
    // So much is cut off that a prefix has some keys, not all of them.
    let cut = if name == "random u64" { 6 } else { 2 };
    let prefix = |key: &Vec<u8>| key[..key.len().saturating_sub(cut)].to_vec();
    let prefixes = keys.iter().map(prefix);
    let prefixes = prefixes.filter(|prefix| !open || prefix.len() > 3);
    let prefixes = prefixes.take(2_000).collect();
    Ok(Keys {
        name,
        all: keys,
        open,
        prefixes,
    })
}

fn url(random: &mut StdRng) -> Vec<u8> {
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
