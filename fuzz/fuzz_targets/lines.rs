//! The target `lines` under libFuzzer; what it does stands in `fuzz/targets/src/lines.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::lines::target(data));
