//! The target `wire` under libFuzzer; what it does stands in `fuzz/targets/src/wire.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::wire::target(data));
