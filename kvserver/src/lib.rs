//! Kvasir's trie server: tries, log, peer server and admin HTTP.

pub mod log;
pub mod trie;
