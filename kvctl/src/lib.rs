//! Kvasir's command line: a whole local cluster, load, generate, inspect, bench.
//!
//! `cluster` starts and stops processes on this machine; everything that touches data speaks the
//! line protocol to a broker, as any other client would.

pub mod cli;
pub mod client;
pub mod cluster;
pub mod data;
pub mod limits;
pub mod load;
pub mod status;
