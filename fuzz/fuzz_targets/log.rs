//! The target `log` under libFuzzer; what it does stands in `fuzz/targets/src/log.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::log::target(data));
