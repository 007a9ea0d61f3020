//! kvnet
