//! Kvasir's pure core: what every process agrees on.
//!
//! Nothing here does I/O, reads a clock or throws dice; times and random numbers are given. The
//! crate knows no async runtime, so the same code serves the processes and the simulation.

pub mod document;
pub mod key;
pub mod limits;
pub mod notation;
pub mod path;
pub mod placement;
pub mod planted;
pub mod record;
pub mod replica;
pub mod slot;
pub mod status;
pub mod time;
pub mod value;
pub mod version;
pub mod wire;
