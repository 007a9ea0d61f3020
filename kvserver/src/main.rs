//! kvserver
fn main() {}
