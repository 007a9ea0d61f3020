//! kvcore
