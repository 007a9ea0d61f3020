//! Rules that hold whatever happens in whichever order, searched through at small scale.
//!
//! - [`moves`]: replicas of a slot come and go while clients write and read. It calls what decides
//!   in `kvcore`.
//! - [`authors`]: who decides placements, when several authors are at it.
//! - [`sweeps`]: tombstones are collected meanwhile.
//! - [`retries`]: when a write that was superseded may be tried again.
//!
//! `cargo test -p model` searches what is small, and demands that every planted bug is found.
//! `cargo run --release -p model -- --full` searches what takes longer. `docs/model.md` has the
//! figures, and says what is left out.

pub mod authors;
pub mod cases;
pub mod cli;
pub mod moves;
pub mod retries;
pub mod search;
pub mod sweeps;
