//! kvserver

pub mod trie;
