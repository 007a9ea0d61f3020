//! The target `paths` under libFuzzer; what it does stands in `fuzz/targets/src/paths.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::paths::target(data));
