//! Time as a thing that is given.

use crate::version::UnixMillis;

/// Tells the time of day. Processes give the machine's clock, the simulation its own.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Milliseconds since 1970, as this machine believes.
    fn now(&self) -> UnixMillis;
}
