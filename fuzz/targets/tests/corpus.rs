//! Every input that is kept, and pseudo-random changes of them, always the same ones.
//!
//! This is no search: that is what `cargo xtask fuzz` is for. It keeps what was found from coming
//! back, and the targets from rotting.

use std::{fs, path::PathBuf, thread};

use fuzz_targets::{TARGETS, Target};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Changed inputs a target: together a few seconds.
const CHANGED: [(&str, u32); 2] = [("log", 300), ("placement", 300)];

/// The same for targets that are not named there.
const CHANGED_ELSE: u32 = 2_000;

/// Longest changed input, in bytes.
const CHANGED_BYTES_MAX: usize = 4096;

/// Says which input it was when a target panics.
struct Shown<'a> {
    target: &'a str,
    origin: String,
    input: &'a [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let Self {
                target,
                origin,
                input,
            } = self;
            eprintln!("the target `{target}` failed on {origin}, in hexadecimal:");
            input.iter().for_each(|byte| eprint!("{byte:02x}"));
            eprintln!();
        }
    }
}

fn run((target, body): Target, origin: impl Into<String>, input: &[u8]) {
    let shown = Shown {
        target,
        origin: origin.into(),
        input,
    };
    body(input);
    drop(shown);
}

/// The files that are kept for a target, by name.
fn kept(directory: &str, (target, _): Target) -> Vec<(String, Vec<u8>)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let Ok(entries) = fs::read_dir(root.join(directory).join(target)) else {
        return Vec::new();
    };
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let entry = entry.expect("the directory can be read");
            let bytes = fs::read(entry.path()).expect("the file can be read");
            (entry.path().display().to_string(), bytes)
        })
        .collect();
    files.sort();
    files
}

fn changed(random: &mut StdRng, files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let any = |random: &mut StdRng| &files[random.random_range(0..files.len())].1;
    let mut bytes = any(random).clone();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.random()),
            2 => {
                let other = any(random);
                bytes.truncate(at);
                bytes.extend(other.iter().skip(random.random_range(0..=other.len())));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.random();
                }
            }
        }
    }
    bytes.truncate(CHANGED_BYTES_MAX);
    bytes
}

#[test]
fn every_input_that_is_kept_passes() {
    for target in TARGETS {
        let corpus = kept("corpus", target);
        assert!(!corpus.is_empty(), "no corpus of {}", target.0);
        for (path, input) in corpus.into_iter().chain(kept("regressions", target)) {
            run(target, path, &input);
        }
    }
}

#[test]
fn changed_inputs_pass() {
    for target in TARGETS {
        let files = kept("corpus", target);
        let mut random = StdRng::seed_from_u64(1);
        let named = CHANGED.iter().find(|(name, _)| *name == target.0);
        for number in 0..named.map_or(CHANGED_ELSE, |&(_, changed)| changed) {
            let input = changed(&mut random, &files);
            run(target, format!("changed input {number}"), &input);
        }
    }
}

#[test]
fn inputs_of_dice_alone_pass() {
    for target in TARGETS {
        let mut random = StdRng::seed_from_u64(2);
        for number in 0..200 {
            let length = random.random_range(0..600);
            let input: Vec<u8> = (0..length).map(|_| random.random()).collect();
            run(target, format!("input {number} of dice"), &input);
        }
    }
}
