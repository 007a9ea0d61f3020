//! Kvasir's deterministic simulation: several brokers and members with the real machines, the real
//! store, trie and log, on a simulated disk, network and clock. One thread, one seed, one outcome.
//!
//! ```text
//!   plan      what a seed draws: the cluster's shape, operations, incidents     (data)
//!   world     runs a plan: events in order of simulated time
//!     broker    runs the machines of broker::machine
//!     member    kvserver's judgement, store and log; exchange: catching up
//!     network   delays, drops, duplicates, cuts
//!     faults    carries incidents out; calm: ends them all, and demands what is promised then
//!   checker   what was promised, held against every answer as it is given, and every copy
//!   rare      which rare paths a run saw
//!   shrink    fewer steps that fail the same way
//! ```
//!
//! docs/simulation.md tells how to use it.

#[cfg(feature = "planted")]
pub mod bugs;
pub mod checker;
pub mod cli;
pub mod disk;
pub mod hunt;
pub mod plan;
pub mod rare;
pub mod shrink;
pub mod world;
