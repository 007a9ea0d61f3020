//! Kvasir's broker: coordinates the copies of every key and speaks the client protocols.
//!
//! ```text
//!   client protocols  ->  command  ->  shell::Broker  ->  machine  (pure)
//!                                           |
//!                                     replicas, near or far
//! ```

pub mod limits;
pub mod machine;
pub mod metrics;
pub mod shell;
