//! libFuzzer on the target `window`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| durable_streams_fuzz::window(data));
