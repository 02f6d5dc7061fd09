//! libFuzzer on the target `headers`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| durable_streams_fuzz::headers(data));
