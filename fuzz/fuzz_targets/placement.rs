//! The target `placement` under libFuzzer; what it does stands in `fuzz/targets/src/placement.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::placement::target(data));
