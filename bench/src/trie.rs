//! The trie beside the tries of other crates: time and memory.

mod keys;
mod maps;
mod ours;

use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

pub(crate) use self::ours::BareTrie;
use self::{
    keys::{Keys, NAMES},
    maps::{BTree, Blart, BySlot, Hash, Map, Qp, Rart},
    ours::Ours,
};
use crate::{
    Measured, allocator,
    document::Section,
    figures::{Reach, Samples},
    settings::Settings,
};

type RartVector = Rart<rart::VectorKey>;
type RartOverflow = Rart<rart::OverflowKey<32, 8>>;

/// What is timed, in the order of the columns.
const OPERATIONS: [&str; 5] = ["insert", "get", "scan", "prefix scan", "remove"];

const LAYOUTS: [&str; 2] = ["one", "1,024 by slot"];

/// What is said of the keys.
const SETS: &str = "URLs and addresses are made up, with beginnings shared as real ones share \
    them; u64 are 8 bytes, big endian; sparse ones count up in random steps of 1 to 1,000; words \
    are Debian's wamerican-huge, repeated with \"-1\", \"-2\", … behind them until there are \
    enough. Values are 8 bytes. Each map is handed its keys in the form it likes best, made before; \
    where it cannot tell a key from the beginning of another (blart, rart), they end in a zero byte.";

/// Nanoseconds a key by operation; `None` where a map cannot do it.
type Nanoseconds = [Option<f64>; 5];

