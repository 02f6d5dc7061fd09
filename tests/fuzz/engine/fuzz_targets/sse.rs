//! libFuzzer on the target `sse`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| durable_streams_fuzz::sse(data));
