//! libFuzzer on the target `answers`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| durable_streams_fuzz::answers(data));