/// The same of all turns, by layout and map.
type Times = BTreeMap<(usize, &'static str), [Samples; 5]>;

/// One map at one layout, without its type.
struct Candidate {
    name: &'static str,
    time: [fn(&Keys) -> Nanoseconds; 2],
    bytes: [fn(&Keys) -> f64; 2],
}

const fn candidate<M: Map>() -> Candidate {
    Candidate {
        name: M::NAME,
        time: [time::<M>, time::<BySlot<M>>],
        bytes: [bytes_per_key::<M>, bytes_per_key::<BySlot<M>>],
    }
}

const CANDIDATES: [Candidate; 7] = [
    candidate::<Ours>(),
    candidate::<Blart>(),
    candidate::<RartVector>(),
    candidate::<RartOverflow>(),
    candidate::<Qp>(),
    candidate::<BTree>(),
    candidate::<Hash>(),
];

/// Tries in the sense of the reach: landmarks left out. For memory that is blart and rart, the first
/// three.
const PEERS: [&str; 4] = ["blart", "rart, VectorKey", "rart, OverflowKey", "qp-trie"];

fn count(settings: &Settings) -> usize {
    settings.either(20_000, 1_000_000)
}

/// Runs the bench of time.
pub(crate) fn run(settings: &Settings) -> Measured {
    let mut section = Section::new(
        "The trie, beside other tries: time",
        &format!(
            "{} keys, nanoseconds a key, in random order; \"scan\" walks all of them in order, \
             \"prefix scan\" is a key found by 2,000 scans of prefixes (by slot, 40); one map, and \
             a map for each of 1,024 slots as a server has them (the slot's hash is in the time, \
             scans go through all maps). {SETS}",
            count(settings)
        ),
    );
    let mut reaches = Vec::new();
    for name in NAMES {
        let keys = keys::set(name, count(settings))?;
        let mut times = Times::new();
        for turn in 1..=settings.repeats {
            eprintln!("{name}, turn {turn} of {}", settings.repeats);
            for layout in 0..LAYOUTS.len() {
                for candidate in &CANDIDATES {
                    let taken = candidate.time[layout](&keys);
                    let samples = times.entry((layout, candidate.name)).or_default();
                    for (samples, taken) in samples.iter_mut().zip(taken) {
                        if let Some(taken) = taken {
                            samples.push(taken);
                        }
                    }
                }
            }
        }
        add(&mut section, &keys, &times);
        for layout in 0..LAYOUTS.len() {
            for (operation, at) in [("insert", 0), ("get", 1)] {
                reaches.push(reach(&times, (name, layout), operation, at));
            }
        }
    }
    section.reaches(&reaches);
    Ok(section)
}

/// One table a set.
fn add(section: &mut Section, keys: &Keys, times: &Times) {
    let bytes = keys.all.iter().map(Vec::len).sum::<usize>() / keys.all.len();
    section.say(&format!("{}, {bytes} bytes a key:", keys.name));
    let mut head = vec!["maps", ""];
    head.extend(OPERATIONS);
    let mut rows = Vec::new();
    for (layout, layout_name) in LAYOUTS.iter().enumerate() {
        for candidate in &CANDIDATES {
            let mut row = vec![(*layout_name).to_owned(), candidate.name.to_owned()];
            let samples = &times[&(layout, candidate.name)];
            row.extend(samples.iter().map(|samples| match samples.median() {
                0.0 => "–".to_owned(),
                _ => samples.shown(|nanos| format!("{nanos:.0}")),
            }));
            rows.push(row);
        }
    }
    section.table(&head, &rows);
}

/// How we do beside the fastest trie of the other crates, turn by turn.
fn reach(times: &Times, (name, layout): (&str, usize), operation: &str, at: usize) -> Reach {
    let of = |who| &times[&(layout, who)][at];
    let fastest = PEERS
        .iter()
        .min_by(|a, b| of(a).median().total_cmp(&of(b).median()));
    let fastest = *fastest.expect("there are peers");
    let ratio = of(Ours::NAME).over(of(fastest));
    Reach::at_most(
        format!(
            "{name}, {}, {operation}, time beside {fastest}",
            LAYOUTS[layout]
        ),
        ratio,
        1.0,
    )
}

fn time<M: Map>(keys: &Keys) -> Nanoseconds {
    let mut random = StdRng::seed_from_u64(11);
    let ready: Vec<M::Key> = keys.all.iter().map(|key| M::key(key, keys.open)).collect();
    let mut order: Vec<usize> = (0..ready.len()).collect();
    order.shuffle(&mut random);
    let looked_up: Vec<M::Key> = {
        let again = order.iter().map(|&at| M::key(&keys.all[at], keys.open));
        again.collect()
    };
    let mut map = M::default();
    let insert = timed(|| {
        for (key, value) in ready.iter().zip(0..) {
            map.insert(key, value);
        }
        Some(ready.len())
    });
    let get = timed(|| {
        Some(
            looked_up
                .iter()
                .filter(|key| map.get(key).is_some())
                .count(),
        )
    });
    let scan = timed(|| map.scan(&[]));
    // Each scan goes to every map.
    let prefixes = keys.prefixes.len() / if M::MAPS == 1 { 1 } else { 50 };
    let prefixes = keys.prefixes.iter().take(prefixes);
    let prefixes = timed(|| prefixes.map(|prefix| map.scan(prefix)).sum());
    let remove = timed(|| {
        let mut removed = 0;
        for key in &looked_up {
            removed += usize::from(map.remove(key));
        }
        Some(removed)
    });
    let whole = Some(ready.len());
    assert!(
        get.0 == whole && remove.0 == whole && (scan.0 == whole || scan.0.is_none()),
        "{} lost keys: {:?} found, {:?} walked, {:?} removed",
        M::NAME,
        get.0,
        scan.0,
        remove.0
    );
    [insert, get, scan, prefixes, remove]
        .map(|(found, took)| found.map(|found| took.as_nanos() as f64 / found.max(1) as f64))
}

fn timed(run: impl FnOnce() -> Option<usize>) -> (Option<usize>, Duration) {
    let start = Instant::now();
    let found = black_box(run());
    (found, start.elapsed())
}

/// Bytes that the map has allocated for a key, key and value in it.
fn bytes_per_key<M: Map>(keys: &Keys) -> f64 {
    let ready: Vec<M::Key> = keys.all.iter().map(|key| M::key(key, keys.open)).collect();
    let (map, bytes) = allocator::counted(|| {
        let mut map = M::default();
        for (key, value) in ready.iter().zip(0..) {
            map.insert(key, value);
        }
        map
    });
    drop(map);
    bytes as f64 / ready.len() as f64
}

/// Runs the bench of memory.
pub(crate) fn run_memory(settings: &Settings) -> Measured {
    let mut section = Section::new(
        "The trie, beside other tries: memory",
        &format!(
            "{} keys; bytes a key that a map has asked the allocator for, keys and values in it, \
             without what the allocator adds. Counted, so one turn is enough. What is wanted is beside \
             the smaller of blart and rart; the others are landmarks. {SETS}",
            count(settings)
        ),
    );
    let mut reaches = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for layout_name in LAYOUTS {
        for candidate in &CANDIDATES {
            rows.push(vec![layout_name.to_owned(), candidate.name.to_owned()]);
        }
    }
    let mut head = vec!["maps".to_owned(), String::new()];
    for name in NAMES {
        eprintln!("{name}");
        let keys = keys::set(name, count(settings))?;
        let bytes = keys.all.iter().map(Vec::len).sum::<usize>() as f64 / keys.all.len() as f64;
        head.push(format!("{name}, {bytes:.1}"));
        let mut row = 0;
        for (layout, layout_name) in LAYOUTS.iter().enumerate() {
            let mut by_name = BTreeMap::new();
            for candidate in &CANDIDATES {
                let bytes = candidate.bytes[layout](&keys);
                rows[row].push(format!("{bytes:.1}"));
                by_name.insert(candidate.name, bytes);
                row += 1;
            }
            let peers = PEERS[..3].iter().map(|peer| (by_name[peer], *peer));
            let (least, peer) = peers
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .expect("there are peers");
            let ratio = [by_name[Ours::NAME] / least].into_iter().collect();
            let what = format!("{name}, {layout_name}, bytes beside {peer}");
            reaches.push(Reach::at_most(what, ratio, 0.8));
        }
    }
    let head: Vec<_> = head.iter().map(String::as_str).collect();
    section.table(&head, &rows);
    section.reaches(&reaches);
    Ok(section)
}
