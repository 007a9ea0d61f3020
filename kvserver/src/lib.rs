//! kvserver

pub mod log;
