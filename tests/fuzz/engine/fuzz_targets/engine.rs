//! libFuzzer on the target `engine`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| durable_streams_fuzz::engine(data));
