//! The deciding half of the broker: one pure state machine per operation.
//!
//! ```text
//!   Write   choose a version -> Store -> again above it when superseded
//!   Read    Collect versions and one value -> Fetch what is large -> Store it back where needed
//!   Scan    pages from a read quorum of every slot, merged; doubtful keys are left to Read
//!   Store   bring one record to a write quorum of every live set
//! ```
//!
//! A machine is given events and the time and returns effects as data. It holds no socket, no
//! clock and no dice, so that the shell under tokio and the simulation run the same code. Every
//! machine ends by its deadline with one of three outcomes: done, not done, unknown.

pub mod effect;
pub mod fetch;
mod few;
pub mod outcome;
pub mod quorum;
pub mod read;
pub mod scan;
pub mod store;
mod versions;
pub mod write;

pub use self::{
    effect::{Context, Effect, Event, Now, Progress, Tag, Tags, VersionSource},
    outcome::{Failure, Outcome},
    versions::versions,
};
