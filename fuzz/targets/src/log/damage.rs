//! What happens to a log's files: bits rot, files are cut, swapped, removed, forged.

use kvserver::log::disk::{Disk, memory::MemoryDisk};

use super::{
    Hints, LOG_ID,
    forge::{self, HEAD_BYTES},
    history::slot,
};
use crate::input::Input;

/// Things that happen to one log.
const STEPS_MAX: usize = 12;

/// Segments that a forged roster names.
const ROSTER_MAX: u32 = 66_000;

/// Lets happen what the input says.
pub(super) fn cause(disk: &MemoryDisk, input: &mut Input<'_>) -> Hints {
    let mut hints = Hints::Honest;
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        let names = disk.list().expect("memory does not fail");
        let what = input.byte() % 16;
        let Some(name) = names.get(input.index(names.len())) else {
            new_file(disk, what, input);
            continue;
        };
        let mut file = disk.contents(name).unwrap_or_default();
        let at = input.index(file.len() + 1);
        let number = number(name);
        match what {
            0 | 1 => file.truncate(at),
            2 | 3 => {
                if let Some(byte) = file.get_mut(at) {
                    *byte ^= input.byte();
                }
            }
            4 => {
                let end = file.len().min(at + usize::from(input.byte()));
                file.splice(at..end, input.piece().iter().copied());
            }
            5 => {
                remove(disk, name);
                continue;
            }
            6 => {
                let other = &names[input.index(names.len())];
                let other = disk.contents(other).unwrap_or_default();
                file.truncate(at);
                file.extend(other.iter().skip(input.index(other.len() + 1)));
            }
            7 | 8 if !is_hint(name) => forge::edit(&mut file, number, input),
            9..=11 if !is_hint(name) => append(&mut file, number, input),
            7..=11 => {
                for (byte, &new) in file.iter_mut().skip(at % 256).zip(input.piece()) {
                    *byte = new;
                }
                forge::seal_hint(&mut file);
                hints = Hints::Forged;
            }
            12 => {
                let (bytes, count) = (file.len() as u64, u32::from(input.byte()));
                let hint = forge::hint(number, bytes, count, input.piece());
                disk.put(&format!("segment-{number:010}.hint"), hint);
                hints = Hints::Forged;
                continue;
            }
            _ => {
                new_file(disk, what, input);
                continue;
            }
        }
        disk.put(name, file);
    }
    hints
}

/// A file that was not there, or another in its place.
fn new_file(disk: &MemoryDisk, what: u8, input: &mut Input<'_>) {
    let number = match input.byte() {
        high @ 250..255 => u32::MAX - 8 * u32::from(254 - high),
        255 => 0,
        low => u32::from(low % 24),
    };
    let kind = ["log", "hint", "hint.new", "txt"][usize::from(what % 16 == 15) * input.index(4)];
    let mut file = match what % 3 {
        0 => Vec::new(),
        1 => forge::head(LOG_ID, number, 1),
        _ => forge::head(u128::from(input.byte()), number, u32::from(input.byte())),
    };
    file.extend_from_slice(input.piece());
    if what.is_multiple_of(3) || what % 3 == 1 {
        append(&mut file, number, input);
        append(&mut file, number, input);
    }
    disk.put(&format!("segment-{number:010}.{kind}"), file);
}

/// Records that were never written but pass their checks.
fn append(file: &mut Vec<u8>, segment: u32, input: &mut Input<'_>) {
    const NO_SLOT: u16 = u16::MAX;
    if file.len() < HEAD_BYTES {
        return;
    }
    match input.byte() % 8 {
        0 => {
            let kind = input.byte();
            let slot = input.short();
            forge::push(file, segment, kind, slot, input.piece());
        }
        kind @ (1 | 2) => {
            let slot = slot(input.short()).number();
            forge::push(file, segment, kind, slot, input.piece());
        }
        3 => {
            let body = [&input.long().to_le_bytes()[..], &input.long().to_le_bytes()].concat();
            forge::push(file, segment, 3, NO_SLOT, &body);
        }
        4 => {
            let body = input.long().to_le_bytes();
            forge::push(file, segment, 4, NO_SLOT, &body);
        }
        5 => {
            // Every so many numbers from one on.
            let (from, step) = (input.long(), u32::from(input.byte()));
            let count = if input.byte() == 255 {
                u32::from(input.short()).min(ROSTER_MAX)
            } else {
                u32::from(input.byte())
            };
            let roster = (0..count).map(|at| from.wrapping_add(at.wrapping_mul(step)));
            let body: Vec<u8> = roster.flat_map(u32::to_le_bytes).collect();
            forge::push(file, segment, 5, NO_SLOT, &body);
        }
        6 => {
            let at = u32::try_from(file.len()).expect("small").to_le_bytes();
            forge::push(file, segment, 6, NO_SLOT, &at);
        }
        _ => {
            // A mark that is right: what stands before it is durable.
            let at = u32::try_from(file.len()).expect("small").to_le_bytes();
            let body = [
                &at[..],
                &[input.byte() % 3, input.byte() % 3, input.byte() % 5, 0],
            ]
            .concat();
            forge::push(file, segment, 3, NO_SLOT, &body);
        }
    }
}

fn remove(disk: &MemoryDisk, name: &str) {
    disk.remove(name).expect("it is there");
    disk.sync_directory().expect("memory does not fail");
}

fn is_hint(name: &str) -> bool {
    name.contains(".hint")
}

fn number(name: &str) -> u32 {
    let digits = name.trim_start_matches("segment-").split('.').next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
