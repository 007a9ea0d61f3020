//! Kvasir's broker: coordinates the copies of every key and speaks the client protocols.
//!
//! ```text
//!   client protocols  ->  command  ->  shell::Broker  ->  machine  (pure)
//!                                           |
//!                                     replicas, near or far
//! ```

pub mod cli;
pub mod command;
pub mod control;
pub mod http;
pub mod limits;
pub mod line;
pub mod load;
pub mod machine;
pub mod metrics;
pub mod process;
pub mod prompt;
pub mod shell;
