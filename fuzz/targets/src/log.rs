//! The log and the store over it, opened on files that somebody has been at.
//!
//! The bytes first say how a log came to be, then what happened to its files, down to records and
//! hints that pass every check and were never written. Whatever it was, opening gives a log that
//! works, or an error.

mod damage;
mod forge;
mod history;
mod opened;
mod shelves;

use std::sync::Arc;

use kvserver::log::disk::memory::MemoryDisk;

use crate::input::Input;

/// The log's id.
const LOG_ID: u128 = 7;

/// A log made and then damaged is opened, again and again.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let choices = input.byte();
    let load = choices & 1 == 1;
    let disk = Arc::new(MemoryDisk::new());
    history::make(&disk, &mut input);
    let told = damage::cause(&disk, &mut input);
    if choices & 2 == 0 {
        opened::check(&disk, load, told);
    } else {
        shelves::check(&disk, load, told);
    }
}

/// Whether hints say what the segments hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hints {
    /// They do, or do not pass their checks.
    Honest,
    /// One passes its checks and may say anything.
    Forged,
}
