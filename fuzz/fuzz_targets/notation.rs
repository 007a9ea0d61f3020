//! The target `notation` under libFuzzer; what it does stands in `fuzz/targets/src/notation.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::notation::target(data));
