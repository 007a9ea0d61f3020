//! What is fuzzed: everything of Kvasir that reads bytes it did not write itself.
//!
//! A target is an ordinary function of bytes that panics where the product breaks a promise. So
//! cargo-fuzz runs it (`fuzz/fuzz_targets/`), and so does a test on every change
//! (`fuzz/targets/tests/corpus.rs`).

mod input;
pub mod lines;
pub mod log;
pub mod notation;
pub mod paths;
pub mod placement;
pub mod wire;

/// A target: its name, and what runs it.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("lines", lines::target),
    ("log", log::target),
    ("notation", notation::target),
    ("paths", paths::target),
    ("placement", placement::target),
    ("wire", wire::target),
];
